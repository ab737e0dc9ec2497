//! Plots the resources of a process over time, in four panels.

use super::sample::{MIB, Sample};

const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 130.0;
/// The margins of a panel: for the numbers of its axes, and for its title.
const LEFT: f64 = 52.0;
const TOP: f64 = 44.0;
const RIGHT: f64 = 18.0;
const BOTTOM: f64 = 26.0;
/// The maximum number of points of a line. Each is the maximum of its span.
const POINTS: usize = 240;

/// The style, with a background so that the plot is readable on any page. Uses no CSS variables, which viewers other than browsers do
/// not support.
const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 13px; }
  .page { fill: #ffffff; }
  .tick { stroke: #d1d9e0; }
  polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
  .line0 { stroke: #0969da; }
  .line1 { stroke: #bc4c00; }
  .key0 { fill: #0969da; }
  .key1 { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .page { fill: #0d1117; }
    .tick { stroke: #3d444d; }
    .line0 { stroke: #4493f8; }
    .line1 { stroke: #f0883e; }
    .key0 { fill: #4493f8; }
    .key1 { fill: #f0883e; }
  }
";

/// A line of a panel: its name, and its value.
type Line = (&'static str, fn(&Sample) -> f64);

const PANELS: [(&str, &[Line]); 4] = [
    ("MiB", &[("memory", |s| mebibytes(s.memory)), ("heap of V8", |s| mebibytes(s.heap))]),
    ("", &[("open files", |s| s.files as f64), ("threads", |s| s.threads as f64)]),
    ("MiB", &[("WAL", |s| mebibytes(s.wal))]),
    ("MiB", &[("database file", |s| mebibytes(s.file))]),
];

/// Draws samples as an SVG.
pub fn draw(samples: &[Sample]) -> String {
    let (width, height) = (2.0 * (LEFT + WIDTH + RIGHT), 2.0 * (TOP + HEIGHT + BOTTOM));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n"
    );
    for (i, (unit, lines)) in PANELS.into_iter().enumerate() {
        let left = LEFT + (i % 2) as f64 * (LEFT + WIDTH + RIGHT);
        let top = TOP + (i / 2) as f64 * (TOP + HEIGHT + BOTTOM);
        svg += &panel(samples, left, top, unit, lines);
    }
    svg + "</svg>\n"
}

fn panel(samples: &[Sample], left: f64, top: f64, unit: &str, lines: &[Line]) -> String {
    let last = samples.last().map_or(1.0, minutes);
    let max = samples.iter().flat_map(|sample| lines.iter().map(|(_, value)| value(sample))).fold(1.0, f64::max);
    let step = step(max);
    let ceiling = (max / step).ceil() * step;
    let x = |minutes: f64| left + minutes / last * WIDTH;
    let y = |value: f64| top + HEIGHT * (1.0 - value / ceiling);

    let mut svg = String::new();
    for i in 0..=(ceiling / step) as u32 {
        let value = f64::from(i) * step;
        let (y, right) = (y(value), left + WIDTH);
        svg += &format!("<line class=\"tick\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\n");
        svg += &text(left - 8.0, y + 4.0, "end", &value.to_string());
    }
    for (share, anchor) in [(0.0, "start"), (0.5, "middle"), (1.0, "end")] {
        let minutes = last * share;
        svg += &text(x(minutes), top + HEIGHT + 17.0, anchor, &format!("{minutes:.0} min"));
    }
    let mut key = left;
    for (i, (name, value)) in lines.iter().enumerate() {
        svg += &format!("<rect class=\"key{i}\" x=\"{key}\" y=\"{}\" width=\"10\" height=\"10\"/>\n", top - 21.0);
        let name = if unit.is_empty() { (*name).to_owned() } else { format!("{name}, {unit}") };
        svg += &format!("<text class=\"title\" x=\"{}\" y=\"{}\">{name}</text>\n", key + 16.0, top - 12.0);
        key += 130.0;
        let spans = samples.chunks(samples.len().div_ceil(POINTS).max(1));
        let points = spans.map(|span| {
            let max = span.iter().map(value).fold(0.0, f64::max);
            format!("{:.1},{:.1}", x(minutes(&span[0])), y(max))
        });
        svg += &format!("<polyline class=\"line{i}\" points=\"{}\"/>\n", points.collect::<Vec<_>>().join(" "));
    }
    svg
}

/// Returns a round distance between ticks, for at least two of them.
fn step(max: f64) -> f64 {
    let power = 10_f64.powf((max / 2.0).log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|factor| factor * power).find(|step| max / step >= 2.0).unwrap_or(power)
}

fn minutes(sample: &Sample) -> f64 {
    sample.at.as_secs_f64() / 60.0
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

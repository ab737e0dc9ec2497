//! Draws each measure as a chart of two lines on logarithmic axes.

use super::super::chart::{STYLE, text};
use super::super::table::thousands;
use super::sections::Unit;
use super::{Measured, Point};

/// The number of charts in a row.
const COLUMNS: usize = 3;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 200.0;
/// The space for the head of the page and of a section, and around the plot of a chart.
const TOP: f64 = 64.0;
const HEADING: f64 = 26.0;
const ABOVE: f64 = 34.0;
const BELOW: f64 = 26.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 20.0;

/// The names of the lines, and their classes of the style.
const SIDES: [(&str, &str); 2] = [("OpenKV", "ours"), ("Deno", "theirs")];

const LINES: &str = "
  .ours, .theirs { fill: none; stroke-width: 2; stroke: #2da44e; }
  .theirs { stroke: #8c959f; stroke-dasharray: 5 3; }
";

/// Draws all measures of sections with at least two points as an SVG. Each section begins a new row.
pub fn draw(all: &[Measured]) -> String {
    let width = COLUMNS as f64 * WIDTH;
    let (mut body, mut y) = (String::new(), TOP);
    for measured in all.iter().filter(|measured| measured.points.len() > 1) {
        body += &text(16.0, y + 20.0, "start", &format!("{}:", measured.section.title.replace('`', "")));
        y += HEADING;
        for row in measured.section.measures.chunks(COLUMNS) {
            for (column, measure) in row.iter().enumerate() {
                let x = column as f64 * WIDTH;
                body += &format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", chart(measured, measure));
            }
            y += HEIGHT;
        }
    }
    let height = y + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{STYLE}{LINES}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"16\" y=\"26\">OpenKV and Deno at scale</text>\n"
    );
    for (i, (name, class)) in SIDES.into_iter().enumerate() {
        let x = 16.0 + i as f64 * 110.0;
        svg += &format!("<line class=\"{class}\" x1=\"{x}\" y1=\"42\" x2=\"{}\" y2=\"42\"/>\n", x + 28.0);
        svg += &text(x + 34.0, 46.0, "start", name);
    }
    svg + &body + "</svg>\n"
}

fn chart(measured: &Measured, (name, title, unit): &(&str, &str, Unit)) -> String {
    let medians = |point: &Point| measured.medians(name, point.number).map(|medians| (point.number as f64, medians));
    let points: Vec<_> = measured.points.iter().filter_map(medians).collect();
    let (low, high) = decades(points.iter().flat_map(|(_, medians)| *medians));
    let [Some(first), Some(last)] = [points.first(), points.last()].map(|point| point.map(|point| point.0)) else {
        return String::new();
    };
    let x = |number: f64| LEFT + (number / first).ln() / (last / first).ln() * (WIDTH - LEFT - RIGHT);
    let bottom = HEIGHT - BELOW;
    let y = |value: f64| bottom - (value.max(low) / low).ln() / (high / low).ln() * (bottom - ABOVE);

    let mut svg = text(LEFT, 20.0, "start", title);
    let mut tick = low;
    while tick <= high * 1.01 {
        let (y, right) = (y(tick), WIDTH - RIGHT);
        svg += &format!("<line class=\"tick\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\n");
        svg += &text(LEFT - 6.0, (y + 4.0).round(), "end", &label(*unit, tick));
        tick *= 10.0;
    }
    for (number, _) in &points {
        svg += &text(x(*number), bottom + 17.0, "middle", &short(*number));
    }
    for (side, (_, class)) in SIDES.into_iter().enumerate() {
        let line = points.iter().map(|(number, medians)| format!("{:.1},{:.1}", x(*number), y(medians[side])));
        svg += &format!("<polyline class=\"{class}\" points=\"{}\"/>\n", line.collect::<Vec<_>>().join(" "));
    }
    svg
}

/// Returns the powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, greatest) =
        values.fold((f64::INFINITY, 0.01), |(least, greatest), value| (value.min(least), value.max(greatest)));
    let low = 10f64.powf(least.clamp(0.01, 1e9).log10().floor());
    let high = 10f64.powf(greatest.log10().ceil());
    (low, high.max(low * 10.0))
}

fn label(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", short(value)),
        Unit::Milliseconds if value >= 1e3 => format!("{} s", value / 1e3),
        Unit::Milliseconds => format!("{value} ms"),
        Unit::Mebibytes => format!("{} MiB", short(value)),
    }
}

/// Formats a number: "16", "10 k", "10 M".
fn short(number: f64) -> String {
    match number {
        1e6.. => format!("{} M", number / 1e6),
        1e4.. => format!("{} k", number / 1e3),
        1e3.. => thousands(number),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_surround_the_values() {
        assert_eq!(decades([12.0, 450.0].into_iter()), (10.0, 1000.0));
        assert_eq!(decades([10.0].into_iter()), (10.0, 100.0));
        assert_eq!([1.0, 16.0, 1000.0, 10_000.0, 1e7].map(short), ["1", "16", "1,000", "10 k", "10 M"]);
    }
}

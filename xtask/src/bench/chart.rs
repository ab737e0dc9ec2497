//! Draws the ratios as a chart: bars from 1 on a logarithmic axis, with a mark at each target.

use super::results::{Row, times};

const LABELS: f64 = 230.0;
const PLOT: f64 = 500.0;
/// The space for the value after a bar.
const VALUES: f64 = 70.0;
const LINE: f64 = 24.0;
const TOP: f64 = 64.0;
const TICKS: [f64; 12] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// The style, with a background so that the chart is readable on any page. Uses no CSS variables, which viewers other than browsers do
/// not support.
pub const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .page { fill: #ffffff; }
  .tick { stroke: #d1d9e0; }
  .one, .target { stroke: #1f2328; }
  .target { stroke-width: 3; }
  .plain { fill: #8c959f; }
  .met { fill: #4ac26b; }
  .missed { fill: #f0883e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .page { fill: #0d1117; }
    .tick { stroke: #3d444d; }
    .one, .target { stroke: #e6edf3; }
  }
";

/// Draws the ratios to another program as an SVG.
pub fn draw(rows: &[Row], other: &str) -> String {
    let bars: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((row, row.ratio()?))).collect();
    let values = bars.iter().flat_map(|(row, ratio)| [Some(*ratio), row.measure.target]).flatten();
    let (least, greatest) = values.fold((0.5, 2.0), |(least, greatest): (f64, f64), v| (least.min(v), greatest.max(v)));
    let x = |ratio: f64| LABELS + (ratio / least).ln() / (greatest / least).ln() * PLOT;

    let (width, bottom) = (LABELS + PLOT + VALUES, TOP + bars.len() as f64 * LINE);
    let height = bottom + LINE + 4.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"16\" y=\"26\">OpenKV, compared with {other} = 1×</text>\n\
         <text x=\"16\" y=\"46\">Times as fast, or times the memory. The bold mark is the target. Green: reached; \
         orange: missed.</text>\n"
    );
    for tick in TICKS.into_iter().filter(|tick| (least..=greatest).contains(tick)) {
        let (class, x) = (if tick == 1.0 { "one" } else { "tick" }, x(tick));
        svg += &format!("<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\n");
        svg += &text(x, bottom + 16.0, "middle", &times(tick));
    }
    for (i, (row, ratio)) in bars.iter().enumerate() {
        let top = TOP + i as f64 * LINE;
        let (from, to) = (x(ratio.min(1.0)), x(ratio.max(1.0)));
        let class = row.measure.is_met(*ratio).map_or("plain", |met| if met { "met" } else { "missed" });
        svg += &text(LABELS - 12.0, top + 16.0, "end", row.measure.title);
        svg += &format!(
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\"/>\n",
            top + 5.0,
            to - from
        );
        let mut end = to;
        if let Some(target) = row.measure.target {
            let (x, from, to) = (x(target), top + 2.0, top + LINE - 2.0);
            svg += &format!("<line class=\"target\" x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\"/>\n");
            end = end.max(x);
        }
        svg += &text(end + 8.0, top + 16.0, "start", &times(*ratio));
    }
    svg + "</svg>\n"
}

pub fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

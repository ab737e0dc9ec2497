//! The targets that are not those of a single row: what was measured, and whether it reaches them.

use super::results::times;
use super::table::markdown;

/// A target, and the figure of one run.
pub struct Target {
    title: &'static str,
    target: String,
    figure: String,
    /// `None` if it was not measured.
    met: Option<bool>,
}

impl Target {
    /// A ratio that should be at least as high.
    pub fn at_least(title: &'static str, bound: f64, ratio: Option<f64>) -> Self {
        Self::ratio(title, format!("≥ {}", times(bound)), ratio, |ratio| ratio >= bound)
    }

    /// A ratio that should be at most as high.
    pub fn at_most(title: &'static str, bound: f64, ratio: Option<f64>) -> Self {
        Self::ratio(title, format!("≤ {}", times(bound)), ratio, |ratio| ratio <= bound)
    }

    fn ratio(title: &'static str, target: String, ratio: Option<f64>, is_met: impl Fn(f64) -> bool) -> Self {
        Self { title, target, figure: ratio.map_or("–".into(), times), met: ratio.map(is_met) }
    }

    /// Any other figure. `None` if it was not measured.
    pub fn other(title: &'static str, target: &str, figure: Option<(String, bool)>) -> Self {
        let (figure, met) = figure.map_or(("–".into(), None), |(figure, met)| (figure, Some(met)));
        Self { title, target: target.into(), figure, met }
    }
}

/// Returns the targets as a section of a page.
pub fn section(targets: &[Target]) -> String {
    let mut lines = vec![["target of the run", "target", "figure", "met"].map(str::to_owned).to_vec()];
    lines.extend(targets.iter().map(|row| {
        let met = row.met.map_or("–", |met| if met { "yes" } else { "no" });
        vec![row.title.into(), row.target.clone(), row.figure.clone(), met.into()]
    }));
    format!("\n## Targets\n\n{}", markdown(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_meet_their_targets() {
        let targets = [
            Target::at_least("get compared with lmdb", 1.0, Some(0.99)),
            Target::at_most("get, file to memory", 1.15, Some(1.15)),
            Target::at_least("list", 4.0, None),
            Target::other("99.9 % of sets", "≤ 100 ms", Some(("90.0 ms".into(), true))),
        ];
        let table = "
## Targets

| target of the run      |   target |  figure | met |
| ---------------------- | -------: | ------: | --: |
| get compared with lmdb |     ≥ 1× |   0.99× |  no |
| get, file to memory    |  ≤ 1.15× |   1.15× | yes |
| list                   |     ≥ 4× |       – |   – |
| 99.9 % of sets         | ≤ 100 ms | 90.0 ms | yes |
";
        assert_eq!(section(&targets), table);
    }
}

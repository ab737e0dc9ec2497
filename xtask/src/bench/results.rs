//! Formats the results as a table.

use super::machine::{self, Condition};
use super::measures::{Measure, Source};
use super::statistics::{extremes, median};
use super::table::{markdown, thousands};

/// The results of all measures.
pub struct Results {
    pub rows: Vec<Row>,
    /// The names and versions of what was measured.
    pub versions: String,
    /// What OpenKV is compared with. The ratios are those to the first.
    pub others: Vec<&'static str>,
    /// The state of the machine before each round.
    pub conditions: Vec<Condition>,
}

/// The values of a measure.
pub struct Row {
    pub measure: &'static Measure,
    /// One value per round for each runtime, OpenKV first. None of a runtime without the measure.
    pub values: Vec<Vec<f64>>,
}

impl Row {
    pub fn new(measure: &'static Measure, runtimes: usize) -> Self {
        Self { measure, values: vec![Vec::new(); runtimes] }
    }

    /// Returns the ratio of the medians. `None` if OpenKV was measured alone.
    pub fn ratio(&self) -> Option<f64> {
        self.ratio_to(1)
    }

    /// Returns the ratio of the medians of OpenKV and another runtime. `None` if that was not measured.
    pub fn ratio_to(&self, other: usize) -> Option<f64> {
        let theirs = self.values.get(other).filter(|values| !values.is_empty())?;
        Some(self.measure.source.ratio(median(&self.values[0]), median(theirs)))
    }

    /// Returns the values of OpenKV and of one other runtime.
    pub fn beside(&self, other: usize) -> Self {
        Self { measure: self.measure, values: vec![self.values[0].clone(), self.values[other].clone()] }
    }

    /// Returns the minimum and maximum ratio of a round; of OpenKV alone, the minimum and maximum value.
    fn spread(&self) -> String {
        let source = self.measure.source;
        match &*self.values {
            [ours, theirs, ..] => {
                let ratios: Vec<_> =
                    ours.iter().zip(theirs).map(|(ours, theirs)| source.ratio(*ours, *theirs)).collect();
                let (least, greatest) = extremes(&ratios);
                format!("{}–{}", times(least), times(greatest))
            }
            values => {
                let (least, greatest) = extremes(&values[0]);
                format!("{}–{}", with_unit(source, least), with_unit(source, greatest))
            }
        }
    }

    fn cells(&self) -> Vec<String> {
        let Measure { title, source, target, .. } = *self.measure;
        let mut cells = vec![title.to_owned()];
        let cell = |values: &Vec<f64>| if values.is_empty() { "–".into() } else { with_unit(source, median(values)) };
        cells.extend(self.values.iter().map(cell));
        let Some(ratio) = self.ratio() else {
            cells.push(self.spread());
            return cells;
        };
        let bound = if source.is_cost() { "≤" } else { "≥" };
        cells.push(times(ratio));
        cells.push(self.spread());
        cells.push(target.map_or("–".into(), |target| format!("{bound} {}", times(target))));
        cells.push(self.measure.is_met(ratio).map_or("–", |met| if met { "yes" } else { "no" }).into());
        cells
    }
}

impl Results {
    /// Returns the table in Markdown, with aligned columns.
    pub fn table(&self) -> String {
        let alone = self.rows.iter().all(|row| row.ratio().is_none());
        let mut head = vec!["measure", "OpenKV"];
        if alone {
            head.push("spread");
        } else {
            head.extend(&self.others);
            head.extend(["ratio", "spread", "target", "met"]);
        }
        let mut lines = vec![head.into_iter().map(str::to_owned).collect()];
        lines.extend(self.rows.iter().map(Row::cells));
        markdown(&lines)
    }

    /// Describes the versions, the date and the machine.
    pub fn circumstances(&self) -> String {
        format!(
            "{}, medians of {} rounds, {}. {}.",
            self.versions,
            self.rows.first().map_or(0, |row| row.values[0].len()),
            machine::today(),
            Condition::describe(&self.conditions)
        )
    }

    /// Returns the page with the table, and what follows it.
    pub fn page(&self, command: &str, end: &str) -> String {
        format!(
            "# Results\n\nWritten by `{command}`; [how to read it](README.md).\n\n{}\n\n{}{end}",
            self.circumstances(),
            self.table(),
        )
    }
}

/// Formats a ratio: "0.8×", "1.36×", "18.1×", "213×".
pub fn times(ratio: f64) -> String {
    let text = match ratio {
        ..9.995 => format!("{ratio:.2}"),
        ..99.95 => format!("{ratio:.1}"),
        _ => return format!("{ratio:.0}×"),
    };
    format!("{}×", text.trim_end_matches('0').trim_end_matches('.'))
}

fn with_unit(source: Source, value: f64) -> String {
    match source {
        Source::Script => format!("{}/s", thousands(value)),
        Source::Startup(_) => format!("{value:.1} ms"),
        Source::PeakMemory(_) => format!("{value:.1} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measures::MEASURES;

    #[test]
    fn numbers_are_formatted() {
        assert_eq!([0.8, 1.364, 10.0, 18.14, 200.4].map(times), ["0.8×", "1.36×", "10×", "18.1×", "200×"]);
        assert_eq!([median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])], [2.0, 2.5]);
    }

    #[test]
    fn table_has_the_ratio_of_medians_and_the_spread_of_rounds() {
        let values = vec![vec![180.0, 200.0, 190.0], vec![10.0, 10.0, 5.0]];
        let rows = vec![Row { measure: &MEASURES[0], values }];
        let results = Results { rows, versions: String::new(), others: vec!["Deno"], conditions: Vec::new() };
        let table = "\
| measure             | OpenKV |   Deno | ratio |  spread | target | met |
| ------------------- | -----: | -----: | ----: | ------: | -----: | --: |
| get of a stored key |  190/s | 10.0/s |   19× | 18×–38× |  ≥ 18× | yes |
";
        assert_eq!(results.table(), table);
    }
}

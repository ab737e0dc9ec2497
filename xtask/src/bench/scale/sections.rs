//! What is measured at which points.

use std::path::Path;

use super::super::runtime::Runtime;
use super::super::table::thousands;
use super::{load, processes};

/// Measures that grow with one number.
pub struct Section {
    /// Its name, on the command line.
    pub name: &'static str,
    pub title: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// In ascending order.
    pub points: &'static [usize],
    /// The names, titles and units of its measures.
    pub measures: &'static [(&'static str, &'static str, Unit)],
    source: Source,
}

/// The source of the values of a section.
#[derive(PartialEq)]
enum Source {
    /// The script of its name in `benches/scale`.
    Script,
    Processes,
    Connections,
}

/// The unit of a value.
#[derive(Clone, Copy)]
pub enum Unit {
    PerSecond,
    Milliseconds,
    Mebibytes,
}

impl Unit {
    pub fn format(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", thousands(value)),
            Self::Milliseconds if value < 1.0 => format!("{value:.3} ms"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Mebibytes => format!("{value:.1} MiB"),
        }
    }

    /// Returns the ratio of OpenKV and Deno: how many times as fast, or how many times the memory.
    pub fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::PerSecond | Self::Mebibytes => ours / theirs,
            Self::Milliseconds => theirs / ours,
        }
    }
}

pub const SECTIONS: [Section; 6] = [
    Section {
        name: "entries",
        title: "Entries of a file",
        unit: "entries",
        points: &[10_000, 100_000, 1_000_000, 10_000_000],
        measures: &[
            ("load", "bulk load in order", Unit::PerSecond),
            ("get", "get of random keys", Unit::PerSecond),
            ("limit", "list of 10, random start", Unit::PerSecond),
            ("list", "entries of a list", Unit::PerSecond),
            ("memory", "memory", Unit::Mebibytes),
            ("file", "file and WAL", Unit::Mebibytes),
        ],
        source: Source::Script,
    },
    Section {
        name: "random",
        title: "Entries in no order",
        unit: "entries",
        points: &[10_000, 100_000, 1_000_000],
        measures: &[("load", "bulk load of random keys", Unit::PerSecond), ("memory", "memory", Unit::Mebibytes)],
        source: Source::Script,
    },
    Section {
        name: "watchers",
        title: "Watchers, each of its own key",
        unit: "watchers",
        points: &[1000, 10_000, 100_000],
        measures: &[
            ("start", "watch, to the first item", Unit::PerSecond),
            ("change", "set, seen by its watcher", Unit::PerSecond),
            ("memory", "memory", Unit::Mebibytes),
        ],
        source: Source::Script,
    },
    Section {
        name: "backlog",
        title: "Backlog of a queue",
        unit: "messages",
        points: &[1000, 10_000, 100_000],
        measures: &[
            ("enqueue", "enqueue, 500 in a commit", Unit::PerSecond),
            ("handle", "messages handled", Unit::PerSecond),
            ("memory", "memory", Unit::Mebibytes),
        ],
        source: Source::Script,
    },
    Section {
        name: "processes",
        title: "Processes that write to one file, one set after another each",
        unit: "processes",
        points: &[1, 2, 4, 8, 16],
        measures: &[
            ("rate", "sets of all processes", Unit::PerSecond),
            ("500", "set, 50 %", Unit::Milliseconds),
            ("999", "set, 99.9 %", Unit::Milliseconds),
            ("max", "set, slowest", Unit::Milliseconds),
        ],
        source: Source::Processes,
    },
    Section {
        name: "connections",
        title: "`Deno.serve`, one request after another on each connection",
        unit: "connections",
        points: &[1, 16, 64],
        measures: &[
            ("plain", "plain request", Unit::PerSecond),
            ("plain-500", "plain request, 50 %", Unit::Milliseconds),
            ("plain-999", "plain request, 99.9 %", Unit::Milliseconds),
            ("get", "request with a get", Unit::PerSecond),
            ("get-500", "request with a get, 50 %", Unit::Milliseconds),
            ("get-999", "request with a get, 99.9 %", Unit::Milliseconds),
            ("counter", "request with the counter", Unit::PerSecond),
            ("counter-500", "request with the counter, 50 %", Unit::Milliseconds),
            ("counter-999", "request with the counter, 99.9 %", Unit::Milliseconds),
        ],
        source: Source::Connections,
    },
];

impl Section {
    /// Measures a runtime at a point, with an empty directory for its files. Returns a value for each measure.
    pub fn run(&self, runtime: &Runtime, number: usize, directory: &Path) -> Result<Vec<f64>, String> {
        match self.source {
            Source::Script => self.run_script(runtime, number, directory),
            Source::Processes => processes::measure(runtime, number, directory),
            Source::Connections => load::measure(runtime, number, directory),
        }
    }

    /// Runs the script, which prints the values by their names.
    fn run_script(&self, runtime: &Runtime, number: usize, directory: &Path) -> Result<Vec<f64>, String> {
        let script = format!("scale/{}.ts", self.name);
        let mut command = runtime.command(&script, directory);
        let json = runtime.json(&script, command.arg(directory).arg(number.to_string()))?;
        let value = |(name, ..): &(&str, &str, Unit)| {
            json[name].as_f64().ok_or_else(|| format!("{script} under {} printed {json}", runtime.version))
        };
        self.measures.iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_print_their_measures() {
        for section in SECTIONS.iter().filter(|section| section.source == Source::Script) {
            let path = crate::root().join(format!("benches/scale/{}.ts", section.name));
            let script = std::fs::read_to_string(path).unwrap();
            for (name, ..) in section.measures {
                let printed = [format!("{name}: "), format!(", {name} }}")].iter().any(|text| script.contains(text));
                assert!(printed, "{} of {}", name, section.name);
            }
        }
    }
}

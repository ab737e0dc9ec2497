use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgMatches, Command};
use openkv_engine::maintenance::{self, Problem, ProblemLocation};

use super::common;
use crate::cli::outcome::{self, Outcome};

/// `openkv db check`: looks for damage.
pub(crate) struct Check {
    file: PathBuf,
}

pub(super) fn declare() -> Command {
    Command::new("check")
        .about("Looks at every page, entry and message of a database")
        .after_help("The exit code is 0 where all is in order, and 1 where anything is not.")
        .arg(common::file("file", "The file of the database, which is not changed"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Check {
    Check { file: common::read_file(matches, "file") }
}

impl Check {
    pub(super) fn execute(self) -> Outcome {
        let report = common::with_bar(|progress| maintenance::check(&self.file, progress));
        let report = report.map_err(|error| common::explain(&self.file, &error))?;
        if report.problems.is_empty() {
            return outcome::print(&format!("ok: {} entries, {} messages\n", report.entries, report.messages));
        }
        let mut text = String::new();
        for problem in &report.problems {
            writeln!(text, "{problem}; {}", remedy(problem)).expect("a string takes all");
        }
        writeln!(
            text,
            "problems: {}; read: {} entries, {} messages. See docs/recovery.md.",
            report.problems.len(),
            report.entries,
            report.messages
        )
        .expect("a string takes all");
        outcome::print(&text).map(|_| 1)
    }
}

fn remedy(problem: &Problem) -> &'static str {
    match problem.location {
        ProblemLocation::Entry(_) => "set it again from a backup; salvage leaves it out",
        ProblemLocation::Message { .. } => "salvage leaves it out",
        _ => "restore a backup, or salvage",
    }
}

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgMatches, Command};
use openkv_engine::maintenance::{self, Problem, ProblemLocation};

use super::{common, remote};
use crate::cli::outcome::{self, Outcome};

/// `openkv db check`: checks a database for corruption.
pub(crate) struct Check {
    file: PathBuf,
}

pub(super) fn declare() -> Command {
    Command::new("check")
        .about("Checks every page, entry and message of a database")
        .after_help("The exit code is 0 if no problems are found, and 1 otherwise.")
        .arg(common::file_or_url("file", "The database: a file, which is not changed, or a URL of PostgreSQL or etcd"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Check {
    Check { file: common::read_file(matches, "file") }
}

impl Check {
    pub(super) fn execute(self) -> Outcome {
        if let Some(url) = common::as_url(&self.file) {
            return check_remote(url);
        }
        let report = common::with_bar(|progress| maintenance::check(&self.file, progress));
        let report = report.map_err(|error| common::explain(&self.file, &error))?;
        if report.problems.is_empty() {
            return outcome::print(&format!("ok: {} entries, {} messages\n", report.entries, report.messages));
        }
        let mut text = String::new();
        for problem in &report.problems {
            writeln!(text, "{problem}; {}", remedy(problem)).expect("writing to a string succeeds");
        }
        writeln!(
            text,
            "problems: {}; read: {} entries, {} messages. See docs/recovery.md.",
            report.problems.len(),
            report.entries,
            report.messages
        )
        .expect("writing to a string succeeds");
        outcome::print(&text).map(|_| 1)
    }
}

/// Reads all entries and messages. The server checks its own files.
fn check_remote(url: &str) -> Outcome {
    let contents = remote::read(url)?;
    if contents.problems.is_empty() {
        return outcome::print(&format!("ok: {} entries, {} messages\n", contents.entries, contents.messages));
    }
    let lines: String = contents.problems.iter().map(|problem| format!("{problem}\n")).collect();
    let (problems, entries, messages) = (contents.problems.len(), contents.entries, contents.messages);
    outcome::print(&format!("{lines}problems: {problems}; read: {entries} entries, {messages} messages\n")).map(|_| 1)
}

fn remedy(problem: &Problem) -> &'static str {
    match problem.location {
        ProblemLocation::Entry(_) => "set it again from a backup; salvage skips it",
        ProblemLocation::Message { .. } => "salvage skips it",
        _ => "restore a backup, or salvage",
    }
}

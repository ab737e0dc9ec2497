//! What the commands have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgMatches, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use openkv_engine::maintenance::Progress;
use openkv_engine::{Clock, Error, FileProblem, SystemClock};

use crate::cli::arguments;

/// An argument that names a file.
pub(super) fn file(name: &'static str, help: &'static str) -> Arg {
    let value_name = name.to_uppercase();
    Arg::new(name).value_name(value_name).required(true).value_parser(value_parser!(PathBuf)).help(help)
}

pub(super) fn read_file(matches: &mut ArgMatches, name: &str) -> PathBuf {
    matches.remove_one(name).expect("files are required")
}

/// The flag that lets a command overwrite a file.
pub(super) fn force() -> Arg {
    arguments::switch("force").help("Overwrite a file that is there")
}

/// The time in milliseconds since the Unix epoch.
pub(super) fn now() -> u64 {
    SystemClock.now()
}

/// Runs what takes long, with a bar on a terminal that shows how far it has come.
pub(super) fn with_bar<T>(work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
    let spinner = ProgressStyle::with_template("{spinner} {msg} {human_pos}").expect("the template is right");
    let moving = ProgressStyle::with_template("{msg} {bar:40} {human_pos}/{human_len} {eta}");
    let moving = moving.expect("the template is right").progress_chars("#>-");
    // It draws on the standard error, and not at all where that is no terminal.
    let bar = ProgressBar::new_spinner().with_style(spinner.clone());
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut counted = false;
    let result = work(&mut |Progress { doing, done, total, .. }| {
        bar.set_message(doing);
        bar.set_length(total);
        bar.set_position(done);
        if counted != (total > 0) {
            counted = total > 0;
            bar.set_style(if counted { moving.clone() } else { spinner.clone() });
        }
    });
    bar.finish_and_clear();
    result
}

/// What to tell the user about an error with a file.
pub(super) fn explain(file: &Path, error: &Error) -> String {
    let text = match error {
        // Those that name the file, which may be another one.
        Error::File { .. } | Error::Open { .. } => error.to_string(),
        _ => format!("{}: {error}", file.display()),
    };
    match error {
        Error::File { problem: FileProblem::Exists, .. } => format!("{text}: --force overwrites it"),
        Error::File { problem: FileProblem::Corrupt(_) | FileProblem::NotADatabase, .. } => {
            format!("{text}\nSee docs/recovery.md.")
        }
        _ => text,
    }
}

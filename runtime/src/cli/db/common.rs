//! Arguments and output that the commands share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Arg, ArgMatches};
use indicatif::{ProgressBar, ProgressStyle};
use openkv_engine::maintenance::Progress;
use openkv_engine::{Clock, Error, FileProblem, SystemClock};

use crate::cli::arguments;

/// Returns an argument for the path of a file.
pub(super) fn file(name: &'static str, help: &'static str) -> Arg {
    let value_name = name.to_uppercase();
    let path = PathBufValueParser::new().try_map(reject_url);
    Arg::new(name).value_name(value_name).required(true).value_parser(path).help(help)
}

/// Returns an argument for a file, or the URL of a database on a server.
pub(super) fn file_or_url(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name("FILE|URL").required(true).value_parser(PathBufValueParser::new()).help(help)
}

/// Returns the URL, if it is not the path of a file.
pub(super) fn as_url(location: &Path) -> Option<&str> {
    location.to_str().filter(|location| location.contains("://"))
}

fn reject_url(path: PathBuf) -> Result<PathBuf, &'static str> {
    let has_scheme =
        |schemes: [&str; 2]| path.to_str().is_some_and(|path| schemes.iter().any(|scheme| path.starts_with(scheme)));
    if has_scheme(["postgres://", "postgresql://"]) {
        return Err("this command is for files, not for URLs: see docs/postgres.md");
    }
    if has_scheme(["etcd://", "etcds://"]) {
        return Err("this command is for files, not for URLs: see docs/etcd.md");
    }
    Ok(path)
}

pub(super) fn read_file(matches: &mut ArgMatches, name: &str) -> PathBuf {
    matches.remove_one(name).expect("files are required")
}

/// Returns the flag that allows a command to overwrite a file.
pub(super) fn force() -> Arg {
    arguments::switch("force").help("Overwrite an existing file")
}

/// Returns the time in milliseconds since the Unix epoch.
pub(super) fn now() -> u64 {
    SystemClock.now()
}

/// Runs a long operation, with a progress bar on a terminal.
pub(super) fn with_bar<T>(work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
    let spinner = ProgressStyle::with_template("{spinner} {msg} {human_pos}").expect("the template is valid");
    let counting = ProgressStyle::with_template("{msg} {bar:40} {human_pos}/{human_len} {eta}");
    let counting = counting.expect("the template is valid").progress_chars("#>-");
    // Draws to stderr, if it is a terminal.
    let bar = ProgressBar::new_spinner().with_style(spinner.clone());
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut counted = false;
    let result = work(&mut |Progress { doing, done, total, .. }| {
        bar.set_message(doing);
        bar.set_length(total);
        bar.set_position(done);
        if counted != (total > 0) {
            counted = total > 0;
            bar.set_style(if counted { counting.clone() } else { spinner.clone() });
        }
    });
    bar.finish_and_clear();
    result
}

/// Returns the message for an error with a file.
pub(super) fn explain(file: &Path, error: &Error) -> String {
    let text = match error {
        // These include the path, which may be that of another file.
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

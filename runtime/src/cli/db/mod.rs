//! `openkv db`: what an operator does with the file of a database.

mod backup;
mod check;
mod compact;
mod info;
mod restore;
mod salvage;
mod signals;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use openkv_engine::maintenance::Progress;
use openkv_engine::{Clock, Error, FileProblem, SystemClock};

use super::Outcome;
use super::flags;

/// A command of `openkv db`.
pub(crate) enum Db {
    Info(info::Info),
    Check(check::Check),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Compact(compact::Compact),
    Salvage(salvage::Salvage),
}

pub(super) fn declare() -> Command {
    Command::new("db")
        .about("Looks after the file of a database")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(info::declare())
        .subcommand(check::declare())
        .subcommand(backup::declare())
        .subcommand(restore::declare())
        .subcommand(compact::declare())
        .subcommand(salvage::declare())
}

pub(super) fn read(matches: &mut ArgMatches) -> Db {
    let (name, mut matches) = matches.remove_subcommand().expect("a command is required");
    match name.as_str() {
        "info" => Db::Info(info::read(&mut matches)),
        "check" => Db::Check(check::read(&mut matches)),
        "backup" => Db::Backup(backup::read(&mut matches)),
        "restore" => Db::Restore(restore::read(&mut matches)),
        "compact" => Db::Compact(compact::read(&mut matches)),
        "salvage" => Db::Salvage(salvage::read(&mut matches)),
        _ => unreachable!("all commands are listed"),
    }
}

impl Db {
    pub(super) fn execute(self) -> Outcome {
        match self {
            Self::Info(info) => info.execute(),
            Self::Check(check) => check.execute(),
            Self::Backup(backup) => backup.execute(),
            Self::Restore(restore) => restore.execute(),
            Self::Compact(compact) => compact.execute(),
            Self::Salvage(salvage) => salvage.execute(),
        }
    }
}

/// An argument that names a file.
fn file(name: &'static str, help: &'static str) -> Arg {
    let value_name = name.to_uppercase();
    Arg::new(name).value_name(value_name).required(true).value_parser(value_parser!(PathBuf)).help(help)
}

fn read_file(matches: &mut ArgMatches, name: &str) -> PathBuf {
    matches.remove_one(name).expect("files are required")
}

/// The flag that lets a command overwrite a file.
fn force() -> Arg {
    flags::switch("force").help("Overwrite a file that is there")
}

/// The time in milliseconds since the Unix epoch.
fn now() -> u64 {
    SystemClock.now()
}

/// Runs what takes long, with a bar on a terminal that shows how far it has come.
fn with_bar<T>(work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
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
fn explain(file: &Path, error: &Error) -> String {
    let text = match error {
        // Those that name the file, which may be another one.
        Error::File { .. } | Error::Open { .. } => error.to_string(),
        _ => format!("{}: {error}", file.display()),
    };
    match error {
        Error::File { problem: FileProblem::Exists, .. } => format!("{text}: --force overwrites it"),
        Error::File { problem: FileProblem::Damaged(_) | FileProblem::NotADatabase, .. } => {
            format!("{text}\nWhat to do with a damaged file says docs/recovery.md.")
        }
        _ => text,
    }
}

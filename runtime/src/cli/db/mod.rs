//! `openkv db`: the maintenance commands for database files.

mod backup;
mod check;
mod common;
mod compact;
mod info;
mod restore;
mod salvage;
mod signals;

use clap::{ArgMatches, Command};

use super::outcome::Outcome;

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
        .about("Checks, copies and repairs database files")
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

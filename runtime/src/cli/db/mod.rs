//! `openkv db`: the maintenance commands for database files.

mod backup;
mod check;
mod common;
mod compact;
mod info;
mod queue;
mod restore;
mod salvage;
#[cfg(feature = "connect")]
mod serve;
mod signals;

use clap::{ArgMatches, Command};

use super::outcome::Outcome;

/// A command of `openkv db`.
pub(crate) enum Db {
    Info(info::Info),
    Queue(queue::Queue),
    Check(check::Check),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Compact(compact::Compact),
    Salvage(salvage::Salvage),
    #[cfg(feature = "connect")]
    Serve(serve::Serve),
}

pub(super) fn declare() -> Command {
    let command = Command::new("db")
        .about("Checks, copies, repairs and serves databases")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(info::declare())
        .subcommand(queue::declare())
        .subcommand(check::declare())
        .subcommand(backup::declare())
        .subcommand(restore::declare())
        .subcommand(compact::declare())
        .subcommand(salvage::declare());
    #[cfg(feature = "connect")]
    let command = command.subcommand(serve::declare());
    command
}

pub(super) fn read(matches: &mut ArgMatches) -> Db {
    let (name, mut matches) = matches.remove_subcommand().expect("a command is required");
    match name.as_str() {
        "info" => Db::Info(info::read(&mut matches)),
        "queue" => Db::Queue(queue::read(&mut matches)),
        "check" => Db::Check(check::read(&mut matches)),
        "backup" => Db::Backup(backup::read(&mut matches)),
        "restore" => Db::Restore(restore::read(&mut matches)),
        "compact" => Db::Compact(compact::read(&mut matches)),
        "salvage" => Db::Salvage(salvage::read(&mut matches)),
        #[cfg(feature = "connect")]
        "serve" => Db::Serve(serve::read(&mut matches)),
        _ => unreachable!("all commands are listed"),
    }
}

impl Db {
    pub(super) fn execute(self) -> Outcome {
        match self {
            Self::Info(info) => info.execute(),
            Self::Queue(queue) => queue.execute(),
            Self::Check(check) => check.execute(),
            Self::Backup(backup) => backup.execute(),
            Self::Restore(restore) => restore.execute(),
            Self::Compact(compact) => compact.execute(),
            Self::Salvage(salvage) => salvage.execute(),
            #[cfg(feature = "connect")]
            Self::Serve(serve) => serve.execute(),
        }
    }
}

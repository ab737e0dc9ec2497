//! `openkv db`: the commands that maintain, serve, and move databases, and read and write their entries.

mod backup;
mod check;
mod common;
mod compact;
mod copy;
mod data;
mod info;
mod locations;
mod queue;
mod remote;
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
    Copy(copy::Copy),
    Data(data::Data),
    Salvage(salvage::Salvage),
    #[cfg(feature = "connect")]
    Serve(serve::Serve),
}

pub(super) fn declare() -> Command {
    let command = Command::new("db")
        .about("Checks, copies, repairs, serves and edits databases")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(info::declare())
        .subcommand(queue::declare())
        .subcommand(check::declare())
        .subcommand(backup::declare())
        .subcommand(restore::declare())
        .subcommand(compact::declare())
        .subcommand(copy::declare())
        .subcommands(data::declare())
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
        "copy" => Db::Copy(copy::read(&mut matches)),
        "salvage" => Db::Salvage(salvage::read(&mut matches)),
        #[cfg(feature = "connect")]
        "serve" => Db::Serve(serve::read(&mut matches)),
        _ => Db::Data(data::read(&name, &mut matches)),
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
            Self::Copy(copy) => copy.execute(),
            Self::Data(data) => data.execute(),
            Self::Salvage(salvage) => salvage.execute(),
            #[cfg(feature = "connect")]
            Self::Serve(serve) => serve.execute(),
        }
    }
}

use std::path::PathBuf;

use clap::{ArgMatches, Command};
use indicatif::HumanBytes;
use openkv_engine::maintenance;

use super::common;
use crate::cli::outcome::{self, Outcome};

/// `openkv db backup`: copies a database while it is in use.
pub(crate) struct Backup {
    file: PathBuf,
    to: PathBuf,
    force: bool,
}

pub(super) fn declare() -> Command {
    Command::new("backup")
        .about("Copies a consistent snapshot of a database, even while it is in use")
        .arg(common::file("file", "The file of the database"))
        .arg(common::file("to", "The file to create, complete or not at all"))
        .arg(common::force())
}

pub(super) fn read(matches: &mut ArgMatches) -> Backup {
    Backup {
        file: common::read_file(matches, "file"),
        to: common::read_file(matches, "to"),
        force: matches.get_flag("force"),
    }
}

impl Backup {
    pub(super) fn execute(self) -> Outcome {
        super::signals::handle()?;
        let backup = common::with_bar(|progress| maintenance::backup(&self.file, &self.to, self.force, progress));
        let backup = backup.map_err(|error| common::explain(&self.file, &error))?;
        outcome::print(&format!("{}: {}\n", self.to.display(), HumanBytes(backup.size)))
    }
}

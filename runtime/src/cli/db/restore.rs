use std::path::PathBuf;

use clap::{ArgMatches, Command};
use indicatif::HumanBytes;
use openkv_engine::maintenance;

use super::common;
use crate::cli::outcome::{self, Outcome};

/// `openkv db restore`: replaces a database with a backup.
pub(crate) struct Restore {
    backup: PathBuf,
    file: PathBuf,
    force: bool,
}

pub(super) fn declare() -> Command {
    Command::new("restore")
        .about("Checks a backup, and replaces a database with it that no program has open")
        .arg(common::file("backup", "The backup"))
        .arg(common::file("file", "The database file, which is replaced completely or not at all"))
        .arg(common::force())
}

pub(super) fn read(matches: &mut ArgMatches) -> Restore {
    Restore {
        backup: common::read_file(matches, "backup"),
        file: common::read_file(matches, "file"),
        force: matches.get_flag("force"),
    }
}

impl Restore {
    pub(super) fn execute(self) -> Outcome {
        super::signals::handle()?;
        let restored =
            common::with_bar(|progress| maintenance::restore(&self.backup, &self.file, self.force, progress));
        let restored = restored.map_err(|error| common::explain(&self.file, &error))?;
        if restored.forgot_versionstamps {
            eprintln!(
                "Failed to read the last versionstamp of the old file: versionstamps after that of the backup may be \
                 reused."
            );
        }
        let (size, last) = (HumanBytes(restored.size), restored.last_versionstamp);
        outcome::print(&format!("{}: {size}, last versionstamp {last}\n", self.file.display()))
    }
}

use std::path::PathBuf;

use clap::{ArgMatches, Command};
use indicatif::{HumanBytes, HumanCount};
use openkv_engine::maintenance::{self, Size};

use super::common;
use crate::cli::outcome::{self, Outcome};

/// `openkv db compact`: gives free space back to the disk.
pub(crate) struct Compact {
    file: PathBuf,
}

pub(super) fn declare() -> Command {
    Command::new("compact")
        .about("Removes expired entries, and gives free space back to the disk")
        .after_help(
            "Programs may have the file open: their writes wait. While it runs, it needs as much room again in the directory \
             for temporary files, and beside the file.",
        )
        .arg(common::file("file", "The file of the database"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Compact {
    Compact { file: common::read_file(matches, "file") }
}

impl Compact {
    pub(super) fn execute(self) -> Outcome {
        let done = common::with_bar(|progress| maintenance::compact(&self.file, common::now(), progress));
        let done = done.map_err(|error| common::explain(&self.file, &error))?;
        if !done.checkpointed {
            eprintln!(
                "Other processes read from the WAL all the time: it is checkpointed by the next of their writes, or later."
            );
        }
        let size = |Size { file, wal, .. }| format!("file {}, WAL {}", HumanBytes(file), HumanBytes(wal));
        outcome::print(&format!(
            "expired entries removed: {}\nbefore: {}\nafter:  {}\n",
            HumanCount(done.expired),
            size(done.before),
            size(done.after)
        ))
    }
}

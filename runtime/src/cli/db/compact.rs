use std::path::PathBuf;

use clap::{ArgMatches, Command};
use indicatif::{HumanBytes, HumanCount};
use openkv_engine::maintenance::{self, Size};

use super::common;
use crate::cli::outcome::{self, Outcome};

/// `openkv db compact`: returns free space to the file system.
pub(crate) struct Compact {
    file: PathBuf,
}

pub(super) fn declare() -> Command {
    Command::new("compact")
        .about("Removes expired entries, and returns free space to the file system")
        .after_help(
            "Programs may have the file open, but their writes wait. It temporarily needs as much space again both in the \
             directory for temporary files and in that of the database.",
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
            eprintln!("The WAL is still in use by other processes: it is checkpointed after one of their next writes.");
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

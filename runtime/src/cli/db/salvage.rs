use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgMatches, Command};
use openkv_engine::maintenance;

use super::common;
use crate::cli::outcome::{self, Outcome};

/// `openkv db salvage`: recovers the readable contents of a corrupt file.
pub(crate) struct Salvage {
    file: PathBuf,
    to: PathBuf,
    force: bool,
}

pub(super) fn declare() -> Command {
    Command::new("salvage")
        .about("Copies the readable contents of a corrupt database to a new file")
        .after_help("The exit code is 0 if everything was recovered, and 1 if anything was lost.")
        .arg(common::file("file", "The corrupt file, which is not changed"))
        .arg(common::file("to", "The file to create"))
        .arg(common::force())
}

pub(super) fn read(matches: &mut ArgMatches) -> Salvage {
    Salvage {
        file: common::read_file(matches, "file"),
        to: common::read_file(matches, "to"),
        force: matches.get_flag("force"),
    }
}

impl Salvage {
    pub(super) fn execute(self) -> Outcome {
        super::signals::handle()?;
        let saved = common::with_bar(|progress| maintenance::salvage(&self.file, &self.to, self.force, progress));
        let saved = saved.map_err(|error| common::explain(&self.file, &error))?;
        let mut text = String::new();
        for lost in &saved.lost {
            writeln!(text, "{lost}").expect("writing to a string succeeds");
        }
        if saved.forgot_versionstamps {
            text.push_str(
                "Failed to read the last versionstamp: versionstamps after that of the latest entry may be reused.\n",
            );
        }
        writeln!(text, "{}: {} entries, {} messages saved", self.to.display(), saved.entries, saved.messages)
            .expect("writing to a string succeeds");
        outcome::print(&text)?;
        Ok(u8::from(!saved.lost.is_empty()))
    }
}

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgMatches, Command};
use openkv_engine::maintenance;

use super::common;
use crate::cli::outcome::{self, Outcome};

/// `openkv db salvage`: saves what can be read of a damaged file.
pub(crate) struct Salvage {
    file: PathBuf,
    to: PathBuf,
    force: bool,
}

pub(super) fn declare() -> Command {
    Command::new("salvage")
        .about("Copies what can be read of a damaged database into a new file")
        .after_help("The exit code is 0 where all was saved, and 1 where anything was lost.")
        .arg(common::file("file", "The damaged file, which is not changed"))
        .arg(common::file("to", "The file to make"))
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
            writeln!(text, "{lost}").expect("a string takes all");
        }
        if saved.forgot_versionstamps {
            text.push_str(
                "The last versionstamp cannot be read: later ones than that of any entry may be given again.\n",
            );
        }
        writeln!(text, "{}: {} entries, {} messages saved", self.to.display(), saved.entries, saved.messages)
            .expect("a string takes all");
        outcome::print(&text)?;
        Ok(u8::from(!saved.lost.is_empty()))
    }
}

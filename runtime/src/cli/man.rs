use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::outcome::Outcome;

/// Declares `openkv man`, with which a release is made. Users have the pages that it writes.
pub(super) fn declare() -> Command {
    Command::new("man")
        .about("Writes the man pages of all commands into a directory")
        .hide(true)
        .arg(Arg::new("directory").value_name("DIRECTORY").required(true).value_parser(value_parser!(PathBuf)))
}

pub(super) fn read(matches: &mut ArgMatches) -> PathBuf {
    matches.remove_one("directory").expect("DIRECTORY is required")
}

pub(super) fn execute(directory: &Path, declared: Command) -> Outcome {
    let written = clap_mangen::generate_to(declared, directory);
    written.map(|()| 0).map_err(|error| format!("failed to write the man pages to {}: {error}", directory.display()))
}

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::outcome::{Outcome, print};

/// Declares `openkv completions`, which prints a script with the shell completions of commands and flags.
pub(super) fn declare() -> Command {
    Command::new("completions")
        .about("Prints a shell script that completes commands and flags")
        .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)))
}

pub(super) fn read(matches: &mut ArgMatches) -> Shell {
    matches.remove_one("shell").expect("SHELL is required")
}

pub(super) fn execute(shell: Shell, mut declared: Command) -> Outcome {
    let mut script = vec![];
    clap_complete::generate(shell, &mut declared, "openkv", &mut script);
    print(&String::from_utf8_lossy(&script))
}

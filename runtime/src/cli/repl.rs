use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Outcome;
use super::flags::{self, RuntimeFlags};
use super::launch;

/// `openkv repl`: reads, evaluates and prints, again and again.
pub(crate) struct Repl {
    /// Scripts to evaluate first, as paths or URLs.
    eval_files: Vec<String>,
    /// Code to evaluate after them.
    eval: Option<String>,
    flags: RuntimeFlags,
}

pub(super) fn declare() -> Command {
    flags::declare(Command::new("repl"))
        .about("Reads, evaluates and prints, again and again")
        .arg(
            Arg::new("eval-file")
                .long("eval-file")
                .value_name("FILES")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("Evaluate files first"),
        )
        .arg(Arg::new("eval").long("eval").value_name("CODE").help("Evaluate code first, after the files"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Repl, clap::Error> {
    Ok(Repl {
        eval_files: matches.remove_many("eval-file").into_iter().flatten().collect(),
        eval: matches.remove_one("eval"),
        flags: RuntimeFlags::read(matches)?,
    })
}

impl Repl {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        let _ = (self.eval_files, self.eval);
        Err("there is no interactive mode yet: name a file to run".into())
    }
}

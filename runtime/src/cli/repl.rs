use clap::{Arg, ArgAction, ArgMatches, Command};
use openkv::{Options, Preamble, Runtime, repl, report};

use super::flags::{self, RuntimeFlags};
use super::launch;
use super::outcome::Outcome;

/// The main module that Deno has for its REPL, so that both open the same default database.
const MAIN_MODULE: &str = "./$deno$repl.mts";

/// `openkv repl`: an interactive read-eval-print loop.
pub(crate) struct Repl {
    /// Scripts to evaluate first, as paths or URLs.
    eval_files: Vec<String>,
    /// Code to evaluate after them.
    eval: Option<String>,
    allow_all: bool,
    flags: RuntimeFlags,
}

/// Flags of Deno for the REPL that are not supported. Those of all commands are in [`flags`].
const UNSUPPORTED: [(&str, Option<char>, &str); 1] = [("json", None, "results are printed as text")];

pub(super) fn declare() -> Command {
    flags::unsupported(flags::declare(Command::new("repl")), &UNSUPPORTED)
        .about("Starts an interactive read-eval-print loop")
        .arg(
            Arg::new("eval-file")
                .long("eval-file")
                .value_name("FILES")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("Evaluate files before reading input"),
        )
        .arg(
            Arg::new("eval")
                .long("eval")
                .value_name("CODE")
                .help("Evaluate code before reading input, after the files"),
        )
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Repl, clap::Error> {
    flags::check_unsupported(matches, &UNSUPPORTED)?;
    Ok(Repl {
        eval_files: matches.remove_many("eval-file").into_iter().flatten().collect(),
        eval: matches.remove_one("eval"),
        allow_all: matches.get_flag("allow-all"),
        flags: RuntimeFlags::read(matches)?,
    })
}

impl Repl {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        let options = launch::options(&self.flags, launch::url(MAIN_MODULE)?, Vec::new())?;
        let options = Options { main_text: Some(String::new()), ..options };
        let mut greeting = Vec::new();
        if !self.flags.quiet {
            greeting.push(concat!("OpenKV ", env!("CARGO_PKG_VERSION"), "\nexit using ctrl+d, ctrl+c, or close()"));
        }
        if !self.flags.quiet && self.allow_all {
            greeting.push("All permissions are granted. To restrict them, run `openkv repl` with --allow flags.");
        }
        let files = self
            .eval_files
            .iter()
            .map(|file| Preamble { name: format!("--eval-file {file:?}"), text: read_file(file) });
        let code = self.eval.map(|code| Preamble { name: "--eval".into(), text: Ok(code) });
        let preambles = files.chain(code).collect();
        let result = launch::block_on(async { repl(Runtime::new(options)?, preambles, &greeting.join("\n")).await })?;
        result.map(|code| code as u8).map_err(|error| report(&error))
    }
}

fn read_file(file: &str) -> Result<String, String> {
    let path = launch::url(file)?.to_file_path().map_err(|()| "it must be a file".to_owned())?;
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

//! The command line. Each command is a file, which declares its flags, reads them, and does what they ask for.

mod completions;
mod db;
mod env_file;
mod eval;
mod flags;
mod launch;
mod permissions;
mod repl;
mod run;
mod test;
mod types;

use std::io::{ErrorKind, Write};

use clap::ArgMatches;
use clap_complete::Shell;
use openkv::{DENO_VERSION, TYPESCRIPT_VERSION, V8_VERSION};

/// What the command line asks for.
pub(crate) enum Command {
    Run(run::Run),
    Eval(eval::Eval),
    Repl(repl::Repl),
    Test(Box<test::Test>),
    Db(db::Db),
    Types,
    Completions(Shell),
}

/// What a process ends with: an exit code, or a message for the user.
pub(crate) type Outcome = Result<u8, String>;

impl Command {
    /// Does it.
    pub(crate) fn execute(self) -> Outcome {
        match self {
            Self::Run(run) => run.execute(),
            Self::Eval(eval) => eval.execute(),
            Self::Repl(repl) => repl.execute(),
            Self::Test(test) => test.execute(),
            Self::Db(db) => db.execute(),
            Self::Types => types::execute(),
            Self::Completions(shell) => completions::execute(shell),
        }
    }
}

/// Reads the command line. Exits where it is wrong, or asks for help.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Command {
    let declared = declare();
    let args = with_command(args.into_iter().collect(), &declared);
    read(declared.get_matches_from(args)).unwrap_or_else(|error| error.exit())
}

fn declare() -> clap::Command {
    clap::Command::new("openkv")
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(format!(
            "{}\ndeno {DENO_VERSION} (the release whose API it has)\nv8 {V8_VERSION}\ntypescript {TYPESCRIPT_VERSION}",
            env!("CARGO_PKG_VERSION")
        ))
        .about("Runs TypeScript with Deno KV in it")
        .override_usage("openkv [run] [FLAGS] FILE [ARGS]...\n       openkv COMMAND")
        .subcommand_required(true)
        .subcommand(run::declare())
        .subcommand(eval::declare())
        .subcommand(repl::declare())
        .subcommand(test::declare())
        .subcommand(db::declare())
        .subcommand(types::declare())
        .subcommand(completions::declare())
}

fn read(mut matches: ArgMatches) -> Result<Command, clap::Error> {
    let (name, mut matches) = matches.remove_subcommand().expect("a command is required");
    Ok(match name.as_str() {
        "run" => Command::Run(run::read(&mut matches)?),
        "eval" => Command::Eval(eval::read(&mut matches)?),
        "repl" => Command::Repl(repl::read(&mut matches)?),
        "test" => Command::Test(Box::new(test::read(&mut matches)?)),
        "db" => Command::Db(db::read(&mut matches)),
        "types" => Command::Types,
        "completions" => Command::Completions(completions::read(&mut matches)),
        _ => unreachable!("all commands are listed"),
    })
}

/// Names the command where the user left it out: `openkv FILE` is `openkv run FILE`, and nothing at all is `openkv repl`
/// where everything is allowed.
fn with_command(mut args: Vec<String>, declared: &clap::Command) -> Vec<String> {
    let is_command = |arg: &str| arg == "help" || declared.find_subcommand(arg).is_some();
    match args.get(1).map(String::as_str) {
        None => args.extend(["repl".into(), "--allow-all".into()]),
        Some("-h" | "--help" | "-V" | "--version") => {}
        Some(arg) if is_command(arg) => {}
        Some(_) => args.insert(1, "run".into()),
    }
    args
}

/// Prints a text. A reader that leaves before its end, such as `head`, is no error.
fn print(text: &str) -> Outcome {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("nothing can be printed: {error}")),
        _ => Ok(0),
    }
}

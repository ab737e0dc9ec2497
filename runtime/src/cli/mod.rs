//! The command line. Each command has a file, which declares and reads its flags, and executes the command.

mod absent;
mod arguments;
mod completions;
mod db;
mod dependencies;
mod env_file;
mod eval;
mod flags;
mod inspect;
mod launch;
mod man;
mod npm;
mod outcome;
mod permission_sets;
mod permissions;
mod program;
mod repl;
mod run;
mod serve;
mod studio;
mod task;
mod test;
mod types;
mod warnings;
mod watch;

use std::path::PathBuf;

use clap::ArgMatches;
use clap_complete::Shell;
use openkv::{DENO_VERSION, TYPESCRIPT_VERSION, V8_VERSION};

pub(crate) use outcome::Outcome;

/// A command, with its arguments.
pub(crate) enum Command {
    Run(run::Run),
    Eval(eval::Eval),
    Repl(repl::Repl),
    Serve(Box<serve::Serve>),
    Studio(Box<studio::Studio>),
    Task(Box<task::Task>),
    Test(Box<test::Test>),
    Db(db::Db),
    Dependencies(Box<dependencies::Dependencies>),
    Types,
    Completions(Shell),
    Man(PathBuf),
}

impl Command {
    /// Executes the command.
    pub(crate) fn execute(self) -> Outcome {
        match self {
            Self::Run(run) => run.execute(),
            Self::Eval(eval) => eval.execute(),
            Self::Repl(repl) => repl.execute(),
            Self::Serve(serve) => serve.execute(),
            Self::Studio(studio) => studio.execute(),
            Self::Task(task) => task.execute(),
            Self::Test(test) => test.execute(),
            Self::Db(db) => db.execute(),
            Self::Dependencies(dependencies) => dependencies.execute(),
            Self::Types => types::execute(),
            Self::Completions(shell) => completions::execute(shell, declare()),
            Self::Man(directory) => man::execute(&directory, declare()),
        }
    }
}

/// Parses the command line. Exits if it is invalid, or requests help or the version.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Command {
    let declared = declare();
    let args = with_command(args.into_iter().collect(), &declared).unwrap_or_else(|error| error.exit());
    read(declared.get_matches_from(args)).unwrap_or_else(|error| error.exit())
}

fn declare() -> clap::Command {
    clap::Command::new("openkv")
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(format!(
            "{}\ndeno {DENO_VERSION} (the release whose API it has)\nv8 {V8_VERSION}\ntypescript {TYPESCRIPT_VERSION}",
            env!("CARGO_PKG_VERSION")
        ))
        .about("A TypeScript runtime with Deno KV built in")
        .override_usage("openkv [run] [FLAGS] FILE [ARGS]...\n       openkv COMMAND")
        .subcommand_required(true)
        .subcommand(run::declare())
        .subcommand(eval::declare())
        .subcommand(repl::declare())
        .subcommand(serve::declare())
        .subcommand(studio::declare())
        .subcommand(task::declare())
        .subcommand(test::declare())
        .subcommand(dependencies::declare_add())
        .subcommand(dependencies::declare_remove())
        .subcommand(dependencies::declare_install())
        .subcommand(dependencies::declare_cache())
        .subcommand(db::declare())
        .subcommand(types::declare())
        .subcommand(completions::declare())
        .subcommand(man::declare())
}

fn read(mut matches: ArgMatches) -> Result<Command, clap::Error> {
    let (name, mut matches) = matches.remove_subcommand().expect("a command is required");
    Ok(match name.as_str() {
        "run" => Command::Run(run::read(&mut matches)?),
        "eval" => Command::Eval(eval::read(&mut matches)?),
        "repl" => Command::Repl(repl::read(&mut matches)?),
        "serve" => Command::Serve(Box::new(serve::read(&mut matches)?)),
        "studio" => Command::Studio(Box::new(studio::read(&mut matches))),
        "task" => Command::Task(Box::new(task::read(&mut matches))),
        "test" => Command::Test(Box::new(test::read(&mut matches)?)),
        "add" => Command::Dependencies(Box::new(dependencies::read_add(&mut matches)?)),
        "remove" => Command::Dependencies(Box::new(dependencies::read_remove(&mut matches)?)),
        "install" => Command::Dependencies(Box::new(dependencies::read_install(&mut matches)?)),
        "cache" => Command::Dependencies(Box::new(dependencies::read_cache(&mut matches)?)),
        "db" => Command::Db(db::read(&mut matches)),
        "types" => Command::Types,
        "completions" => Command::Completions(completions::read(&mut matches)),
        "man" => Command::Man(man::read(&mut matches)),
        _ => unreachable!("all commands are listed"),
    })
}

/// Inserts the command if the user left it out: `openkv FILE` is `openkv run FILE`, and `openkv` alone is
/// `openkv repl --allow-all`. Flags that all commands have may precede it.
///
/// # Errors
/// A command that only Deno has, or a flag before the command that must follow it.
fn with_command(mut args: Vec<String>, declared: &clap::Command) -> Result<Vec<String>, clap::Error> {
    let is_command = |arg: &str| arg == "help" || declared.find_subcommand(arg).is_some();
    let command = 1 + flags_before_command(&args[1.min(args.len())..], declared);
    let Some(name) = args.get(command).cloned() else {
        match args.get(1).map(String::as_str) {
            None => args.extend(["repl".into(), "--allow-all".into()]),
            Some("-h" | "--help" | "-V" | "--version") => {}
            Some("-v") => args[1] = "-V".into(),
            Some(_) => args.insert(1, "run".into()),
        }
        return Ok(args);
    };
    match args[1].as_str() {
        "-h" | "--help" | "-V" | "--version" => return Ok(args),
        "-v" => args[1] = "-V".into(),
        _ => {
            if let Some(error) = absent::error(&name, declared) {
                return Err(error);
            }
            if !is_command(&name) {
                args.insert(1, "run".into());
            } else if let Some(flag) = args[1..command].iter().find(|flag| !is_global(flag)) {
                let message = format!("unexpected argument '{flag}' found: flags come after the command '{name}'\n");
                return Err(clap::Error::raw(clap::error::ErrorKind::UnknownArgument, message));
            } else {
                args[1..=command].rotate_right(1);
            }
        }
    }
    Ok(args)
}

/// Counts the arguments before the command: flags, and values that are separate arguments.
fn flags_before_command(args: &[String], declared: &clap::Command) -> usize {
    let run = declared.find_subcommand("run").expect("the command is declared");
    let takes_next = |flag: &str| {
        let is_match = |arg: &clap::Arg| match flag.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short().is_some_and(|short| flag.ends_with(short)),
        };
        let arg = run.get_arguments().find(|arg| is_match(arg));
        arg.is_some_and(|arg| {
            arg.get_action().takes_values()
                && !arg.is_require_equals_set()
                && arg.get_num_args().is_none_or(|number| number.min_values() > 0)
        })
    };
    let mut count = 0;
    while let Some(flag) = args.get(count).filter(|arg| arg.len() > 1 && arg.starts_with('-')) {
        count += if takes_next(flag) { 2 } else { 1 };
    }
    count
}

/// Returns whether a flag, or the value of one, is accepted by all commands that run scripts.
fn is_global(arg: &str) -> bool {
    let is_log_level = |level: &str| ["trace", "debug", "info"].contains(&level);
    matches!(arg, "-q" | "--quiet" | "-L" | "--log-level")
        || is_log_level(arg.trim_start_matches("--log-level=").trim_start_matches("-L"))
}

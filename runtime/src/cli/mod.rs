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

use std::cell::LazyCell;
use std::path::PathBuf;

use clap::ArgMatches;
use clap_complete::Shell;
use openkv::{DENO_VERSION, TYPESCRIPT_VERSION, V8_VERSION};

use dependencies::Dependencies;
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
    Dependencies(Box<Dependencies>),
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

/// How a command is declared, and read from the command line.
struct Declaration {
    name: &'static str,
    aliases: &'static [&'static str],
    declare: fn() -> clap::Command,
    read: fn(&mut ArgMatches) -> Result<Command, clap::Error>,
}

/// All commands, in the order of the help.
const COMMANDS: [Declaration; 15] = [
    declaration("run", &[], run::declare, |matches| run::read(matches).map(Command::Run)),
    declaration("eval", &[], eval::declare, |matches| eval::read(matches).map(Command::Eval)),
    declaration("repl", &[], repl::declare, |matches| repl::read(matches).map(Command::Repl)),
    declaration("serve", &[], serve::declare, |matches| serve::read(matches).map(Box::new).map(Command::Serve)),
    declaration("studio", &[], studio::declare, |matches| Ok(Command::Studio(Box::new(studio::read(matches))))),
    declaration("task", &[], task::declare, |matches| Ok(Command::Task(Box::new(task::read(matches))))),
    declaration("test", &[], test::declare, |matches| test::read(matches).map(Box::new).map(Command::Test)),
    declaration("add", &[], dependencies::declare_add, |matches| of_dependencies(dependencies::read_add(matches))),
    declaration("remove", &["rm", "uninstall"], dependencies::declare_remove, |matches| {
        of_dependencies(dependencies::read_remove(matches))
    }),
    declaration("install", &["i"], dependencies::declare_install, |matches| {
        of_dependencies(dependencies::read_install(matches))
    }),
    declaration("cache", &[], dependencies::declare_cache, |matches| {
        of_dependencies(dependencies::read_cache(matches))
    }),
    declaration("db", &[], db::declare, |matches| Ok(Command::Db(db::read(matches)))),
    declaration("types", &[], types::declare, |_| Ok(Command::Types)),
    declaration("completions", &[], completions::declare, |matches| {
        Ok(Command::Completions(completions::read(matches)))
    }),
    declaration("man", &[], man::declare, |matches| Ok(Command::Man(man::read(matches)))),
];

const fn declaration(
    name: &'static str,
    aliases: &'static [&'static str],
    declare: fn() -> clap::Command,
    read: fn(&mut ArgMatches) -> Result<Command, clap::Error>,
) -> Declaration {
    Declaration { name, aliases, declare, read }
}

fn of_dependencies(read: Result<Dependencies, clap::Error>) -> Result<Command, clap::Error> {
    read.map(Box::new).map(Command::Dependencies)
}

impl Declaration {
    fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    fn declare(&self) -> clap::Command {
        (self.declare)().visible_aliases(self.aliases)
    }
}

/// Parses the command line. Exits if it is invalid, or requests help or the version.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Command {
    let args = with_command(args.into_iter().collect()).unwrap_or_else(|error| error.exit());
    // Declaring all commands would take a tenth of the time in which an empty script runs.
    let declared = match args.get(1).and_then(|name| find(name)) {
        Some(command) => program().subcommand(command.declare()),
        None => declare(),
    };
    let (name, mut matches) = declared.get_matches_from(args).remove_subcommand().expect("a command is required");
    let command = find(&name).expect("it was declared");
    (command.read)(&mut matches).unwrap_or_else(|error| error.exit())
}

fn find(name: &str) -> Option<&'static Declaration> {
    COMMANDS.iter().find(|command| command.is_named(name))
}

/// Declares the program with all commands.
fn declare() -> clap::Command {
    program().subcommands(COMMANDS.iter().map(Declaration::declare))
}

/// Declares the program without commands.
fn program() -> clap::Command {
    clap::Command::new("openkv")
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(format!(
            "{}\ndeno {DENO_VERSION} (the release whose API it has)\nv8 {V8_VERSION}\ntypescript {TYPESCRIPT_VERSION}",
            env!("CARGO_PKG_VERSION")
        ))
        .about("A TypeScript runtime with Deno KV built in")
        .override_usage("openkv [run] [FLAGS] FILE [ARGS]...\n       openkv COMMAND")
        .subcommand_required(true)
}

/// Inserts the command if the user left it out: `openkv FILE` is `openkv run FILE`, and `openkv` alone is
/// `openkv repl --allow-all`. Flags that all commands have may precede it.
///
/// # Errors
/// A command that only Deno has, or a flag before the command that must follow it.
fn with_command(mut args: Vec<String>) -> Result<Vec<String>, clap::Error> {
    let is_command = |arg: &str| arg == "help" || find(arg).is_some();
    let command = 1 + flags_before_command(&args[1.min(args.len())..]);
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
            if let Some(error) = absent::error(&name) {
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
fn flags_before_command(args: &[String]) -> usize {
    let run = LazyCell::new(run::declare);
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

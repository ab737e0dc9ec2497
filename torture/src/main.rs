//! `torture`: the long runs. `cargo xtask torture` builds what it needs, and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use openkv_torture::{
    Outcome, Programs, backup, claims, clock, close, compare, crash, faults, linear, model, paths, power, processes,
    scripts, soak,
};

#[derive(Parser)]
#[command(name = "cargo xtask torture", about = "Tries to make OpenKV lose data, and checks that it does not")]
struct Cli {
    /// The openkv binary.
    #[arg(long, default_value = "openkv")]
    openkv: PathBuf,
    /// The Deno to compare with.
    #[arg(long, default_value = "deno")]
    deno: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Backs a database up while it is written to, and restores it
    Backup(backup::Args),
    /// Ends listeners between claiming messages and handling them, or amid the handlers
    Claims(claims::Args),
    /// Steps the wall clock of processes that use one file
    Clock(clock::Args),
    /// Closes databases, and immediately copies, renames or opens the file, or ends the process
    Close(close::Args),
    /// Counts under OpenKV and Deno what is promised
    Compare(compare::Args),
    /// Kills processes that write, at random moments
    Crash(crash::Args),
    /// Lets the disk fail, at one call after the other
    Faults(faults::Args),
    /// Runs concurrent histories, and searches for one order that explains the answers of each
    Linear(linear::Args),
    /// Works as one of the processes of `linear`
    #[command(hide = true)]
    LinearWorker(linear::Worker),
    /// Runs random histories and programs, and compares every answer to that of a simple model
    Model(model::Args),
    /// Swaps paths for links to what is denied, while a script opens databases there
    Paths(paths::Args),
    /// Plays power failures, on a disk that forgets what was not synced
    Power(power::Args),
    /// Runs processes that do everything at once on one file, and counts what they were promised
    Processes(processes::Args),
    /// Calls anything in `Deno` with anything, from scripts that are made at random
    Scripts(scripts::Args),
    /// Uses everything of a database for a long time, and checks that nothing grows
    Soak(soak::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let programs = Programs { openkv: cli.openkv, deno: cli.deno };
    match run(&programs, cli.command) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            eprintln!("torture: {broken}");
            ExitCode::FAILURE
        }
    }
}

fn run(programs: &Programs, command: Command) -> Outcome {
    match command {
        Command::Backup(args) => backup::run(programs, &args),
        Command::Claims(args) => claims::run(programs, &args),
        Command::Clock(args) => clock::run(programs, &args),
        Command::Close(args) => close::run(programs, &args),
        Command::Compare(args) => compare::run(programs, &args),
        Command::Crash(args) => crash::run(programs, &args),
        Command::Faults(args) => faults::run(&args),
        Command::Linear(args) => linear::run(&args),
        Command::LinearWorker(args) => linear::run_worker(&args),
        Command::Model(args) => model::run(programs, &args),
        Command::Paths(args) => paths::run(programs, &args),
        Command::Power(args) => power::run(&args),
        Command::Processes(args) => processes::run(programs, &args),
        Command::Scripts(args) => scripts::run(programs, &args),
        Command::Soak(args) => soak::run(programs, &args),
    }
}

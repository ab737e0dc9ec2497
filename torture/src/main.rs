//! `torture`: the long forms of the tests. `cargo xtask torture` builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use openkv_torture::{
    Outcome, Programs, backup, claims, clock, close, compare, crash, failover, faults, fuzz, linear, model, paths,
    power, processes, scripts, serve, soak,
};

#[derive(Parser)]
#[command(name = "cargo xtask torture", about = "Tests that try to make OpenKV lose data")]
struct Cli {
    /// The openkv binary
    #[arg(long, default_value = "openkv")]
    openkv: PathBuf,
    /// The Deno binary to compare with
    #[arg(long, default_value = "deno")]
    deno: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Backs up a database under load, and restores it
    Backup(backup::Args),
    /// Terminates listeners after they have claimed messages, or while handlers run
    Claims(claims::Args),
    /// Steps the wall clock of processes that share a file
    Clock(clock::Args),
    /// Closes databases, and immediately copies, renames or opens the file, or exits
    Close(close::Args),
    /// Compares OpenKV's guarantees with Deno
    Compare(compare::Args),
    /// Kills writing processes at random moments
    Crash(crash::Args),
    /// Works as one of the processes of `crash`
    #[command(hide = true)]
    CrashWorker(crash::Worker),
    /// Kills the primary of PostgreSQL, or the leader of etcd, under load
    Failover(failover::Args),
    /// Makes each call to the disk fail in turn
    Faults(faults::Args),
    /// Runs fuzz targets on mutations of stored inputs
    Fuzz(fuzz::Args),
    /// Checks that concurrent histories are linearizable
    Linear(linear::Args),
    /// Works as one of the processes of `linear`
    #[command(hide = true)]
    LinearWorker(linear::Worker),
    /// Compares random histories and programs with a simple model
    Model(model::Args),
    /// Swaps paths for links to a denied directory, while a script opens databases there
    Paths(paths::Args),
    /// Simulates power failures that lose unsynced writes
    Power(power::Args),
    /// Mixes all operations in several processes on one file, and checks the totals
    Processes(processes::Args),
    /// Calls the functions of `Deno` with random arguments, from random scripts
    Scripts(scripts::Args),
    /// Cuts and delays the connections of a server, and kills it and its clients
    Serve(serve::Args),
    /// Uses a database for a long time, and checks that its resources stay bounded
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
        Err(failure) => {
            eprintln!("torture: {failure}");
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
        Command::CrashWorker(args) => crash::run_worker(&args),
        Command::Failover(args) => failover::run(&args),
        Command::Faults(args) => faults::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Linear(args) => linear::run(programs, &args),
        Command::LinearWorker(args) => linear::run_worker(&args),
        Command::Model(args) => model::run(programs, &args),
        Command::Paths(args) => paths::run(programs, &args),
        Command::Power(args) => power::run(&args),
        Command::Processes(args) => processes::run(programs, &args),
        Command::Scripts(args) => scripts::run(programs, &args),
        Command::Serve(args) => serve::run(programs, &args),
        Command::Soak(args) => soak::run(programs, &args),
    }
}

//! A process that works in lanes as `scripts/lanes.ts` does, with the engine alone.

use std::io::Write as _;
use std::{io, thread};

use futures_executor::block_on;
use openkv_engine::{Commit, Database};

use crate::ledger::{Step, decode_message, lane_state};
use crate::service::open;
use crate::{Outcome, failed};

/// The arguments of a worker process.
#[derive(Clone, Debug, clap::Args)]
pub struct Worker {
    /// The URL of the database.
    pub location: String,
    /// The number of the first lane.
    pub first: u32,
    /// The number of lanes. Without any, the process only handles messages.
    pub lanes: u32,
}

/// Writes and handles messages until the process is killed. Prints the lines that `scripts/lanes.ts` prints, and first the step that
/// each lane continues after ("c LANE NUMBER VERSIONSTAMP").
///
/// # Errors
/// A failed operation.
pub fn run_worker(args: &Worker) -> Outcome {
    let database = open(&args.location)?;
    let database = &database;
    thread::scope(|scope| {
        for lane in args.first..args.first + args.lanes {
            scope.spawn(move || stop_on_failure(work(database, lane)));
        }
        scope.spawn(|| stop_on_failure(listen(database)));
    });
    Ok(String::new())
}

/// Ends the process with the error of one of its threads, which run until then.
fn stop_on_failure(result: Result<(), String>) {
    if let Err(failure) = result {
        eprintln!("{failure}");
        std::process::exit(1);
    }
}

/// Writes a line as a whole, so that the lines of threads do not mix.
fn print(line: &str) -> Result<(), String> {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes()).map_err(failed("printing"))
}

fn work(database: &Database, lane: u32) -> Result<(), String> {
    let state = || lane_state(database, lane).map_err(failed("reading a lane"));
    let report = |what, number, versionstamp| print(&format!("{what} {lane} {number} {versionstamp}"));
    let mut done = state()?.unwrap_or_default();
    if done.number > 0 {
        report('c', done.number, done.versionstamp)?;
    }
    let mut is_first = true;
    loop {
        let step = Step { lane, number: done.number + 1 };
        match database.write_blocking(step.write(done)).map_err(failed("writing"))? {
            Commit::Done(versionstamp) => {
                (done.number, done.versionstamp) = (step.number, versionstamp);
                report('a', done.number, done.versionstamp)?;
            }
            Commit::Conflict { .. } => {
                // A server may receive the last write of a killed process after the reads of the next one.
                done = state()?.unwrap_or_default();
                if !is_first || done.number != step.number {
                    return Err(format!("lane {lane} lost a race without a concurrent writer"));
                }
                report('c', done.number, done.versionstamp)?;
            }
        }
        is_first = false;
        if step.number.is_multiple_of(5) && database.write_blocking(step.poison()).is_ok() {
            return Err("a sum of bytes was accepted".into());
        }
    }
}

fn listen(database: &Database) -> Result<(), String> {
    let mut deliveries = database.deliveries();
    while let Some(delivery) = block_on(deliveries.next()) {
        let delivery = delivery.map_err(failed("receiving messages"))?;
        let message = decode_message(&delivery.message).ok_or("a message of other bytes")?.to_owned();
        print(&format!("d {message}"))?;
        // A message that could not be finished is redelivered.
        if block_on(delivery.done()).is_ok() {
            print(&format!("f {message}"))?;
        }
    }
    Ok(())
}

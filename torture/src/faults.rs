//! A failing disk. Each call that a scenario makes fails in turn: once, or from then on, or because the disk is full. Each fault must
//! be reported as a storage error and lose nothing that was acknowledged, and the database must work again once the disk does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use futures_executor::block_on;
use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{AtomicWrite, Commit, Database, Error, Key, Mutation, Read, Result, Selector, Value};

use crate::disk::{Disk, Fault};
use crate::ledger::{Done, Ledger, Since, Step, decode_message, lane_state};
use crate::{Outcome, TIMEOUT, failed, scratch};

const LANE: u32 = 0;

/// The number of steps between opening and closing.
const STEPS: u32 = 8;

/// The arguments of `faults`.
#[derive(clap::Args)]
pub struct Args {
    /// Test only every nth call.
    #[arg(long, default_value_t = 1)]
    pub every: usize,
    /// Write enough that the WAL is checkpointed.
    #[arg(long)]
    pub bulk: bool,
}

/// The kind of a fault.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Once,
    FromThenOn,
    Full,
}

/// Makes each call fail in turn.
pub fn run(args: &Args) -> Outcome {
    let mut report = Vec::new();
    for kind in [Kind::Once, Kind::FromThenOn, Kind::Full] {
        let (calls, _) =
            try_with(kind.fault(u64::MAX), args.bulk).map_err(|failure| format!("without a fault: {failure}"))?;
        let (mut runs, mut errors) = (0, 0);
        for nth in (0..calls).step_by(args.every) {
            let (_, reported) = try_with(kind.fault(nth), args.bulk)
                .map_err(|failure| format!("{kind:?}, call {nth} of {calls}: {failure}"))?;
            runs += 1;
            errors += reported;
        }
        report.push(format!("{kind:?}: {runs} runs over {calls} calls, {errors} errors reported, nothing lost"));
    }
    Ok(report.join("\n"))
}

impl Kind {
    fn fault(self, nth: u64) -> Fault {
        let times = if matches!(self, Kind::Once) { 1 } else { u64::MAX };
        Fault { nth, times, full: matches!(self, Kind::Full) }
    }
}

/// Runs the scenario with a fault. Returns the numbers of calls and of reported errors.
fn try_with(fault: Fault, bulk: bool) -> Result<(u64, u64), String> {
    let (sender, finished) = mpsc::channel();
    let scenario = thread::spawn(move || {
        let result = run_scenario(fault, bulk);
        let _ = sender.send(());
        result
    });
    match finished.recv_timeout(TIMEOUT) {
        Err(mpsc::RecvTimeoutError::Timeout) => Err("it hangs".into()),
        _ => scenario.join().unwrap_or_else(|_| Err("it panics".into())),
    }
}

fn run_scenario(fault: Fault, bulk: bool) -> Result<(u64, u64), String> {
    let directory = scratch()?;
    let mut scenario = Scenario {
        disk: Disk::mount(directory.path()).map_err(failed("reading the directory"))?,
        path: directory.path().join("kv.sqlite3"),
        ledger: Ledger::default(),
        bulk,
        errors: 0,
        failure: None,
    };
    scenario.disk.inject(fault);
    // The first time creates the file, the second opens it.
    for _ in 0..2 {
        if let Some(database) = scenario.open() {
            scenario.work(&database);
            database.close();
            wait_closed(TIMEOUT);
        }
    }
    // A database that was open during the fault must work after it.
    let database = scenario.open();
    let (calls, failures) = scenario.disk.heal();
    let database = match database {
        Some(database) => database,
        None => open(&scenario.path).map_err(failed("opening, once the disk works"))?,
    };
    let errors = scenario.errors;
    scenario.work(&database);
    database.close();
    if let Some(failure) = scenario.failure {
        return Err(failure);
    }
    if scenario.errors != errors {
        return Err("operations still fail after the disk works again".into());
    }
    if failures == 0 && errors > 0 {
        return Err("operations failed without a fault".into());
    }
    wait_closed(TIMEOUT);
    scenario.ledger.check(&scenario.path, 1, Since::Now)?;
    Ok((calls, errors))
}

fn open(path: &Path) -> Result<Database> {
    sqlite::open(Location::file(path), Options::default())
}

/// Returns a write of about 120 pages: those of a scenario fill the WAL until it is checkpointed.
fn bulk() -> AtomicWrite {
    let set = |number| Mutation::set(Step { lane: LANE + 1, number }.filler_key(), Value::Bytes(vec![1; 60_000]));
    AtomicWrite { mutations: (0..8).map(set).collect(), ..AtomicWrite::new() }
}

struct Scenario {
    disk: Arc<Disk>,
    path: PathBuf,
    ledger: Ledger,
    bulk: bool,
    /// The number of reported errors.
    errors: u64,
    /// The guarantee that was violated, if any.
    failure: Option<String>,
}

impl Scenario {
    fn open(&mut self) -> Option<Database> {
        let opened = open(&self.path);
        self.ok(opened)
    }

    /// Returns the value of a result. Counts an error, which must be one that a disk can cause.
    fn ok<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors += 1;
                let caused = matches!(error, Error::Open { .. } | Error::Storage(_) | Error::Full(_) | Error::Busy);
                if !caused {
                    self.failure.get_or_insert(format!("the fault is reported as {error:?}"));
                }
                None
            }
        }
    }

    /// Runs all operations.
    fn work(&mut self, database: &Database) {
        for _ in 0..STEPS {
            if self.bulk {
                self.ok(database.write_blocking(bulk()));
            }
            self.step(database);
        }
        let range = Read::Range { start: &[], end: &[0xff], limit: 100, reverse: true, values: true };
        self.ok(database.read_blocking(&[Read::Key(&Key::new()), range]));
        self.ok(block_on(database.count(&Selector::prefix(&Key::new()))));
        self.ok(database.watch(&[Step { lane: LANE, number: 1 }.filler_key()]));
        self.ok(block_on(database.delete_range(&Selector::prefix(&Key::from(["nothing"])))));
        self.take_messages(database);
    }

    /// Does the next step of the lane, from the state in the database: after an error, the outcome of the last one is unknown.
    fn step(&mut self, database: &Database) {
        let Some(found) = self.ok(lane_state(database, LANE)) else { return };
        let before = found.unwrap_or_default();
        let done = self.ledger.done(LANE);
        // A step that failed may have been committed.
        if before != done {
            if before.number == done.number + 1 {
                self.acknowledge(before)
            } else {
                self.failure = Some(format!("the lane is at {before:?} after {done:?}"))
            }
        }
        let step = Step { lane: LANE, number: before.number + 1 };
        match self.ok(database.write_blocking(step.write(before))) {
            Some(Commit::Done(versionstamp)) => self.acknowledge(Done { number: step.number, versionstamp }),
            Some(Commit::Conflict { .. }) => {
                self.failure = Some(format!("{step:?} lost a race without a concurrent writer"));
            }
            None => {}
        }
    }

    fn acknowledge(&mut self, Done { number, versionstamp }: Done) {
        if let Err(failure) = self.ledger.acknowledge(Step { lane: LANE, number }, versionstamp) {
            self.failure = Some(failure);
        }
    }

    /// Receives messages, if there are any, and finishes every second one.
    fn take_messages(&mut self, database: &Database) {
        if self.ledger.undelivered().next().is_none() {
            return;
        }
        let Some(deliveries) = self.ok(block_on(database.dequeue())) else { return };
        for (i, delivery) in deliveries.into_iter().enumerate() {
            let message = decode_message(&delivery.message).unwrap_or_default().to_owned();
            if let Err(failure) = self.ledger.deliver(&message) {
                self.failure = Some(failure);
            }
            self.ok(block_on(if i % 2 == 0 { delivery.done() } else { delivery.retry() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_fault_is_reported_and_loses_nothing() {
        run(&Args { every: 37, bulk: false }).unwrap();
    }
}

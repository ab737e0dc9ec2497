//! A disk that fails. One call after the other of those that a scenario makes is let fail: once, or from then on, or for want of
//! space. Each failure must come back as an error of a kind, take nothing with it that was acknowledged, and leave a
//! database that works once the disk does.

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

/// How many steps a scenario does between one opening and closing.
const STEPS: u32 = 8;

/// How long to try.
#[derive(clap::Args)]
pub struct Args {
    /// Of how many calls to let one fail.
    #[arg(long, default_value_t = 1)]
    pub every: usize,
    /// Whether to write so much that the WAL is checkpointed in between.
    #[arg(long)]
    pub bulk: bool,
}

/// What the disk does wrong, from the nth call on.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Once,
    FromThenOn,
    Full,
}

/// Lets calls fail, one after the other.
pub fn run(args: &Args) -> Outcome {
    let mut report = Vec::new();
    for kind in [Kind::Once, Kind::FromThenOn, Kind::Full] {
        let (calls, _) =
            try_with(kind.fault(u64::MAX), args.bulk).map_err(|broken| format!("without a fault: {broken}"))?;
        let (mut runs, mut errors) = (0, 0);
        for nth in (0..calls).step_by(args.every) {
            let (_, told) = try_with(kind.fault(nth), args.bulk)
                .map_err(|broken| format!("{kind:?}, call {nth} of {calls}: {broken}"))?;
            runs += 1;
            errors += told;
        }
        report.push(format!("{kind:?}: {runs} runs over {calls} calls, {errors} errors told, nothing lost"));
    }
    Ok(report.join("\n"))
}

impl Kind {
    fn fault(self, nth: u64) -> Fault {
        let times = if matches!(self, Kind::Once) { 1 } else { u64::MAX };
        Fault { nth, times, full: matches!(self, Kind::Full) }
    }
}

/// Plays the scenario with a fault. Returns how many calls there were, and how many errors it told.
fn try_with(fault: Fault, bulk: bool) -> Result<(u64, u64), String> {
    let (answer, answered) = mpsc::channel();
    let scenario = thread::spawn(move || {
        let result = play(fault, bulk);
        let _ = answer.send(());
        result
    });
    match answered.recv_timeout(TIMEOUT) {
        Err(mpsc::RecvTimeoutError::Timeout) => Err("it hangs".into()),
        _ => scenario.join().unwrap_or_else(|_| Err("it panics".into())),
    }
}

fn play(fault: Fault, bulk: bool) -> Result<(u64, u64), String> {
    let directory = scratch()?;
    let mut scenario = Scenario {
        disk: Disk::mount(directory.path()).map_err(failed("reading the directory"))?,
        path: directory.path().join("kv.sqlite3"),
        ledger: Ledger::default(),
        bulk,
        errors: 0,
        broken: None,
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
    // A database that saw the fault works on when it is gone.
    let database = scenario.open();
    let (calls, failures) = scenario.disk.heal();
    let database = match database {
        Some(database) => database,
        None => open(&scenario.path).map_err(failed("opening, once the disk works"))?,
    };
    let errors = scenario.errors;
    scenario.work(&database);
    database.close();
    if let Some(broken) = scenario.broken {
        return Err(broken);
    }
    if scenario.errors != errors {
        return Err("it still fails when the disk works again".into());
    }
    if failures == 0 && errors > 0 {
        return Err("there are errors without a fault".into());
    }
    wait_closed(TIMEOUT);
    scenario.ledger.check(&scenario.path, 1, Since::Now)?;
    Ok((calls, errors))
}

fn open(path: &Path) -> Result<Database> {
    sqlite::open(Location::file(path), Options::default())
}

/// A write of some 120 pages: those of a scenario reach the length at which the WAL is checkpointed.
fn bulk() -> AtomicWrite {
    let set = |number| Mutation::set(Step { lane: LANE + 1, number }.filler_key(), Value::Bytes(vec![1; 60_000]));
    AtomicWrite { mutations: (0..8).map(set).collect(), ..AtomicWrite::new() }
}

struct Scenario {
    disk: Arc<Disk>,
    path: PathBuf,
    ledger: Ledger,
    bulk: bool,
    /// How many errors were told.
    errors: u64,
    /// What was wrong with one of them.
    broken: Option<String>,
}

impl Scenario {
    fn open(&mut self) -> Option<Database> {
        let opened = open(&self.path);
        self.told(opened)
    }

    /// Takes an answer, which may be an error of those that a disk can cause.
    fn told<T>(&mut self, answer: Result<T>) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors += 1;
                let caused = matches!(error, Error::Open { .. } | Error::Storage(_) | Error::Full(_) | Error::Busy);
                if !caused {
                    self.broken.get_or_insert(format!("the fault is told as {error:?}"));
                }
                None
            }
        }
    }

    /// Does everything that a database can.
    fn work(&mut self, database: &Database) {
        for _ in 0..STEPS {
            if self.bulk {
                self.told(database.write_blocking(bulk()));
            }
            self.step(database);
        }
        let range = Read::Range { start: &[], end: &[0xff], limit: 100, reverse: true, values: true };
        self.told(database.read_blocking(&[Read::Key(&Key::new()), range]));
        self.told(block_on(database.count(&Selector::prefix(&Key::new()))));
        self.told(database.watch(&[Step { lane: LANE, number: 1 }.filler_key()]));
        self.told(block_on(database.delete_range(&Selector::prefix(&Key::from(["nothing"])))));
        self.take_messages(database);
    }

    /// Does the next step of the lane, from where it is: after an error, that is for the database to say.
    fn step(&mut self, database: &Database) {
        let Some(found) = self.told(lane_state(database, LANE)) else { return };
        let before = found.unwrap_or_default();
        let done = self.ledger.done(LANE);
        // What failed may have been done all the same, as far as the database knows: the error came too late.
        if before != done {
            if before.number == done.number + 1 {
                self.acknowledge(before)
            } else {
                self.broken = Some(format!("the lane is at {before:?} after {done:?}"))
            }
        }
        let step = Step { lane: LANE, number: before.number + 1 };
        match self.told(database.write_blocking(step.write(before))) {
            Some(Commit::Done(versionstamp)) => self.acknowledge(Done { number: step.number, versionstamp }),
            Some(Commit::Conflict { .. }) => self.broken = Some(format!("{step:?} lost a race, and has no rival")),
            None => {}
        }
    }

    fn acknowledge(&mut self, Done { number, versionstamp }: Done) {
        if let Err(broken) = self.ledger.acknowledge(Step { lane: LANE, number }, versionstamp) {
            self.broken = Some(broken);
        }
    }

    /// Takes messages, if there are any, and finishes every second one.
    fn take_messages(&mut self, database: &Database) {
        if self.ledger.undelivered().next().is_none() {
            return;
        }
        let Some(deliveries) = self.told(block_on(database.dequeue())) else { return };
        for (i, delivery) in deliveries.into_iter().enumerate() {
            let message = decode_message(&delivery.message).unwrap_or_default().to_owned();
            if let Err(broken) = self.ledger.deliver(&message) {
                self.broken = Some(broken);
            }
            self.told(block_on(if i % 2 == 0 { delivery.done() } else { delivery.retry() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_disk_is_told_and_takes_nothing_with_it() {
        run(&Args { every: 37, bulk: false }).unwrap();
    }
}

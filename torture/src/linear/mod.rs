//! Random operations of several threads, and of several processes, on a few keys of one file, recorded with the times of their calls
//! and results. Each short history must be linearizable.

mod checker;

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::ops::ControlFlow;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{
    AtomicWrite, Check, Database, EntryRef, Key, KeyPart, Mutation, MutationKind, Operand, Read, ReadEntry, Value,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::{Outcome, failed};
use checker::{Cell, Change, Event, KEYS, Record};

/// The arguments of `linear`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The number of histories, with threads and with processes each.
    #[arg(long, default_value_t = 2000)]
    pub histories: u64,
    /// The number of concurrent threads or processes.
    #[arg(long, default_value_t = 4)]
    pub workers: usize,
    /// The number of operations of each in a history: at most 64 in total.
    #[arg(long, default_value_t = 10)]
    pub operations: usize,
    /// The seed of the random operations.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The arguments of a worker process.
#[derive(Clone, Debug, clap::Args)]
pub struct Worker {
    /// The database: a file, or the URL of one in PostgreSQL.
    pub location: String,
    /// The number of the worker.
    pub worker: usize,
    /// See [`Args::operations`].
    pub operations: usize,
    /// See [`Args::seed`].
    pub seed: u64,
}

/// Runs histories with threads, then with processes that run this program with the arguments of [`Worker`].
///
/// # Errors
/// A history that is not linearizable, or an operation that failed.
pub fn run(args: &Args) -> Outcome {
    let threads = with_threads(args)?;
    let processes = with_processes(args)?;
    Ok(format!("{threads}\n{processes}"))
}

/// Runs histories with threads, each with its own database handle on one file.
///
/// # Errors
/// See [`run`].
pub fn with_threads(args: &Args) -> Outcome {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let path = directory.path().join("kv.sqlite3");
    let location = path.to_string_lossy();
    let databases: Vec<_> = (0..args.workers).map(|_| open(&location)).collect::<Result<_, _>>()?;
    let barrier = Barrier::new(args.workers);
    run_histories("threads", args, |history| {
        thread::scope(|scope| {
            let work = databases.iter().enumerate().map(|(worker, database)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    work(database, history, worker, args.operations, args.seed)
                })
            });
            let working: Vec<_> = work.collect();
            working.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect()
        })
    })
}

fn with_processes(args: &Args) -> Outcome {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let path = directory.path().join("kv.sqlite3");
    let mut processes = Processes::start(&path.to_string_lossy(), args)?;
    run_histories("processes", args, |history| processes.run(history))
}

/// Worker processes on one database.
pub(crate) struct Processes(Vec<Process>);

impl Processes {
    /// Starts the processes.
    pub(crate) fn start(location: &str, args: &Args) -> Result<Self, String> {
        (0..args.workers).map(|worker| Process::start(location, worker, args)).collect::<Result<_, _>>().map(Self)
    }

    fn run(&mut self, history: u64) -> Result<Vec<Vec<Record>>, String> {
        self.0.iter_mut().try_for_each(|process| process.start_history(history))?;
        self.0.iter_mut().map(Process::records).collect()
    }

    /// Runs a history, reads its keys at its end, and checks it. Returns the number of operations.
    pub(crate) fn check(&mut self, history: u64, database: &Database) -> Result<usize, String> {
        let mut records = self.run(history)?.concat();
        let keys = keys(history)?;
        let begin = now();
        let entries = futures_executor::block_on(database.get_many(&keys)).map_err(failed("reading"))?;
        let cells = entries.into_iter().map(|entry| cell(entry.map(Into::into))).enumerate();
        records.push(Record { begin, end: now(), event: Event::Read(cells.collect()) });
        checker::check(&records).map_err(|error| format!("linear: {error}: {records:?}"))?;
        Ok(records.len())
    }
}

/// A worker process. Dropping it kills the process.
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(location: &str, worker: usize, args: &Args) -> Result<Self, String> {
        let program = env::current_exe().map_err(failed("finding this program"))?;
        let mut command = Command::new(program);
        command.arg("linear-worker").arg(location).args([worker.to_string(), args.operations.to_string()]);
        command.arg(args.seed.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed("starting a worker"))?;
        let input = child.stdin.take().ok_or("a worker has no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("a worker has no output")?).lines();
        Ok(Self { child, input, output })
    }

    fn start_history(&mut self, history: u64) -> Result<(), String> {
        writeln!(self.input, "{history}").map_err(failed("writing to a worker"))
    }

    fn records(&mut self) -> Result<Vec<Record>, String> {
        let line = self.output.next().ok_or("a worker exited")?.map_err(failed("reading from a worker"))?;
        serde_json::from_str(&line).map_err(failed("parsing the records of a worker"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs its part of each history whose number it reads from standard input.
///
/// # Errors
/// A failed operation.
pub fn run_worker(args: &Worker) -> Outcome {
    let database = open(&args.location)?;
    for line in io::stdin().lines() {
        let history = line.map_err(failed("reading the input"))?.parse().map_err(failed("parsing the input"))?;
        let records = work(&database, history, args.worker, args.operations, args.seed)?;
        println!("{}", serde_json::to_string(&records).map_err(failed("serializing the records"))?);
    }
    Ok(String::new())
}

/// Runs histories, each by a function of its number, and checks them.
fn run_histories(kind: &str, args: &Args, mut run: impl FnMut(u64) -> Result<Vec<Vec<Record>>, String>) -> Outcome {
    let begin = Instant::now();
    let (mut operations, mut overlapping, mut states, mut searching) = (0, 0, 0, Duration::ZERO);
    for number in 0..args.histories {
        let history = run(number)?.concat();
        let before = Instant::now();
        states += checker::check(&history).map_err(|error| format!("linear: {error}, with {kind}: {history:?}"))?;
        searching += before.elapsed();
        operations += history.len();
        overlapping += history.iter().filter(|one| history.iter().any(|other| overlap(one, other))).count();
    }
    let Args { histories, workers, operations: each, seed } = args;
    Ok(format!(
        "linear: {histories} histories of {workers} {kind} with {each} operations each, seed {seed}: linearizable; \
         {overlapping} of {operations} operations overlap with a write, {states} states searched in {searching:.1?} of {:.1?}",
        begin.elapsed()
    ))
}

/// Returns whether an operation was concurrent with another one, which is a write.
fn overlap(one: &Record, other: &Record) -> bool {
    !std::ptr::eq(one, other)
        && one.begin <= other.end
        && other.begin <= one.end
        && matches!(other.event, Event::Write { .. })
}

pub(crate) fn open(location: &str) -> Result<Database, String> {
    if openkv_postgres::is_address(location) {
        let address = openkv_postgres::Address::parse(location).map_err(failed("parsing the URL"))?;
        let opened = openkv_postgres::open(address, openkv_postgres::Options::default());
        return futures_executor::block_on(opened).map_err(failed("opening the database"));
    }
    let location = Location::File { path: location.into(), follow_links: false };
    sqlite::open(location, Options::default()).map_err(failed("opening the database"))
}

/// Returns the keys of a history.
fn keys(history: u64) -> Result<Vec<Key>, String> {
    let keys = (0..KEYS as i64).map(|key| Key::from_parts(&[KeyPart::bigint(history), KeyPart::bigint(key)]));
    keys.collect::<Result<_, _>>().map_err(failed("encoding a key"))
}

/// Returns the state of a key from its entry.
fn cell(entry: Option<ReadEntry>) -> Cell {
    entry.map(|entry| match entry.value {
        Some(Value::U64(number)) => (number, entry.versionstamp.to_string()),
        other => unreachable!("{other:?} was not written"),
    })
}

/// Runs the part of one worker of a history, whose keys belong to that history.
fn work(database: &Database, history: u64, worker: usize, operations: usize, seed: u64) -> Result<Vec<Record>, String> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(history << 8).wrapping_add(worker as u64));
    let keys = keys(history)?;
    // The last known versionstamps, for checks that may succeed.
    let mut seen: [Option<_>; KEYS] = [None; KEYS];
    let mut records = Vec::new();
    for _ in 0..operations {
        let [one, other] = *[0, 1, 2].choose_multiple(&mut random, 2).copied().collect::<Vec<_>>() else {
            unreachable!("two keys are chosen")
        };
        let number = random.random_range(1..100);
        let (read, check, changes) = match random.random_range(0..16) {
            0..3 => (vec![one], None, vec![]),
            3..6 => (vec![one, other], None, vec![]),
            6..9 => (vec![], None, vec![(one, Change::Add(number))]),
            9..11 => (vec![], None, vec![(one, Change::Add(number)), (other, Change::Add(number))]),
            11..15 => (vec![], Some(one), vec![(one, Change::Set(number))]),
            _ => (vec![], None, vec![(one, Change::Delete)]),
        };

        let pause = Duration::from_micros(if read.len() > 1 { random.random_range(0..2000) } else { 0 });
        let begin = now();
        let event = if changes.is_empty() {
            let reads: Vec<_> = read.iter().map(|key| Read::Key(&keys[*key])).collect();
            let mut lists = vec![Vec::new(); reads.len()];
            let mut visit = |i: usize, entry: EntryRef<'_>| {
                lists[i].push(entry.to_owned());
                // Gives other workers time to write between the keys of a read.
                thread::sleep(pause);
                ControlFlow::Continue(())
            };
            database.visit_blocking(&reads, &mut visit).map_err(failed("reading"))?;
            let cells = read.iter().zip(lists).map(|(key, mut list)| {
                let entry = list.pop();
                seen[*key] = entry.as_ref().map(|entry| entry.versionstamp);
                (*key, cell(entry))
            });
            Event::Read(cells.collect())
        } else {
            let checks = check.map(|key| Check { key: keys[key].clone(), versionstamp: seen[key] });
            let mutations = changes.iter().map(|(key, change)| mutation(&keys[*key], *change));
            let write = AtomicWrite {
                checks: checks.into_iter().collect(),
                mutations: mutations.collect(),
                ..AtomicWrite::default()
            };
            let check = check.map(|key| (key, seen[key].map(|stamp| stamp.to_string())));
            let committed = database.write_blocking(write).map_err(failed("writing"))?;
            let committed = committed.versionstamp();
            for (key, change) in committed.map(|_| &changes).into_iter().flatten() {
                seen[*key] = committed.filter(|_| !matches!(change, Change::Delete));
            }
            Event::Write { check, changes, committed: committed.map(|stamp| stamp.to_string()) }
        };
        records.push(Record { begin, end: now(), event });
    }
    Ok(records)
}

fn mutation(key: &Key, change: Change) -> Mutation {
    match change {
        Change::Set(number) => Mutation::set(key.clone(), Value::U64(number)),
        Change::Add(number) => {
            let kind = MutationKind::Combine { operand: Operand::Sum, value: Value::U64(number) };
            Mutation { key: key.clone(), kind }
        }
        Change::Delete => Mutation::delete(key.clone()),
    }
}

/// Returns the time of the monotonic clock, which all processes share, in nanoseconds.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_threads_are_linearizable() {
        let args = Args { histories: 30, workers: 4, operations: 8, seed: 1 };
        with_threads(&args).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

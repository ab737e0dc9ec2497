//! Random operations of several threads, and of several processes, on a few keys of one database, recorded with the times of their
//! calls and results. Each short history must be linearizable.

mod checker;

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::ops::ControlFlow;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use openkv_engine::{
    AtomicWrite, Check, Database, EntryRef, Key, KeyPart, Mutation, MutationKind, Operand, Read, ReadEntry, Value,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::companion::Companion;
use crate::service::{On, Service, open};
use crate::{Outcome, Programs, failed};
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
    /// Where the databases are: in a "file", in "etcd" or "postgres", which are started, or at a URL of either.
    #[arg(long, default_value = "file")]
    pub on: On,
    /// Lets Deno write to the file at the same time.
    #[arg(long, conflicts_with = "on")]
    pub with_deno: bool,
}

/// The arguments of a worker process.
#[derive(Clone, Debug, clap::Args)]
pub struct Worker {
    /// The database: the path of a file, or a URL.
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
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let service = Service::start(&args.on)?;
    let threads = with_deno(programs, &service.location("threads"), args, || with_threads(&service, args))?;
    let processes = with_deno(programs, &service.location("processes"), args, || with_processes(&service, args))?;
    Ok(format!("{threads}\n{processes}"))
}

/// Runs histories while Deno writes to the same file, if the arguments say so.
fn with_deno(programs: &Programs, location: &str, args: &Args, run: impl FnOnce() -> Outcome) -> Outcome {
    if !args.with_deno {
        return run();
    }
    let companion = Companion::start(programs, location.as_ref())?;
    let outcome = run()?;
    Ok(format!("{outcome}; Deno wrote {} times meanwhile", companion.finish(location.as_ref())?))
}

/// Runs histories with threads, each with its own handle on one database.
///
/// # Errors
/// See [`run`].
pub fn with_threads(service: &Service, args: &Args) -> Outcome {
    let location = service.location("threads");
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

fn with_processes(service: &Service, args: &Args) -> Outcome {
    let mut processes = Processes::start(&service.location("processes"), args)?;
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

    /// Runs a history, reads its keys at its end, and checks it.
    pub(crate) fn check(&mut self, history: u64, database: &Database) -> Result<Checked, String> {
        let mut records = self.run(history)?.concat();
        let begin = now();
        let end_state = state(history, database)?;
        let cells = end_state.iter().cloned().enumerate();
        records.push(Record { begin, end: now(), event: Event::Read(cells.collect()) });
        checker::check(&records).map_err(|error| format!("linear: {error}: {records:?}"))?;
        let durations = records.iter().map(|record| Duration::from_nanos(record.end - record.begin));
        let longest = durations.max().unwrap_or_default();
        let writes = records.iter().filter(|record| record.event.committed().is_some()).count();
        Ok(Checked { history, operations: records.len(), writes, longest, end_state })
    }
}

/// A linearizable history.
pub(crate) struct Checked {
    history: u64,
    /// The number of operations, and that of committed writes.
    pub operations: usize,
    pub writes: usize,
    /// The longest operation.
    pub longest: Duration,
    /// The keys at its end.
    end_state: Vec<Cell>,
}

impl Checked {
    /// Checks that the keys did not change since the end of the history.
    pub(crate) fn check_again(&self, database: &Database) -> Result<(), String> {
        let now = state(self.history, database)?;
        if now == self.end_state {
            Ok(())
        } else {
            Err(format!("linear: history {} ended with {:?}, and later had {now:?}", self.history, self.end_state))
        }
    }
}

/// Reads the keys of a history.
fn state(history: u64, database: &Database) -> Result<Vec<Cell>, String> {
    let entries = futures_executor::block_on(database.get_many(&keys(history)?)).map_err(failed("reading"))?;
    Ok(entries.into_iter().map(|entry| cell(entry.map(Into::into))).collect())
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
    let Args { histories, workers, operations: each, seed, on, .. } = args;
    Ok(format!(
        "linear, on {on}: {histories} histories of {workers} {kind} with {each} operations each, seed {seed}: linearizable; \
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
        let args = Args { histories: 30, workers: 4, operations: 8, seed: 1, on: On::File, with_deno: false };
        Service::start(&args.on)
            .and_then(|service| with_threads(&service, &args))
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}

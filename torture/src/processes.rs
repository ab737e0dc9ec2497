//! Processes that mix all operations on one file, while others start and exit. The totals are checked at the end: nothing is lost, no
//! partial commit is visible, and no operation fails.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::Child;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::Deserialize;

use crate::companion::Companion;
use crate::runtime::Runtime;
use crate::{Outcome, Programs, failed};

const ACCOUNTS: u64 = 10;
const MONEY: u64 = 100 * ACCOUNTS;

/// The arguments of `processes`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The number of processes that mix all operations.
    #[arg(long, default_value_t = 8)]
    pub workers: usize,
    /// The number of processes that open and close the database repeatedly. One more exits without closing it.
    #[arg(long, default_value_t = 2)]
    pub visitors: usize,
    /// How long they run, in seconds.
    #[arg(long, default_value_t = 300)]
    pub seconds: u64,
    /// Lets Deno write to the file at the same time.
    #[arg(long)]
    pub with_deno: bool,
}

/// The output of a worker.
#[derive(Deserialize)]
struct Work {
    counts: Counts,
    /// How long it ran, in milliseconds.
    worked: f64,
    /// The durations of operations, by kind, in milliseconds.
    times: BTreeMap<String, Vec<f64>>,
}

#[derive(Default, Deserialize)]
struct Counts {
    increments: u64,
    lost: u64,
    sums: u64,
    greatest: u64,
    logged: u64,
    moves: u64,
    snapshots: u64,
    sent: u64,
    received: u64,
    watched: u64,
}

/// The content of the database at the end.
#[derive(Deserialize)]
struct Report {
    increments: u64,
    sums: u64,
    greatest: u64,
    visits: u64,
    logged: u64,
    money: u64,
    sent: u64,
    delivered: u64,
    deliveries: u64,
}

/// Runs the processes, and checks the totals.
///
/// # Errors
/// A failed operation, a wrong result, or a total that differs from what was acknowledged.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let path = directory.path().join("kv.sqlite3");
    let start = |script: &str, numbers: &[u64]| Script::start(programs, script, &path, numbers);
    start("setup.ts", &[ACCOUNTS])?.finish()?;
    let companion = args.with_deno.then(|| Companion::start(programs, &path)).transpose()?;

    let [workers, seconds] = [args.workers as u64, args.seconds];
    let mut workers: Vec<_> =
        (0..workers).map(|i| start("worker.ts", &[i, workers, seconds, ACCOUNTS])).collect::<Result<_, _>>()?;
    let mut visitors: Vec<_> = (0..args.visitors).map(|_| start("visitor.ts", &[seconds])).collect::<Result<_, _>>()?;
    let (mut visits, mut processes) = (0, 0);
    let end = Instant::now() + Duration::from_secs(seconds);
    while are_running(&mut workers)? | are_running(&mut visitors)? {
        if Instant::now() < end {
            visits += number(&start("visitor.ts", &[0])?.finish()?)?;
            processes += 1;
        } else {
            thread::sleep(Duration::from_millis(10));
        }
    }
    for visitor in visitors {
        visits += number(&visitor.finish()?)?;
    }
    let mut works: Vec<Work> = Vec::new();
    for worker in workers {
        works.push(serde_json::from_str(&worker.finish()?).map_err(failed("parsing the output of a worker"))?);
    }

    let written = companion.map(|companion| companion.finish(&path)).transpose()?;

    let report: Report =
        serde_json::from_str(&start("report.ts", &[])?.finish()?).map_err(failed("parsing the report"))?;
    let sum = |count: fn(&Counts) -> u64| works.iter().map(|work| count(&work.counts)).sum::<u64>();
    let greatest = works.iter().map(|work| work.counts.greatest).max().unwrap_or_default();
    same("increments by check and set", report.increments, sum(|counts| counts.increments))?;
    same("sums", report.sums, sum(|counts| counts.sums))?;
    same("the greatest number", report.greatest, greatest)?;
    same("versionstamped keys", report.logged, sum(|counts| counts.logged))?;
    same("visits", report.visits, visits)?;
    same("the money of all accounts", report.money, MONEY)?;
    same("messages sent", report.sent, sum(|counts| counts.sent))?;
    same("messages delivered", report.delivered, report.sent)?;
    same("deliveries", report.deliveries, sum(|counts| counts.received))?;
    same("messages left in the queue", messages(&path)?, 0)?;

    let seconds = works.iter().map(|work| work.worked).fold(0.0, f64::max) / 1000.0;
    let counts = format!(
        "processes: {} workers and {} visitors for {seconds:.0} s, no error. {} increments and {} moves, {} races lost; \
         {} consistent snapshots of the accounts; {} messages in {} deliveries; {} watched changes; {visits} visits, {processes} \
         of them by short-lived processes.{}",
        args.workers,
        args.visitors,
        report.increments,
        sum(|counts| counts.moves),
        sum(|counts| counts.lost),
        sum(|counts| counts.snapshots),
        report.sent,
        report.deliveries,
        sum(|counts| counts.watched),
        written.map(|written| format!(" {written} writes by Deno.")).unwrap_or_default(),
    );
    Ok(format!("{counts}\n\n{}", table(works, seconds)))
}

/// Formats the durations of the operations as a table.
fn table(works: Vec<Work>, seconds: f64) -> String {
    let mut kinds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (kind, times) in works.into_iter().flat_map(|work| work.times) {
        kinds.entry(kind).or_default().extend(times);
    }
    let mut lines = vec![
        "| Operation | Times | A second | Median | 99.9 % | Slowest |".to_owned(),
        "| --- | ---: | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    for (kind, mut times) in kinds {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((share * times.len() as f64).ceil() as usize).clamp(1, times.len()) - 1];
        let [count, rate] = [times.len(), (times.len() as f64 / seconds).round() as usize];
        let [median, most, slowest] = [at(0.5), at(0.999), at(1.0)];
        lines.push(format!("| {kind} | {count} | {rate} | {median:.2} ms | {most:.1} ms | {slowest:.1} ms |"));
    }
    lines.join("\n")
}

/// A process that runs a script. Dropping it kills the process.
struct Script {
    child: Child,
    /// Its output, which is read continuously: a process blocks when the pipe is full.
    output: Option<JoinHandle<io::Result<String>>>,
    errors: Option<JoinHandle<io::Result<String>>>,
}

impl Script {
    fn start(programs: &Programs, script: &str, path: &Path, numbers: &[u64]) -> Result<Self, String> {
        let directory = path.parent().ok_or("a file has a directory")?;
        let mut command = Runtime::openkv(programs).script(&format!("processes/{script}"), directory);
        command.arg(path).args(numbers.iter().map(u64::to_string));
        let mut child = command.spawn().map_err(failed("starting openkv"))?;
        let (output, errors) = (child.stdout.take().map(read), child.stderr.take().map(read));
        Ok(Self { child, output, errors })
    }

    /// Returns whether it is running.
    ///
    /// # Errors
    /// If it has failed.
    fn is_running(&mut self) -> Result<bool, String> {
        let status = self.child.try_wait().map_err(failed("waiting for openkv"))?;
        if status.is_some_and(|status| !status.success()) {
            return Err(self.wait().err().unwrap_or_default());
        }
        Ok(status.is_none())
    }

    /// Waits for it to succeed. Returns what it printed.
    fn finish(mut self) -> Outcome {
        self.wait()
    }

    fn wait(&mut self) -> Outcome {
        let status = self.child.wait().map_err(failed("waiting for openkv"))?;
        let [output, errors] = [&mut self.output, &mut self.errors].map(|reader| {
            let reader = reader.take().ok_or("the output was already read")?;
            reader.join().map_err(|_| "a thread panicked")?.map_err(failed("reading the output of openkv"))
        });
        match (status.success(), errors?) {
            (true, errors) if errors.is_empty() => output,
            (_, errors) => Err(format!("processes: {status}: {errors}")),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut output: impl Read + Send + 'static) -> JoinHandle<io::Result<String>> {
    thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        Ok(text)
    })
}

fn are_running(scripts: &mut [Script]) -> Result<bool, String> {
    scripts.iter_mut().try_fold(false, |any, script| Ok(script.is_running()? | any))
}

fn number(output: &str) -> Result<u64, String> {
    output.trim().parse().map_err(failed("parsing the output of a visitor"))
}

/// Counts the messages that are in the queue or in flight.
fn messages(path: &Path) -> Result<u64, String> {
    let count = "select (select count(*) from queue) + (select count(*) from queue_running)";
    let file = Connection::open(path).map_err(failed("opening the database"))?;
    let messages: i64 = file.query_row(count, [], |row| row.get(0)).map_err(failed("counting messages"))?;
    Ok(messages.unsigned_abs())
}

fn same(what: &str, stored: u64, acknowledged: u64) -> Result<(), String> {
    if stored == acknowledged {
        Ok(())
    } else {
        Err(format!("processes: {what}: {stored} at the end, {acknowledged} acknowledged"))
    }
}

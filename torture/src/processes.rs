//! Processes that mix all operations on one file, and others that come and go beside them. What they were promised is counted
//! at the end: nothing is lost, nothing is seen by halves, no operation fails.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::Child;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::Deserialize;

use crate::runtime::Runtime;
use crate::{Outcome, Programs, failed};

const ACCOUNTS: u64 = 10;
const MONEY: u64 = 100 * ACCOUNTS;

/// How many processes to run, and how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many processes mix all operations.
    #[arg(long, default_value_t = 8)]
    pub workers: usize,
    /// How many processes open and close the database again and again. One more comes and leaves without closing it.
    #[arg(long, default_value_t = 2)]
    pub visitors: usize,
    /// How long they work, in seconds.
    #[arg(long, default_value_t = 300)]
    pub seconds: u64,
}

/// What a worker prints.
#[derive(Deserialize)]
struct Work {
    counts: Counts,
    /// How long it worked, in milliseconds.
    worked: f64,
    /// How long each operation took, by its kind, in milliseconds.
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

/// What the database holds at the end.
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

/// Runs the processes, and counts.
///
/// # Errors
/// An operation that failed, an answer that was wrong, or a count at the end that is not what the processes were promised.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let directory = tempfile::tempdir().map_err(failed("a directory"))?;
    let path = directory.path().join("kv.sqlite3");
    let start = |script: &str, numbers: &[u64]| Script::start(programs, script, &path, numbers);
    start("setup.ts", &[ACCOUNTS])?.finish()?;

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
        works.push(serde_json::from_str(&worker.finish()?).map_err(failed("the output of a worker"))?);
    }

    let report: Report = serde_json::from_str(&start("report.ts", &[])?.finish()?).map_err(failed("the report"))?;
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
         {} whole snapshots of the accounts; {} messages in {} deliveries; {} watched changes; {visits} visits, {processes} of \
         them by processes of their own.",
        args.workers,
        args.visitors,
        report.increments,
        sum(|counts| counts.moves),
        sum(|counts| counts.lost),
        sum(|counts| counts.snapshots),
        report.sent,
        report.deliveries,
        sum(|counts| counts.watched),
    );
    Ok(format!("{counts}\n\n{}", table(works, seconds)))
}

/// A table of how long the operations took.
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

/// A script that runs, and is ended when this is dropped.
struct Script {
    child: Child,
    /// What it prints, read as it comes: a process whose output is full waits.
    output: Option<JoinHandle<io::Result<String>>>,
    errors: Option<JoinHandle<io::Result<String>>>,
}

impl Script {
    fn start(programs: &Programs, script: &str, path: &Path, numbers: &[u64]) -> Result<Self, String> {
        let directory = path.parent().ok_or("a file has a directory")?;
        let mut command = Runtime::openkv(programs).script(&format!("processes/{script}"), directory);
        command.arg(path).args(numbers.iter().map(u64::to_string));
        let mut child = command.spawn().map_err(failed("openkv"))?;
        let (output, errors) = (child.stdout.take().map(read), child.stderr.take().map(read));
        Ok(Self { child, output, errors })
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// It failed.
    fn is_running(&mut self) -> Result<bool, String> {
        let status = self.child.try_wait().map_err(failed("openkv"))?;
        if status.is_some_and(|status| !status.success()) {
            return Err(self.end().err().unwrap_or_default());
        }
        Ok(status.is_none())
    }

    /// Waits for it to succeed. Returns what it printed.
    fn finish(mut self) -> Outcome {
        self.end()
    }

    fn end(&mut self) -> Outcome {
        let status = self.child.wait().map_err(failed("openkv"))?;
        let [output, errors] = [&mut self.output, &mut self.errors].map(|reader| {
            let reader = reader.take().ok_or("the output was read already")?;
            reader.join().map_err(|_| "a thread panicked")?.map_err(failed("the output of openkv"))
        });
        match (status.success(), errors?) {
            (true, errors) if errors.is_empty() => output,
            (_, errors) => Err(format!("processes: one ended with {status}: {errors}")),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // One that ended needs neither.
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
    output.trim().parse().map_err(failed("the output of a visitor"))
}

/// How many messages are in the queue, or in flight.
fn messages(path: &Path) -> Result<u64, String> {
    let count = "select (select count(*) from queue) + (select count(*) from queue_running)";
    let file = Connection::open(path).map_err(failed("open"))?;
    let messages: i64 = file.query_row(count, [], |row| row.get(0)).map_err(failed("count"))?;
    Ok(messages.unsigned_abs())
}

fn same(what: &str, stored: u64, promised: u64) -> Result<(), String> {
    if stored == promised {
        Ok(())
    } else {
        Err(format!("processes: {what}: {stored} at the end, {promised} promised"))
    }
}

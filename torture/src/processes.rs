//! Processes that mix all operations on one file, and others that come and go beside them. What they were promised is counted
//! at the end: nothing is lost, nothing is seen by halves, no operation fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::Deserialize;

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
pub fn run(args: &Args, programs: &Programs) -> Outcome {
    let folder = tempfile::tempdir().map_err(failed("a folder"))?;
    let path = folder.path().join("kv.sqlite3");
    let start = |script: &str, numbers: &[u64]| start(&programs.openkv, script, &path, numbers);
    finish(start("setup.ts", &[ACCOUNTS])?)?;

    let [workers, seconds] = [args.workers as u64, args.seconds];
    let workers: Vec<_> =
        (0..workers).map(|i| start("worker.ts", &[i, workers, seconds, ACCOUNTS])).collect::<Result<_, _>>()?;
    let visitors: Vec<_> = (0..args.visitors).map(|_| start("visitor.ts", &[seconds])).collect::<Result<_, _>>()?;
    // The outputs are read as they come: a process whose output is full waits.
    let reading = |children: Vec<Child>| -> Vec<_> {
        children.into_iter().map(|child| thread::spawn(|| finish(child))).collect()
    };
    let (workers, visitors) = (reading(workers), reading(visitors));
    let mut visits = 0;
    let mut processes = 0;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        visits += number(&finish(start("visitor.ts", &[0])?)?)?;
        processes += 1;
    }
    for visitor in visitors {
        visits += number(&visitor.join().map_err(|_| "a thread panicked")??)?;
    }
    let mut works: Vec<Work> = Vec::new();
    for worker in workers {
        let output = worker.join().map_err(|_| "a thread panicked")??;
        works.push(serde_json::from_str(&output).map_err(failed("the output of a worker"))?);
    }

    let report: Report = serde_json::from_str(&finish(start("report.ts", &[])?)?).map_err(failed("the report"))?;
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

/// Starts a script.
fn start(openkv: &Path, script: &str, path: &Path, numbers: &[u64]) -> Result<Child, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/processes").join(script);
    let mut command = Command::new(openkv);
    command.args(["run", "-A"]).arg(script).arg(path).args(numbers.iter().map(u64::to_string));
    command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(failed("openkv"))
}

/// Waits for a script to succeed. Answers what it printed.
fn finish(child: Child) -> Outcome {
    let output = child.wait_with_output().map_err(failed("openkv"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !errors.is_empty() {
        return Err(format!("processes: one ended with {}: {errors}", output.status));
    }
    String::from_utf8(output.stdout).map_err(failed("the output of openkv"))
}

fn number(output: &str) -> Result<u64, String> {
    output.trim().parse().map_err(failed("the output of a visitor"))
}

/// How many messages are in the queue, or in delivery.
fn messages(path: &Path) -> Result<u64, String> {
    let count = "select (select count(*) from queue) + (select count(*) from queue_running)";
    let file = Connection::open(path).map_err(failed("open"))?;
    let messages: i64 = file.query_row(count, [], |row| row.get(0)).map_err(failed("count"))?;
    Ok(messages.unsigned_abs())
}

fn same(what: &str, stored: u64, promised: u64) -> Result<(), String> {
    match stored == promised {
        true => Ok(()),
        false => Err(format!("processes: {what}: {stored} at the end, {promised} promised")),
    }
}

//! One process that uses all features of a database at a steady rate, for a long time: its resources must stay bounded, and nothing may
//! be lost. Linux only, as it reads `/proc`.

mod plot;
mod sample;

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use serde_json::Value;

use crate::runtime::Runtime;
use crate::{Outcome, Programs, TIMEOUT, failed};
use sample::{MIB, Sample};

/// The arguments of `soak`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How long to run, in minutes.
    #[arg(long, default_value_t = 30.0)]
    pub minutes: f64,
    /// Where to write a plot of the measurements, as an SVG.
    #[arg(long)]
    pub plot: Option<PathBuf>,
}

/// The database, in the directory of a run.
const DATABASE: &str = "kv.sqlite3";

/// How often to sample the process.
const INTERVAL: Duration = Duration::from_millis(250);

/// The shortest run whose memory is meaningful: a heap that warms up grows.
const WARM: Duration = Duration::from_secs(60);

/// The report of an error that a handler throws on purpose.
const PLANNED: &str = "Exception in queue handler planned";

/// The output of the script.
#[derive(Default)]
struct Printed {
    /// The latest counts.
    counts: Value,
    done: bool,
}

/// Runs the script for some time, and checks that its resources stay bounded.
///
/// # Errors
/// The resource that grew, or the guarantee that was violated.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let seconds = args.minutes * 60.0;
    let mut command = Runtime::openkv(programs).script("soak.ts", directory.path());
    command.arg(DATABASE).arg(seconds.to_string()).stdin(Stdio::piped());
    let mut child = command.spawn().map_err(failed("starting openkv"))?;
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));

    let printed = Mutex::new(Printed::default());
    let (samples, errors) = thread::scope(|scope| {
        scope.spawn(|| follow(BufReader::new(stdout).lines(), &printed));
        let errors = scope.spawn(|| read_errors(stderr));
        let samples = watch(&mut child, directory.path(), &printed);
        // Lets the process exit, so that its errors can be read to the end.
        drop(child.stdin.take());
        (samples, errors.join().expect("reading does not panic"))
    });
    let status = child.wait().map_err(failed("waiting for openkv"))?;
    let (planned, errors) = errors.map_err(failed("reading the errors of openkv"))?;
    if !status.success() || !errors.is_empty() {
        return Err(format!("openkv failed with {status}: {errors}"));
    }
    let samples = samples?;
    if let Some(file) = &args.plot {
        std::fs::write(file, plot::draw(&samples)).map_err(failed("writing the plot"))?;
    }
    let counts = printed.into_inner().counts;
    check_counts(&counts, planned)?;
    check_closed(directory.path())?;
    let table = check_growth(&samples, Duration::from_secs_f64(seconds) >= WARM)?;
    Ok(format!("{} minutes. {}\n\n{table}", args.minutes, describe(&counts)))
}

/// Reads the output of the script.
fn follow(lines: Lines<impl BufRead>, printed: &Mutex<Printed>) {
    for line in lines.map_while(Result::ok) {
        let mut printed = printed.lock();
        match serde_json::from_str(&line) {
            Ok(counts) => printed.counts = counts,
            Err(_) => printed.done = line == "done",
        }
    }
}

/// Reads the standard error. Returns how often a handler failed as planned, and the other lines.
fn read_errors(stderr: impl Read) -> std::io::Result<(u64, String)> {
    let (mut planned, mut rest) = (0, String::new());
    for line in BufReader::new(stderr).lines() {
        match line?.as_str() {
            PLANNED => planned += 1,
            line => rest = rest + line + "\n",
        }
    }
    Ok((planned, rest))
}

/// Samples the process until the script is done, and then waits until the space of expired entries is reclaimed.
fn watch(child: &mut Child, directory: &Path, printed: &Mutex<Printed>) -> Result<Vec<Sample>, String> {
    let start = Instant::now();
    let database = directory.join(DATABASE);
    let mut samples = Vec::new();
    while !printed.lock().done {
        thread::sleep(INTERVAL);
        if child.try_wait().map_err(failed("waiting for openkv"))?.is_some() {
            return Err("openkv exited early".into());
        }
        let heap = printed.lock().counts["heap"].as_u64().unwrap_or_default();
        samples.push(Sample::take(child.id(), &database, start.elapsed(), heap).map_err(failed("reading /proc"))?);
    }
    let file = Connection::open(&database).map_err(failed("opening the database"))?;
    let done = Instant::now();
    loop {
        let expired = "select count(*) from kv where expiration_ms >= 0";
        let expired: i64 = file.query_row(expired, [], |row| row.get(0)).map_err(failed("reading the database"))?;
        match expired {
            0 => return Ok(samples),
            _ if done.elapsed() > TIMEOUT => return Err(format!("{expired} expired entries still take up space")),
            _ => thread::sleep(INTERVAL),
        }
    }
}

/// Checks the counts of messages and entries.
fn check_counts(counts: &Value, planned: u64) -> Result<(), String> {
    let count = |name: &str| counts[name].as_u64().unwrap_or_default();
    // Of forty messages, one is given up, and three fail once, twice and three times.
    let (rounds, rest) = (count("enqueued") / 40, count("enqueued") % 40);
    let retries = rounds * 10 + (36..rest).map(|number| number - 35).sum::<u64>();
    let expected = [
        ("enqueued", count("deliveries") - count("retries") + count("undelivered")),
        ("undelivered", rounds),
        ("retries", retries),
        ("retries", planned),
        ("expired", count("expiring")),
    ];
    for (name, expected) in expected {
        if count(name) != expected || expected == 0 {
            return Err(format!("{name} is not {expected}: {counts}"));
        }
    }
    Ok(())
}

/// Checks the closed database.
fn check_closed(directory: &Path) -> Result<(), String> {
    let names = std::fs::read_dir(directory).map_err(failed("reading the directory"))?;
    let names: Vec<_> = names.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    if names != [DATABASE] {
        return Err(format!("the directory of the closed database contains {names:?}"));
    }
    let file = Connection::open(directory.join(DATABASE)).map_err(failed("opening the database"))?;
    let reading = "reading the database";
    let check: String = file.query_row("pragma integrity_check", [], |row| row.get(0)).map_err(failed(reading))?;
    let left = "select (select count(*) from queue) + (select count(*) from queue_running)";
    let left: i64 = file.query_row(left, [], |row| row.get(0)).map_err(failed(reading))?;
    if check != "ok" || left != 0 {
        return Err(format!(
            "the integrity check of the closed database returns {check:?}, and {left} messages are left"
        ));
    }
    Ok(())
}

/// A resource that must stay bounded.
struct Measure {
    name: &'static str,
    value: fn(&Sample) -> u64,
    unit: u64,
    /// Returns the greatest allowed median of the last fifth from that of the second fifth.
    bound: fn(u64) -> u64,
    /// Whether it grows while a process warms up.
    warms: bool,
}

const MEASURES: [Measure; 5] = [
    Measure { name: "memory, MiB", value: |s| s.memory, unit: MIB, bound: |m| m + m / 5 + 8 * MIB, warms: true },
    Measure { name: "open files", value: |s| s.files, unit: 1, bound: |m| m + 2, warms: false },
    Measure { name: "threads", value: |s| s.threads, unit: 1, bound: |m| m + 2, warms: false },
    Measure { name: "WAL, MiB", value: |s| s.wal, unit: MIB, bound: |_| sample::MAX_WAL, warms: false },
    Measure { name: "file, MiB", value: |s| s.file, unit: MIB, bound: |m| m + m / 5 + 8 * MIB, warms: false },
];

/// Checks that the median of the last fifth of the run does not exceed its bound, which depends on that of the second fifth, and that
/// the WAL never exceeded its bound. The first fifth is for warming up. Returns a table.
fn check_growth(samples: &[Sample], warm: bool) -> Outcome {
    let fifth = samples.len() / 5;
    let parts = [&samples[fifth..2 * fifth], &samples[4 * fifth..]];
    let mut table = "| | median, second fifth | median, last fifth | maximum |\n| --- | --- | --- | --- |\n".to_owned();
    for Measure { name, value, unit, bound, warms } in MEASURES {
        let max = samples.iter().map(value).max().unwrap_or_default();
        let [before, after] = parts.map(|part| median(part.iter().map(value).collect()));
        let grew = after > bound(before) && (warm || !warms);
        if grew || (name.starts_with("WAL") && max > sample::MAX_WAL) {
            return Err(format!("{name} grew from {before} to {after}, with a maximum of {max}"));
        }
        let show = |value: u64| match unit {
            1 => value.to_string(),
            _ => format!("{:.1}", value as f64 / unit as f64),
        };
        table += &format!("| {name} | {} | {} | {} |\n", show(before), show(after), show(max));
    }
    Ok(table)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn describe(counts: &Value) -> String {
    let count = |name: &str| counts[name].as_u64().unwrap_or_default();
    format!(
        "{} operations. {} messages: {} deliveries, {} of which failed as planned, {} given up as planned, none lost, none \
         redelivered; delay at most {} ms. {} entries expired, none was read afterwards. A watch saw {} of {} changes, including \
         the last one; delay at most {} ms. {} databases were opened and closed.",
        count("operations"),
        count("enqueued"),
        count("deliveries"),
        count("retries"),
        count("undelivered"),
        count("late"),
        count("expired"),
        count("watched"),
        count("changes"),
        count("watchDelay"),
        count("handles"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run whose samples differ in one value, from its first to its last.
    fn run(change: fn(&mut Sample, u64)) -> Outcome {
        let samples: Vec<_> = (0..100)
            .map(|i| {
                let at = Duration::from_secs(i);
                let mut sample =
                    Sample { at, memory: 100 * MIB, heap: 0, files: 20, threads: 5, file: 3 * MIB, wal: 4 * MIB };
                change(&mut sample, i);
                sample
            })
            .collect();
        check_growth(&samples, true)
    }

    #[test]
    fn growth_is_detected() {
        let grew = |change| run(change).unwrap_err().split(" grew").next().unwrap().to_owned();
        assert_eq!(grew(|sample, i| sample.memory += i * MIB), "memory, MiB");
        assert_eq!(grew(|sample, i| sample.files += i / 20), "open files");
        assert_eq!(grew(|sample, i| sample.threads += i / 20), "threads");
        assert_eq!(grew(|sample, i| sample.file += i * MIB), "file, MiB");
        // A single sample of the WAL above its bound is an error.
        assert_eq!(grew(|sample, i| sample.wal += (i == 50) as u64 * sample::MAX_WAL), "WAL, MiB");
    }

    #[test]
    fn warming_up_and_fluctuation_are_not_growth() {
        run(|_, _| {}).unwrap();
        run(|sample, i| sample.memory -= 20_u64.saturating_sub(i) * MIB).unwrap();
        run(|sample, i| sample.files += i % 7).unwrap();
    }
}

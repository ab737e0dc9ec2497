//! Steps the wall clock of two processes that share a file: one listens and watches, the other writes. The writes must be noticed as
//! promptly after the step as before, entries expire by the current wall clock, and the message of a running handler is not
//! redelivered.

mod process;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::Runtime;
use crate::{Outcome, Programs, TIMEOUT, Under, failed};
use process::{Line, Offset, Process, build_library};

/// The arguments of `clock`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How long to continue after each step, in seconds. All steps are tested in parallel.
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// How long it may take until a message, a change or an expiry is noticed, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub bound: f64,
    /// Which program runs the scripts.
    #[arg(long, value_enum, default_value_t)]
    pub under: Under,
}

/// A step of the clock.
struct Step {
    name: &'static str,
    /// In milliseconds.
    offset: i64,
    /// Whether it is stepped back after a second.
    is_glitch: bool,
}

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

const STEPS: [Step; 6] = [
    Step { name: "5 s forward", offset: 5 * SECOND, is_glitch: false },
    Step { name: "5 s back", offset: -5 * SECOND, is_glitch: false },
    Step { name: "1 h forward", offset: HOUR, is_glitch: false },
    Step { name: "1 h back", offset: -HOUR, is_glitch: false },
    Step { name: "1 day forward for 1 s", offset: DAY, is_glitch: true },
    Step { name: "1 day back for 1 s", offset: -DAY, is_glitch: true },
];

/// The `expireIn` of the entries that are written before and after the step, in milliseconds.
const BEFORE: i64 = HOUR / 2;
const AFTER: i64 = 3 * SECOND / 2;

/// The maximum age of the last time that a process printed, which it does ten times a second, in milliseconds.
const DATE_AGE: i64 = 2000;

/// How long to write before the step, and during a glitch.
const WARM: Duration = Duration::from_secs(1);

/// The results of a step.
#[derive(Default)]
struct Found {
    /// Messages that were acknowledged after the step.
    messages: u64,
    /// Those that were delivered too late.
    late: u64,
    undelivered: u64,
    /// Messages that were delivered more than once.
    redelivered: u64,
    changes: u64,
    unseen: u64,
    /// The longest delay of a message or a change, in milliseconds.
    longest: u128,
    /// How often the handler that ran across the step was called.
    slow: usize,
    /// Errors in the expiry of entries.
    expiry: Vec<String>,
    errors: String,
}

/// Steps the clock.
///
/// # Errors
/// The steps after which something was not noticed in time, or failed.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    if !cfg!(target_os = "linux") {
        return Ok("clock: skipped: stepping the clock of a process requires Linux".into());
    }
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let library = match build_library(directory.path()) {
        Ok(library) => library,
        Err(error) => {
            return Ok(format!("clock: skipped: failed to build the library that steps the clock: {error}"));
        }
    };
    let runtime = args.under.runtime(programs)?;
    let [window, bound] = [args.seconds, args.bound].map(Duration::from_secs_f64);
    let results = thread::scope(|scope| {
        let try_one = |step| {
            let (runtime, library) = (&runtime, &library);
            scope.spawn(move || try_one(runtime, library, step, window, bound))
        };
        let threads: Vec<_> = STEPS.iter().map(try_one).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?).collect::<Vec<_>>()
    });
    let results: Vec<_> = STEPS.iter().zip(results).collect();
    let report = table(&results, bound);
    let holds = results.iter().all(|(_, found)| found.as_ref().is_ok_and(Found::holds));
    if holds { Ok(report) } else { Err(report) }
}

/// Two processes that share a file and a clock.
struct Pair {
    listener: Process,
    writer: Process,
    offset: Offset,
    /// How long it may take until something is noticed.
    bound: Duration,
}

fn try_one(runtime: &Runtime, library: &Path, step: &Step, window: Duration, bound: Duration) -> Result<Found, String> {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let offset = Offset::create(directory.path().join("offset"))?;
    // The handler runs longer than the window, so that its lease must be renewed.
    let slow = (window + 2 * WARM).as_millis().to_string();
    let start = |script, args: &[&str]| {
        let process = Process::start(runtime, script, directory.path(), args, library, &offset)?;
        process.wait(TIMEOUT, "ready", || !process.lines("ready").is_empty())?;
        Ok::<_, String>(process)
    };
    let listener = start("listen", &["kv.sqlite3", &slow])?;
    let writer = start("write", &["kv.sqlite3"])?;
    let mut pair = Pair { listener, writer, offset, bound };

    pair.writer.send("slow", TIMEOUT)?;
    pair.writer.send(&format!("expire before {BEFORE}"), TIMEOUT)?;
    pair.write_for(WARM)?;
    let stepped = pair.step(step.offset)?;
    let is_expired = step.offset >= BEFORE;
    let first = pair.writer.lines("enqueued").len();
    if step.is_glitch {
        pair.write_for(WARM)?;
        pair.step(0)?;
    }
    pair.writer.send(&format!("expire after {AFTER}"), TIMEOUT)?;
    pair.write_for(window)?;
    pair.settle();
    let mut found = pair.judge(first);
    found.expiry = pair.judge_expiry(stepped, is_expired, step.is_glitch);
    // The handler may return a little late.
    pair.listener.wait(window + TIMEOUT, "slow end", || !pair.listener.lines("slow end").is_empty())?;
    found.slow = pair.listener.lines("slow begin").len();
    found.errors = pair.listener.errors()? + &pair.writer.errors()?;
    Ok(found)
}

impl Pair {
    /// Runs the writer for some time.
    fn write_for(&mut self, time: Duration) -> Result<(), String> {
        self.writer.send("go", TIMEOUT)?;
        thread::sleep(time);
        self.writer.send("pause", TIMEOUT)
    }

    /// Waits until all writes are noticed, or late.
    fn settle(&self) {
        let written = self.writer.lines("enqueued").len();
        let last = self.writer.lines("written").pop().map(|line| line.text);
        let is_noticed = || {
            self.listener.lines("message").len() >= written
                && self.listener.lines("change").last().is_some_and(|line| Some(&line.text) == last.as_ref())
        };
        // Missing ones are counted at the end.
        let _ = self.listener.wait(self.bound, "message", is_noticed);
    }

    /// Steps the clock, once all writes are noticed. Returns the time of the step.
    fn step(&self, offset: i64) -> Result<Instant, String> {
        self.settle();
        self.offset.set(offset)?;
        let stepped = Instant::now();
        let is_off = || self.listener.clock_offset().is_some_and(|off| (off - offset).abs() < DATE_AGE);
        self.listener.wait(TIMEOUT, "step of the clock", is_off)?;
        Ok(stepped)
    }

    /// Counts which writes were noticed, from a number on.
    fn judge(&self, first: usize) -> Found {
        let mut found = Found::default();
        let mut delivered: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        for Line { at, text } in self.listener.lines("message") {
            delivered.entry(text).or_default().push(at);
        }
        let mut notice = |since: Instant, noticed: Option<Instant>| {
            let delay = noticed.map(|at| at.saturating_duration_since(since));
            found.longest = found.longest.max(delay.map_or(0, |delay| delay.as_millis()));
            delay.is_some_and(|delay| delay <= self.bound)
        };
        for (i, Line { at, text }) in self.writer.lines("enqueued").into_iter().enumerate() {
            let times = delivered.get(&text).map_or(&[][..], Vec::as_slice);
            found.undelivered += u64::from(times.is_empty());
            found.redelivered += u64::from(times.len() > 1);
            if i >= first {
                found.messages += 1;
                found.late += u64::from(!notice(at, times.first().copied()));
            }
        }
        let changes = self.listener.lines("change");
        for Line { at, text } in self.writer.lines("written").into_iter().skip(first) {
            let number = text.parse::<u64>().unwrap_or_default();
            // A watch may skip overwritten values.
            let seen = changes.iter().find(|line| line.text.parse().is_ok_and(|seen: u64| seen >= number));
            found.changes += 1;
            found.unseen += u64::from(!notice(at, seen.map(|line| line.at)));
        }
        found
    }

    /// Checks when the entries expired: the one that was written before the step expires by the stepped clock, or not at all.
    fn judge_expiry(&self, stepped: Instant, is_expired: bool, is_glitch: bool) -> Vec<String> {
        let written = self.writer.lines("done expire");
        let Some(after) = written.get(1).map(|line| line.at) else { return vec!["no entry was written".into()] };
        let mut errors = Vec::new();
        for (kind, name) in [("read", "before"), ("watched", "before"), ("read", "after"), ("watched", "after")] {
            let states = self.listener.lines(&format!("{kind} {name}"));
            let gone = states.iter().find(|line| line.text == "gone").map(|line| line.at);
            if !states.iter().any(|line| line.text == "present") {
                errors.push(format!("{kind} {name}: never present"));
                continue;
            }
            let expires = if name == "after" {
                Some(after + Duration::from_millis(AFTER.unsigned_abs()))
            } else {
                is_expired.then_some(stepped)
            };
            let off = |time: Instant| format!("{:.1} s after the step", (time - stepped).as_secs_f64());
            match (expires, gone) {
                (None, None) => {}
                (None, Some(gone)) => errors.push(format!("{kind} {name}: gone {}", off(gone))),
                (Some(expires), None) => {
                    // The glitch may be over before the entry is read.
                    if !(is_glitch && name == "before") {
                        errors.push(format!("{kind} {name}: never gone, {} at the earliest", off(expires)));
                    }
                }
                (Some(expires), Some(gone)) => {
                    let is_late = gone.saturating_duration_since(expires) > self.bound;
                    // The write was acknowledged a little after it took effect.
                    let is_early = expires.saturating_duration_since(gone) > Duration::from_millis(500);
                    if is_late || is_early {
                        errors.push(format!("{kind} {name}: gone {} instead of {}", off(gone), off(expires)));
                    }
                }
            }
        }
        errors
    }
}

impl Found {
    fn holds(&self) -> bool {
        [self.late, self.undelivered, self.redelivered, self.unseen] == [0; 4]
            && self.slow == 1
            && self.messages > 0
            && self.expiry.is_empty()
            && self.errors.is_empty()
    }
}

fn table(results: &[(&Step, Result<Found, String>)], bound: Duration) -> String {
    let mut table = format!(
        "| clock: step | messages after it | not within {bound:?} | undelivered | redelivered | changes after it \
         | not seen within {bound:?} | longest delay | expiry errors | calls of the slow handler |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for (step, found) in results {
        // Writing to a string cannot fail.
        let _ = match found {
            Err(error) => write!(table, "\n| {} | {error} |", step.name),
            Ok(Found { messages, late, undelivered, redelivered, changes, unseen, longest, expiry, slow, .. }) => {
                write!(
                    table,
                    "\n| {} | {messages} | {late} | {undelivered} | {redelivered} | {changes} | {unseen} | {longest} ms | {} | {slow} |",
                    step.name,
                    expiry.len()
                )
            }
        };
    }
    for (step, found) in results {
        let Ok(Found { expiry, errors, .. }) = found else { continue };
        for error in expiry.iter().map(String::as_str).chain(errors.lines().take(1)) {
            let _ = write!(table, "\n{}: {error}", step.name);
        }
    }
    table
}

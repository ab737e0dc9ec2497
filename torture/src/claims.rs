//! Listeners that end after they claimed messages, before or within the handlers of these. A supervisor starts them again until the
//! queue is empty. Every message must have been handed to a handler, and one is given up only after its handler was called once
//! more than its schedule is long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openkv_engine::{Key, KeyPart};
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::runtime::{Runtime, finish};
use crate::{Outcome, Programs, TIMEOUT, Under, failed};

/// How long to try.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many messages each database has.
    #[arg(long, default_value_t = 20)]
    pub messages: u64,
    /// Short schedules and few ends alone.
    #[arg(long)]
    pub short: bool,
    /// How many databases to try in parallel: most of their processes wait for the messages of one that ended.
    #[arg(long, default_value_t = 12)]
    pub parallel: usize,
    /// Which program runs the scripts.
    #[arg(long, value_enum, default_value_t)]
    pub under: Under,
}

/// Where and how a listener ends.
const POINTS: [&str; 3] = ["claimed", "first", "within"];
const ENDS: [&str; 3] = ["kill", "exit", "throw"];

/// Which of these are tried in the short form.
const SHORT: [(&str, &str); 4] = [("claimed", "kill"), ("claimed", "exit"), ("first", "exit"), ("within", "throw")];

/// The waits of a schedule, as many as it is long, in milliseconds.
const INTERVALS: [u32; 5] = [20, 40, 60, 80, 100];
/// How many waits the default schedule has, and how many milliseconds they take together.
const DEFAULT_LENGTH: usize = 5;
const DEFAULT_WAITS: Duration = Duration::from_millis(96_100);

/// How long a listener may take to end: until a message is there whose last listener ended, and is claimed.
const LIFETIME: Duration = Duration::from_secs(15);

/// One database.
#[derive(Clone, Copy)]
struct Case {
    /// The length of the schedule of its messages. None for the default.
    length: Option<usize>,
    point: &'static str,
    end: &'static str,
    /// How often a listener is ended.
    kills: u32,
}

/// What came of the messages.
#[derive(Default)]
struct Count {
    databases: u64,
    messages: u64,
    /// How often a listener ended as planned.
    ends: u64,
    calls: u64,
    undelivered: u64,
    /// Messages that were never handed to a handler.
    never: u64,
    /// Messages that were given up before their handler was called often enough.
    early: u64,
    /// Messages that are gone, though no handler took them, and without the keys for that.
    vanished: u64,
    /// Messages that were handed to a handler though it had been called often enough.
    again: u64,
    /// Messages that are in the queue at the end.
    left: u64,
    /// What was wrong first.
    first: Option<String>,
}

/// Ends listeners.
///
/// # Errors
/// How many messages did not go the way they must.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let begin = Instant::now();
    let runtime = args.under.runtime(programs)?;
    let cases = Mutex::new(cases(args.short));
    let counts: Mutex<BTreeMap<_, Count>> = Mutex::default();
    let try_all = || -> Result<(), String> {
        loop {
            let Some(case) = cases.lock().pop_front() else { return Ok(()) };
            let count = try_one(&runtime, case, args.messages).map_err(failed(&case.name()))?;
            counts.lock().entry((case.point, case.end)).or_default().add(count);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..args.parallel).map(|_| scope.spawn(try_all)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let counts = counts.into_inner();
    let report = format!("{}\nclaims: under {:?}, in {:.0?}", table(&counts), args.under, begin.elapsed());
    if counts.values().all(Count::is_kept) { Ok(report) } else { Err(report) }
}

fn cases(short: bool) -> VecDeque<Case> {
    if short {
        let cases = SHORT.into_iter().flat_map(|(point, end)| [0, 1].map(|length| Case::new(Some(length), point, end)));
        return cases.collect();
    }
    // Those that take longest come first.
    let lengths = [None, Some(5), Some(4), Some(3), Some(2), Some(1), Some(0)];
    let points = lengths.into_iter().flat_map(|length| POINTS.map(|point| (length, point)));
    points.flat_map(|(length, point)| ENDS.map(|end| Case::new(length, point, end))).collect()
}

impl Case {
    /// As many ends as there are attempts: a message that is claimed each time, and whose claims count, is given up.
    fn new(length: Option<usize>, point: &'static str, end: &'static str) -> Self {
        let case = Self { length, point, end, kills: 0 };
        Self { kills: case.attempts() as u32, ..case }
    }

    /// How often the handler of a message is called at most.
    fn attempts(self) -> u64 {
        self.length.unwrap_or(DEFAULT_LENGTH) as u64 + 1
    }

    fn schedule(self) -> String {
        self.length.map_or("null".into(), |length| format!("{:?}", &INTERVALS[..length]))
    }

    fn name(self) -> String {
        format!("{}, {}, backoffSchedule {}", self.point, self.end, self.schedule())
    }
}

/// What the listeners printed, and what they left.
struct Listeners<'r> {
    runtime: &'r Runtime,
    directory: PathBuf,
    path: PathBuf,
    /// How many were started.
    started: u32,
}

/// Enqueues messages, ends listeners, lets one take what is left, and counts.
fn try_one(runtime: &Runtime, case: Case, messages: u64) -> Result<Count, String> {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let path = directory.path().join("kv.sqlite3");
    let mut put = runtime.script("claims.ts", directory.path());
    put.arg(&path).args(["put", &messages.to_string(), &case.schedule()]);
    let printed = finish(put.spawn().map_err(failed("a process"))?, TIMEOUT)?;
    let acknowledged: BTreeSet<u64> = numbers(&printed, "put").collect();

    let mut listeners = Listeners { runtime, directory: directory.path().into(), path, started: 0 };
    let mut ends = 0;
    for _ in 0..case.kills {
        if !listeners.wait_for_message()? {
            break;
        }
        ends += u64::from(listeners.end(case)?);
    }
    let waits = if case.length.is_none() { DEFAULT_WAITS } else { Duration::ZERO };
    listeners.drain(TIMEOUT + waits)?;
    let mut count = listeners.count(case, &acknowledged)?;
    count.ends = ends;
    Ok(count)
}

impl Listeners<'_> {
    /// Starts a listener. Its output goes to a file, in which nothing is lost when it ends.
    fn start(&mut self, point: &str, end: &str) -> Result<Child, String> {
        let file = |name| File::create(self.directory.join(name)).map_err(failed("creating a file"));
        let mut command = self.runtime.script("claims.ts", &self.directory);
        command.arg(&self.path).args(["take", point, end]);
        command.stdout(file(format!("{}.printed", self.started))?).stderr(file("errors".into())?);
        self.started += 1;
        command.spawn().map_err(failed("a listener"))
    }

    /// Waits until a message can be claimed. Returns false once there are none left.
    fn wait_for_message(&self) -> Result<bool, String> {
        let begin = Instant::now();
        let ready = "select (select count(*) from queue where ts <= ?1) + (select count(*) from queue_running where deadline <= ?1)";
        while begin.elapsed() < TIMEOUT {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(failed("the time"))?.as_millis() as i64;
            if self.select(ready, [now])? > 0 {
                return Ok(true);
            }
            if self.left()? == 0 {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("no message can be claimed, and there are some".into())
    }

    /// Lets a listener end as planned. Returns whether it did in time.
    fn end(&mut self, case: Case) -> Result<bool, String> {
        let mut listener = self.start(case.point, case.end)?;
        let begin = Instant::now();
        while begin.elapsed() < LIFETIME {
            if listener.try_wait().map_err(failed("a listener"))?.is_some() {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(5));
        }
        kill(listener)?;
        Ok(false)
    }

    /// Lets a listener take all messages that are left. What it has not taken in time is left.
    fn drain(&mut self, timeout: Duration) -> Result<(), String> {
        let listener = self.start("none", "none")?;
        let begin = Instant::now();
        while self.left()? > 0 && begin.elapsed() < timeout {
            thread::sleep(Duration::from_millis(20));
        }
        kill(listener)
    }

    /// Counts the messages that are in the queue, or in flight.
    fn left(&self) -> Result<u64, String> {
        self.select("select (select count(*) from queue) + (select count(*) from queue_running)", [])
    }

    fn select(&self, sql: &str, params: impl rusqlite::Params) -> Result<u64, String> {
        let count = || Connection::open(&self.path)?.query_row(sql, params, |row| row.get::<_, i64>(0));
        count().map(i64::unsigned_abs).map_err(failed("counting messages"))
    }

    /// Whether the keys of a message that was given up are written.
    fn is_undelivered(&self, message: u64) -> Result<bool, String> {
        let key = Key::from_parts(&["undelivered".into(), KeyPart::from(message as f64)]).map_err(failed("a key"))?;
        Ok(self.select("select count(*) from kv where k = ?", [key.as_bytes()])? > 0)
    }

    fn count(&self, case: Case, messages: &BTreeSet<u64>) -> Result<Count, String> {
        let mut printed = String::new();
        for number in 0..self.started {
            let file = self.directory.join(format!("{number}.printed"));
            printed += &fs::read_to_string(file).map_err(failed("what a listener printed"))?;
        }
        let mut calls: BTreeMap<u64, u64> = BTreeMap::new();
        numbers(&printed, "called").for_each(|message| *calls.entry(message).or_default() += 1);
        let done: BTreeSet<u64> = numbers(&printed, "done").collect();
        let mut count = Count { databases: 1, messages: messages.len() as u64, left: self.left()?, ..Count::default() };
        for message in messages {
            let calls = calls.get(message).copied().unwrap_or_default();
            let (is_done, is_undelivered) = (done.contains(message), self.is_undelivered(*message)?);
            count.calls += calls;
            count.undelivered += u64::from(is_undelivered);
            let [never, early, vanished, again] = [
                calls == 0,
                is_undelivered && calls < case.attempts(),
                calls > 0 && !is_done && !is_undelivered,
                // A listener that ended may have taken the last call with it.
                calls > case.attempts() + u64::from(case.kills),
            ];
            count.never += u64::from(never);
            count.early += u64::from(early);
            count.vanished += u64::from(vanished);
            count.again += u64::from(again);
            if never || early || vanished || again {
                count.first.get_or_insert_with(|| {
                    let name = case.name();
                    format!("{name}: message {message}: {calls} calls, done {is_done}, undelivered {is_undelivered}")
                });
            }
        }
        // What is left is not gone.
        count.vanished = count.vanished.saturating_sub(count.left);
        Ok(count)
    }
}

impl Count {
    fn is_kept(&self) -> bool {
        [self.never, self.early, self.vanished, self.again, self.left] == [0; 5]
    }

    fn add(&mut self, other: Self) {
        self.databases += other.databases;
        self.messages += other.messages;
        self.ends += other.ends;
        self.calls += other.calls;
        self.undelivered += other.undelivered;
        self.never += other.never;
        self.early += other.early;
        self.vanished += other.vanished;
        self.again += other.again;
        self.left += other.left;
        self.first = self.first.take().or(other.first);
    }
}

fn table(counts: &BTreeMap<(&str, &str), Count>) -> String {
    let mut table = "\
| claims: listener ends | databases | ends | messages | handler calls | given up | never handed out | given up early | \
gone without keys | handed out too often | left |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        .to_owned();
    for ((point, end), count) in counts {
        let Count { databases, ends, messages, calls, undelivered, never, early, vanished, again, left, .. } = count;
        let place = match *point {
            "claimed" => "between claim and handler",
            "first" => "in the first handler",
            _ => "within handlers",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            table,
            "\n| {place}, {end} | {databases} | {ends} | {messages} | {calls} | {undelivered} | {never} | {early} | {vanished} \
             | {again} | {left} |"
        );
    }
    for first in counts.values().filter_map(|count| count.first.as_ref()) {
        let _ = write!(table, "\nfirst: {first}");
    }
    table
}

/// The numbers of the lines that begin with a word.
fn numbers<'t>(printed: &'t str, word: &'t str) -> impl Iterator<Item = u64> + 't {
    printed.lines().filter_map(move |line| line.strip_prefix(word)?.trim().parse().ok())
}

fn kill(mut listener: Child) -> Result<(), String> {
    listener.kill().and_then(|()| listener.wait()).map_err(failed("a listener"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_have_one_interval_less_than_attempts() {
        let case = |length| Case::new(length, "first", "kill");
        assert_eq!((case(Some(0)).schedule().as_str(), case(Some(0)).attempts()), ("[]", 1));
        assert_eq!((case(Some(2)).schedule().as_str(), case(Some(2)).attempts()), ("[20, 40]", 3));
        assert_eq!((case(None).schedule().as_str(), case(None).attempts()), ("null", 6));
    }
}

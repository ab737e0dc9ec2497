//! Listeners that terminate after they have claimed messages, before or within the handlers. A supervisor restarts them until the
//! queue is empty. Every message must have been passed to a handler, and is given up only after its handler was called once more
//! than the length of its schedule.

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

/// The arguments of `claims`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The number of messages of each database.
    #[arg(long, default_value_t = 20)]
    pub messages: u64,
    /// Run short schedules and few exits only.
    #[arg(long)]
    pub short: bool,
    /// The number of databases to test in parallel: most of their processes wait for lapsed claims.
    #[arg(long, default_value_t = 12)]
    pub parallel: usize,
    /// Which program runs the scripts.
    #[arg(long, value_enum, default_value_t)]
    pub under: Under,
}

/// Where and how a listener terminates.
const POINTS: [&str; 3] = ["claimed", "first", "within"];
const EXITS: [&str; 3] = ["kill", "exit", "throw"];

/// The combinations of the short form.
const SHORT: [(&str, &str); 4] = [("claimed", "kill"), ("claimed", "exit"), ("first", "exit"), ("within", "throw")];

/// The intervals of a schedule, in milliseconds. Shorter schedules have the first of them.
const INTERVALS: [u32; 5] = [20, 40, 60, 80, 100];
/// The length of the default schedule, and the sum of its intervals.
const DEFAULT_LENGTH: usize = 5;
const DEFAULT_WAITS: Duration = Duration::from_millis(96_100);

/// How long a listener may take until it terminates. It may have to wait until the claims of the previous one have lapsed.
const LIFETIME: Duration = Duration::from_secs(15);

/// One database.
#[derive(Clone, Copy)]
struct Case {
    /// The length of the schedule of its messages. `None` for the default.
    length: Option<usize>,
    point: &'static str,
    exit: &'static str,
    /// How many listeners are terminated.
    kills: u32,
}

/// The results of the messages.
#[derive(Default)]
struct Count {
    databases: u64,
    messages: u64,
    /// Listeners that terminated as planned.
    exits: u64,
    calls: u64,
    undelivered: u64,
    /// Messages that were never passed to a handler.
    never: u64,
    /// Messages that were given up too early.
    early: u64,
    /// Messages that no handler accepted, and that are lost without their `keysIfUndelivered`.
    lost: u64,
    /// Messages that were passed to a handler too often.
    excess: u64,
    /// Messages that are in the queue at the end.
    left: u64,
    /// The first failure.
    first: Option<String>,
}

/// Terminates listeners.
///
/// # Errors
/// The numbers of messages that were lost, given up early, or delivered too often.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let begin = Instant::now();
    let runtime = args.under.runtime(programs)?;
    let cases = Mutex::new(cases(args.short));
    let counts: Mutex<BTreeMap<_, Count>> = Mutex::default();
    let try_all = || -> Result<(), String> {
        loop {
            let Some(case) = cases.lock().pop_front() else { return Ok(()) };
            let count = try_one(&runtime, case, args.messages).map_err(failed(&case.name()))?;
            counts.lock().entry((case.point, case.exit)).or_default().add(count);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..args.parallel).map(|_| scope.spawn(try_all)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let counts = counts.into_inner();
    let report = format!("{}\nclaims: under {:?}, in {:.0?}", table(&counts), args.under, begin.elapsed());
    if counts.values().all(Count::holds) { Ok(report) } else { Err(report) }
}

fn cases(short: bool) -> VecDeque<Case> {
    if short {
        let cases =
            SHORT.into_iter().flat_map(|(point, exit)| [0, 1].map(|length| Case::new(Some(length), point, exit)));
        return cases.collect();
    }
    // The slowest first.
    let lengths = [None, Some(5), Some(4), Some(3), Some(2), Some(1), Some(0)];
    let points = lengths.into_iter().flat_map(|length| POINTS.map(|point| (length, point)));
    points.flat_map(|(length, point)| EXITS.map(|exit| Case::new(length, point, exit))).collect()
}

impl Case {
    /// Creates a case with as many exits as there are attempts: if claims counted as attempts, the messages would be given up.
    fn new(length: Option<usize>, point: &'static str, exit: &'static str) -> Self {
        let case = Self { length, point, exit, kills: 0 };
        Self { kills: case.attempts() as u32, ..case }
    }

    /// Returns how often the handler of a message is called at most.
    fn attempts(self) -> u64 {
        self.length.unwrap_or(DEFAULT_LENGTH) as u64 + 1
    }

    fn schedule(self) -> String {
        self.length.map_or("null".into(), |length| format!("{:?}", &INTERVALS[..length]))
    }

    /// Returns the longest time until a message is claimed, with the intervals of its schedule.
    fn timeout(self) -> Duration {
        TIMEOUT + if self.length.is_none() { DEFAULT_WAITS } else { Duration::ZERO }
    }

    fn name(self) -> String {
        format!("{}, {}, backoffSchedule {}", self.point, self.exit, self.schedule())
    }
}

/// The listeners of a database.
struct Listeners<'r> {
    runtime: &'r Runtime,
    directory: PathBuf,
    path: PathBuf,
    /// How many were started.
    started: u32,
}

/// Enqueues messages, terminates listeners, lets another one handle the remaining messages, and counts.
fn try_one(runtime: &Runtime, case: Case, messages: u64) -> Result<Count, String> {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let path = directory.path().join("kv.sqlite3");
    let mut put = runtime.script("claims.ts", directory.path());
    put.arg(&path).args(["put", &messages.to_string(), &case.schedule()]);
    let printed = finish(put.spawn().map_err(failed("starting a process"))?, TIMEOUT)?;
    let acknowledged: BTreeSet<u64> = numbers(&printed, "put").collect();

    let mut listeners = Listeners { runtime, directory: directory.path().into(), path, started: 0 };
    let mut exits = 0;
    for _ in 0..case.kills {
        if !listeners.wait_for_message(case.timeout())? {
            break;
        }
        exits += u64::from(listeners.terminate(case)?);
    }
    listeners.drain(case.timeout())?;
    let mut count = listeners.count(case, &acknowledged)?;
    count.exits = exits;
    Ok(count)
}

impl Listeners<'_> {
    /// Starts a listener. Its output goes to a file, so that none is lost when it terminates.
    fn start(&mut self, point: &str, exit: &str) -> Result<Child, String> {
        let file = |name| File::create(self.directory.join(name)).map_err(failed("creating a file"));
        let mut command = self.runtime.script("claims.ts", &self.directory);
        command.arg(&self.path).args(["take", point, exit]);
        command.stdout(file(format!("{}.printed", self.started))?).stderr(file("errors".into())?);
        self.started += 1;
        command.spawn().map_err(failed("starting a listener"))
    }

    /// Waits until a message can be claimed. Returns false if none are left.
    fn wait_for_message(&self, timeout: Duration) -> Result<bool, String> {
        let begin = Instant::now();
        let ready = "select (select count(*) from queue where ts <= ?1) + (select count(*) from queue_running where deadline <= ?1)";
        while begin.elapsed() < timeout {
            let now =
                SystemTime::now().duration_since(UNIX_EPOCH).map_err(failed("reading the time"))?.as_millis() as i64;
            if self.select(ready, [now])? > 0 {
                return Ok(true);
            }
            if self.left()? == 0 {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("messages are left, but none could be claimed within {timeout:?}"))
    }

    /// Runs a listener until it terminates as planned. Returns false if it did not in time, and was killed.
    fn terminate(&mut self, case: Case) -> Result<bool, String> {
        let mut listener = self.start(case.point, case.exit)?;
        let begin = Instant::now();
        while begin.elapsed() < LIFETIME {
            if listener.try_wait().map_err(failed("waiting for a listener"))?.is_some() {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(5));
        }
        kill(listener)?;
        Ok(false)
    }

    /// Runs a listener until no messages are left, or until the timeout.
    fn drain(&mut self, timeout: Duration) -> Result<(), String> {
        let listener = self.start("none", "none")?;
        let begin = Instant::now();
        while self.left()? > 0 && begin.elapsed() < timeout {
            thread::sleep(Duration::from_millis(20));
        }
        kill(listener)
    }

    /// Counts the messages that are in the queue or in flight.
    fn left(&self) -> Result<u64, String> {
        self.select("select (select count(*) from queue) + (select count(*) from queue_running)", [])
    }

    fn select(&self, sql: &str, params: impl rusqlite::Params) -> Result<u64, String> {
        let count = || Connection::open(&self.path)?.query_row(sql, params, |row| row.get::<_, i64>(0));
        count().map(i64::unsigned_abs).map_err(failed("counting messages"))
    }

    /// Returns whether the `keysIfUndelivered` of a message are written.
    fn is_undelivered(&self, message: u64) -> Result<bool, String> {
        let key = Key::from_parts(&["undelivered".into(), KeyPart::from(message as f64)])
            .map_err(failed("encoding a key"))?;
        Ok(self.select("select count(*) from kv where k = ?", [key.as_bytes()])? > 0)
    }

    fn count(&self, case: Case, messages: &BTreeSet<u64>) -> Result<Count, String> {
        let mut printed = String::new();
        for number in 0..self.started {
            let file = self.directory.join(format!("{number}.printed"));
            printed += &fs::read_to_string(file).map_err(failed("reading the output of a listener"))?;
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
            let [never, early, lost, excess] = [
                calls == 0,
                is_undelivered && calls < case.attempts(),
                calls > 0 && !is_done && !is_undelivered,
                // The last call before a listener terminated may not be stored.
                calls > case.attempts() + u64::from(case.kills),
            ];
            count.never += u64::from(never);
            count.early += u64::from(early);
            count.lost += u64::from(lost);
            count.excess += u64::from(excess);
            if never || early || lost || excess {
                count.first.get_or_insert_with(|| {
                    let name = case.name();
                    format!("{name}: message {message}: {calls} calls, done {is_done}, undelivered {is_undelivered}")
                });
            }
        }
        // Messages that are left are not lost.
        count.lost = count.lost.saturating_sub(count.left);
        Ok(count)
    }
}

impl Count {
    fn holds(&self) -> bool {
        [self.never, self.early, self.lost, self.excess, self.left] == [0; 5]
    }

    fn add(&mut self, other: Self) {
        self.databases += other.databases;
        self.messages += other.messages;
        self.exits += other.exits;
        self.calls += other.calls;
        self.undelivered += other.undelivered;
        self.never += other.never;
        self.early += other.early;
        self.lost += other.lost;
        self.excess += other.excess;
        self.left += other.left;
        self.first = self.first.take().or(other.first);
    }
}

fn table(counts: &BTreeMap<(&str, &str), Count>) -> String {
    let mut table = "\
| claims: listener terminates | databases | exits | messages | handler calls | given up | never handled | given up early | \
lost | handled too often | left |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        .to_owned();
    for ((point, exit), count) in counts {
        let Count { databases, exits, messages, calls, undelivered, never, early, lost, excess, left, .. } = count;
        let place = match *point {
            "claimed" => "between claim and handler",
            "first" => "in the first handler",
            _ => "within handlers",
        };
        // Writing to a string cannot fail.
        let _ = write!(
            table,
            "\n| {place}, {exit} | {databases} | {exits} | {messages} | {calls} | {undelivered} | {never} | {early} | {lost} \
             | {excess} | {left} |"
        );
    }
    for first in counts.values().filter_map(|count| count.first.as_ref()) {
        let _ = write!(table, "\nfirst: {first}");
    }
    table
}

/// Returns the numbers of the lines that start with a word.
fn numbers<'t>(printed: &'t str, word: &'t str) -> impl Iterator<Item = u64> + 't {
    printed.lines().filter_map(move |line| line.strip_prefix(word)?.trim().parse().ok())
}

fn kill(mut listener: Child) -> Result<(), String> {
    listener.kill().and_then(|()| listener.wait()).map_err(failed("killing a listener"))?;
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

//! What was promised to those who wrote, and whether a database keeps it.
//!
//! Writers work in lanes. Each step of a lane is one atomic write, which touches several entries, moves one, adds to a total
//! of all lanes and enqueues a message now and then: whatever part of it were missing, or left, the rest would tell.
//! `scripts/lanes.ts` does the same steps as [`Step`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{AtomicWrite, Check, Database, Enqueue, Key, KeyPart, Mutation, Read, Value, Versionstamp};
use rusqlite::Connection;

use crate::{TIMEOUT, failed};

/// How many steps of a lane can be told from each other: their entries are overwritten by later steps.
const LOG: u64 = 16;
const FILLERS: u64 = 8;

/// One step of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The lane.
    pub lane: u32,
    /// The number of the step, from 1 on.
    pub number: u64,
}

/// What was acknowledged, and what is known of messages.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    lanes: BTreeMap<u32, Done>,
    /// The messages whose enqueueing was acknowledged.
    enqueued: BTreeSet<String>,
    delivered: BTreeSet<String>,
    /// The messages that were finished before a write began that was acknowledged.
    finished: BTreeSet<String>,
}

/// The last step of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its number, 0 for none.
    pub number: u64,
    /// The version that it got.
    pub versionstamp: Versionstamp,
}

/// Before all versions of commits.
const NO_VERSION: u64 = 0;

impl Default for Done {
    fn default() -> Self {
        Self { number: 0, versionstamp: Versionstamp::from_version(NO_VERSION) }
    }
}

/// From when a database is that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It is what was written last. A lane may be one step ahead of its promise: that of the write that was under way.
    Now,
    /// It is the copy of one that others wrote to after the promise.
    Earlier,
}

/// What a database holds that keeps its promises.
#[derive(Debug)]
pub struct Found {
    lanes: BTreeMap<u32, Done>,
    messages: BTreeSet<String>,
}

impl Found {
    /// The last step of a lane that was found.
    pub fn done(&self, lane: u32) -> Done {
        self.lanes.get(&lane).copied().unwrap_or_default()
    }
}

impl Step {
    /// The write of the step, after one of the lane's steps.
    pub fn write(self, before: Done) -> AtomicWrite {
        let Step { lane, number } = self;
        let versionstamp = (before.number > 0).then_some(before.versionstamp);
        let mutations = vec![
            Mutation::set(lane_key(lane), Value::U64(number)),
            Mutation::set(self.filler_key(), Value::Bytes(self.filler())),
            Mutation::set(key("log", &[lane.into(), number % LOG]), Value::U64(number)),
            Mutation::delete(key("tick", &[lane.into(), number - 1])),
            Mutation::set(key("tick", &[lane.into(), number]), Value::U64(number)),
            Mutation::sum(key("total", &[]), 1),
        ];
        let message = Enqueue::new(encode_message(&self.message()));
        let checks = vec![Check { key: lane_key(lane), versionstamp }];
        let enqueues = if self.enqueues() { vec![message] } else { Vec::new() };
        AtomicWrite { checks, mutations, enqueues, id: None }
    }

    /// A write that fails once the step is done, as it sums up bytes. Nothing of it may be stored.
    pub fn poison(self) -> AtomicWrite {
        let poison = Mutation::set(key("poison", &[self.lane.into()]), Value::U64(self.number));
        AtomicWrite::new().mutate(poison).mutate(Mutation::sum(self.filler_key(), 1))
    }

    /// Whether the step enqueues its message.
    pub fn enqueues(self) -> bool {
        self.number.is_multiple_of(4)
    }

    /// The message of the step.
    pub fn message(self) -> String {
        format!("{}:{}", self.lane, self.number)
    }

    fn parse(message: &str) -> Option<Self> {
        let (lane, number) = message.split_once(':')?;
        Some(Self { lane: lane.parse().ok()?, number: number.parse().ok()? })
    }

    /// The key that the step stores bytes under.
    pub fn filler_key(self) -> Key {
        key("filler", &[self.lane.into(), self.number % FILLERS])
    }

    /// Bytes of many lengths, for pages that overflow.
    fn filler(self) -> Vec<u8> {
        vec![self.number as u8; (self.number * 997 % 6000) as usize]
    }
}

impl Ledger {
    /// The last step of a lane that is known to be done.
    pub fn done(&self, lane: u32) -> Done {
        self.lanes.get(&lane).copied().unwrap_or_default()
    }

    /// A step was acknowledged.
    pub fn acknowledge(&mut self, step: Step, versionstamp: Versionstamp) -> Result<(), String> {
        let before = self.done(step.lane);
        if step.number != before.number + 1 || versionstamp <= before.versionstamp {
            return Err(format!("{step:?} got {versionstamp:?} after {before:?}"));
        }
        self.lanes.insert(step.lane, Done { number: step.number, versionstamp });
        if step.enqueues() {
            self.enqueued.insert(step.message());
        }
        Ok(())
    }

    /// A message was delivered.
    pub fn deliver(&mut self, message: &str) -> Result<(), String> {
        if self.finished.contains(message) {
            return Err(format!("message {message} was delivered again after it was finished"));
        }
        self.delivered.insert(message.to_owned());
        Ok(())
    }

    /// Messages were finished before a write began that is acknowledged now.
    pub fn finish(&mut self, messages: impl IntoIterator<Item = String>) {
        self.finished.extend(messages);
    }

    /// Enters what a process told: the lines of `scripts/lanes.ts`.
    ///
    /// # Errors
    /// A broken promise, or a line that says nothing.
    pub fn enter(&mut self, told: &str) -> Result<(), String> {
        // A line that a process was killed in has no end.
        for line in told.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let unknown = || format!("a process told {line:?}");
            match *line.split(' ').collect::<Vec<_>>() {
                ["a", lane, number, versionstamp] => {
                    let lane = lane.parse().map_err(|_| unknown())?;
                    let number = number.parse().map_err(|_| unknown())?;
                    self.acknowledge(Step { lane, number }, versionstamp.parse().map_err(|_| unknown())?)?;
                }
                ["d", message] => self.deliver(message)?,
                ["f", message] => self.finish([message.to_owned()]),
                _ => return Err(unknown()),
            }
        }
        Ok(())
    }

    /// The messages that were not delivered yet.
    pub fn undelivered(&self) -> impl Iterator<Item = &String> {
        self.enqueued.difference(&self.delivered)
    }

    /// How many writes were acknowledged, or found done.
    pub fn steps(&self) -> u64 {
        self.lanes.values().map(|done| done.number).sum()
    }

    /// How many messages were delivered.
    pub fn delivered(&self) -> u64 {
        self.delivered.len() as u64
    }

    /// How many messages must not come back.
    pub fn finished(&self) -> u64 {
        self.finished.len() as u64
    }

    /// Takes what was found for what is promised from now on: a write that was not acknowledged may have been done.
    pub fn resume(&mut self, found: &Found) {
        self.lanes.clone_from(&found.lanes);
        self.enqueued.extend(found.messages.iter().cloned());
    }

    /// Checks that the database in a file, which nobody writes to, keeps every promise made to a number of lanes until then.
    ///
    /// # Errors
    /// The promise that it does not keep.
    pub fn check(&self, path: &Path, lanes: u32, since: Since) -> Result<Found, String> {
        let database =
            sqlite::open(Location::file(path), Options::default()).map_err(failed("opening what is left"))?;
        let found: BTreeMap<u32, Done> = (0..lanes)
            .map(|lane| Ok((lane, self.check_lane(&database, lane, since)?)))
            .collect::<Result<_, String>>()?;

        let steps: u64 = found.values().map(|done| done.number).sum();
        let total = number(&database, key("total", &[]))?.map_or(0, |(total, _)| total);
        if total != steps {
            return Err(format!("the total is {total} after {steps} steps"));
        }
        if !list(&database, "poison", None)?.is_empty() {
            return Err("a write that was rejected left something".into());
        }
        database.close();
        wait_closed(TIMEOUT);

        let file = Connection::open(path).map_err(failed("opening the file"))?;
        let integrity: String =
            file.query_row("pragma integrity_check", [], |row| row.get(0)).map_err(failed("checking integrity"))?;
        if integrity != "ok" {
            return Err(format!("the file is damaged: {integrity}"));
        }
        let version: i64 = file
            .query_row("select version from data_version", [], |row| row.get(0))
            .map_err(failed("reading the version"))?;
        if let Some((lane, done)) =
            found.iter().find(|(_, done)| done.versionstamp > Versionstamp::from_version(version as u64))
        {
            return Err(format!("the version is {version} after that of lane {lane}: {done:?}"));
        }
        let messages = self.check_messages(&file, &found, since)?;
        Ok(Found { lanes: found, messages })
    }

    /// Checks that the steps of a lane are all there up to one, the last acknowledged or the one after, and nothing of others.
    fn check_lane(&self, database: &Database, lane: u32, since: Since) -> Result<Done, String> {
        let promised = self.done(lane);
        let done = lane_state(database, lane).map_err(failed("reading a lane"))?.unwrap_or_default();
        let is_next = match since {
            Since::Now => done.number == promised.number + 1,
            Since::Earlier => done.number > promised.number,
        };
        let kept = done == promised || is_next && done.versionstamp > promised.versionstamp;
        if !kept {
            return Err(format!("lane {lane} is at {done:?}, and {promised:?} was promised"));
        }
        let Done { number: last, .. } = done;
        if last == 0 {
            return Ok(done);
        }
        let wrong = |what: &str| Err(format!("{what} of lane {lane} is not that of step {last}"));

        let mut before = Versionstamp::from_version(NO_VERSION);
        for step in last.saturating_sub(LOG - 1).max(1)..=last {
            match number(database, key("log", &[lane.into(), step % LOG]))? {
                Some((logged, versionstamp)) if logged == step && versionstamp > before => before = versionstamp,
                other => return Err(format!("lane {lane} at {last} has logged {other:?} for step {step}")),
            }
        }
        if before != done.versionstamp {
            return wrong("the version");
        }
        let step = Step { lane, number: last };
        let filler = entry(database, step.filler_key())?;
        if filler != Some((Value::Bytes(step.filler()), done.versionstamp)) {
            return wrong("the filler");
        }
        let ticks = list(database, "tick", Some(lane))?;
        if ticks != [(Value::U64(last), done.versionstamp)] {
            return wrong("the tick");
        }
        Ok(done)
    }

    /// Checks that messages that were not delivered are in the queue, that those that were finished are not, and that no other
    /// is than of steps that were done.
    fn check_messages(
        &self,
        file: &Connection,
        found: &BTreeMap<u32, Done>,
        since: Since,
    ) -> Result<BTreeSet<String>, String> {
        let reading = "reading the queue";
        let mut statement =
            file.prepare("select data from queue union all select data from queue_running").map_err(failed(reading))?;
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).map_err(failed(reading))?;
        let mut queued = BTreeSet::new();
        for data in rows {
            let data = data.map_err(failed(reading))?;
            let step = decode_message(&data).and_then(Step::parse).ok_or(format!("a message of bytes {data:?}"))?;
            let message = step.message();
            if found.get(&step.lane).is_none_or(|done| step.number > done.number) {
                return Err(format!("message {message} is in the queue, and its step was not done"));
            }
            if self.finished.contains(&message) {
                return Err(format!("message {message} was finished, and is in the queue"));
            }
            if !queued.insert(message) {
                return Err(format!("the message of {step:?} is in the queue twice"));
            }
        }
        match self.undelivered().find(|message| !queued.contains(*message)) {
            // One that was delivered after the promise is not there either.
            Some(message) if since == Since::Now => {
                Err(format!("message {message} is lost: neither delivered nor in the queue"))
            }
            _ => Ok(queued),
        }
    }
}

/// A message as V8 serializes a string of ASCII.
fn encode_message(message: &str) -> Vec<u8> {
    [&[0xff, 0x0f, b'"', message.len() as u8], message.as_bytes()].concat()
}

/// The message of a delivery.
pub fn decode_message(data: &[u8]) -> Option<&str> {
    match data {
        [0xff, _, b'"', _, text @ ..] => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// How far a lane is, as a database says; none where it has not begun.
///
/// # Errors
/// Those of [`Database::read`].
pub fn lane_state(database: &Database, lane: u32) -> openkv_engine::Result<Option<Done>> {
    Ok(database.get_blocking(&lane_key(lane))?.and_then(|entry| match entry.value {
        Value::U64(number) => Some(Done { number, versionstamp: entry.versionstamp }),
        _ => None,
    }))
}

fn lane_key(lane: u32) -> Key {
    key("lane", &[lane.into()])
}

fn key(name: &str, numbers: &[u64]) -> Key {
    let numbers = numbers.iter().map(|number| KeyPart::from(*number as f64));
    let parts: Vec<_> = std::iter::once(KeyPart::from(name)).chain(numbers).collect();
    Key::from_parts(&parts).expect("names and numbers make a key")
}

fn entry(database: &Database, key: Key) -> Result<Option<(Value, Versionstamp)>, String> {
    let entry = database.get_blocking(&key).map_err(failed("reading an entry"))?;
    Ok(entry.map(|entry| (entry.value, entry.versionstamp)))
}

fn number(database: &Database, key: Key) -> Result<Option<(u64, Versionstamp)>, String> {
    match entry(database, key)? {
        None => Ok(None),
        Some((Value::U64(number), versionstamp)) => Ok(Some((number, versionstamp))),
        Some(other) => Err(format!("{other:?} is no number")),
    }
}

/// The entries under a name, of one lane or of all.
fn list(database: &Database, name: &str, lane: Option<u32>) -> Result<Vec<(Value, Versionstamp)>, String> {
    let prefix = key(name, &lane.map(u64::from).into_iter().collect::<Vec<_>>());
    let [start, end] = [0, 0xff].map(|last| [prefix.as_bytes(), &[last]].concat());
    let range = Read::Range { start: &start, end: &end, limit: 100, reverse: false, values: true };
    let entries = database.read_blocking(&[range]).map_err(failed("listing"))?.remove(0);
    Ok(entries.into_iter().filter_map(|entry| Some((entry.value?, entry.versionstamp))).collect())
}

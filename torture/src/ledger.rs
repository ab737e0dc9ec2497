//! Records what was acknowledged to writers, and verifies that a database contains it.
//!
//! Writers work in lanes. Each step of a lane is one atomic write, which sets several entries, moves one, increments a total
//! of all lanes and sometimes enqueues a message: if a part of it were missing or left over, the other parts would show it.
//! `scripts/lanes.ts` does the same steps as [`Step`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{AtomicWrite, Check, Database, Enqueue, Key, KeyPart, Mutation, Read, Value, Versionstamp};
use rusqlite::Connection;

use crate::{TIMEOUT, failed};

/// The numbers of log and filler entries of a lane. Later steps overwrite those of earlier ones.
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

/// The acknowledged steps, and the state of messages.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    lanes: BTreeMap<u32, Done>,
    /// The messages whose enqueueing was acknowledged.
    enqueued: BTreeSet<String>,
    delivered: BTreeSet<String>,
    /// The messages that were finished before an acknowledged write started.
    finished: BTreeSet<String>,
}

/// The last step of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its number, 0 for none.
    pub number: u64,
    /// Its versionstamp.
    pub versionstamp: Versionstamp,
}

/// Less than the versions of all commits.
const NO_VERSION: u64 = 0;

impl Default for Done {
    fn default() -> Self {
        Self { number: 0, versionstamp: Versionstamp::from_version(NO_VERSION) }
    }
}

/// When the ledger was taken, relative to the database that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// After the last write. A lane may be one step ahead of its last acknowledged step, by a write in flight.
    Now,
    /// Before the database was copied: other processes may have written in between.
    Earlier,
}

/// The content of a verified database.
#[derive(Debug)]
pub struct Found {
    lanes: BTreeMap<u32, Done>,
    messages: BTreeSet<String>,
}

impl Found {
    /// Returns the last step of a lane.
    pub fn done(&self, lane: u32) -> Done {
        self.lanes.get(&lane).copied().unwrap_or_default()
    }
}

impl Step {
    /// Returns the write of the step, after the previous one.
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

    /// Returns a write that fails after the step, as it sums bytes. It must store nothing.
    pub fn poison(self) -> AtomicWrite {
        let poison = Mutation::set(key("poison", &[self.lane.into()]), Value::U64(self.number));
        AtomicWrite::new().mutate(poison).mutate(Mutation::sum(self.filler_key(), 1))
    }

    /// Returns whether the step enqueues its message.
    pub fn enqueues(self) -> bool {
        self.number.is_multiple_of(4)
    }

    /// Returns the message of the step.
    pub fn message(self) -> String {
        format!("{}:{}", self.lane, self.number)
    }

    fn parse(message: &str) -> Option<Self> {
        let (lane, number) = message.split_once(':')?;
        Some(Self { lane: lane.parse().ok()?, number: number.parse().ok()? })
    }

    /// Returns the key of the bytes that the step stores.
    pub fn filler_key(self) -> Key {
        key("filler", &[self.lane.into(), self.number % FILLERS])
    }

    /// Returns bytes of various lengths, some of which need overflow pages.
    fn filler(self) -> Vec<u8> {
        vec![self.number as u8; (self.number * 997 % 6000) as usize]
    }
}

impl Ledger {
    /// Returns the last acknowledged step of a lane.
    pub fn done(&self, lane: u32) -> Done {
        self.lanes.get(&lane).copied().unwrap_or_default()
    }

    /// Records that a step was acknowledged.
    ///
    /// # Errors
    /// If it does not follow the previous one, or its versionstamp is not greater.
    pub fn acknowledge(&mut self, step: Step, versionstamp: Versionstamp) -> Result<(), String> {
        let before = self.done(step.lane);
        if step.number != before.number + 1 || versionstamp <= before.versionstamp {
            return Err(format!("{step:?} has {versionstamp:?} after {before:?}"));
        }
        self.lanes.insert(step.lane, Done { number: step.number, versionstamp });
        if step.enqueues() {
            self.enqueued.insert(step.message());
        }
        Ok(())
    }

    /// Records that a message was delivered.
    ///
    /// # Errors
    /// If it was finished before.
    pub fn deliver(&mut self, message: &str) -> Result<(), String> {
        if self.finished.contains(message) {
            return Err(format!("message {message} was delivered again after it was finished"));
        }
        self.delivered.insert(message.to_owned());
        Ok(())
    }

    /// Records messages that were finished before an acknowledged write started.
    pub fn finish(&mut self, messages: impl IntoIterator<Item = String>) {
        self.finished.extend(messages);
    }

    /// Records the output of a process: the lines of `scripts/lanes.ts`, or those of `crash/worker.rs`.
    ///
    /// # Errors
    /// A violated guarantee, or an unknown line.
    pub fn enter(&mut self, output: &str) -> Result<(), String> {
        // Skips the incomplete last line of a killed process.
        for line in output.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let unknown = || format!("a process printed {line:?}");
            match *line.split(' ').collect::<Vec<_>>() {
                ["a", lane, number, versionstamp] => {
                    let lane = lane.parse().map_err(|_| unknown())?;
                    let number = number.parse().map_err(|_| unknown())?;
                    self.acknowledge(Step { lane, number }, versionstamp.parse().map_err(|_| unknown())?)?;
                }
                ["c", lane, number, versionstamp] => {
                    let lane = lane.parse().map_err(|_| unknown())?;
                    let number = number.parse().map_err(|_| unknown())?;
                    let versionstamp = versionstamp.parse().map_err(|_| unknown())?;
                    if self.done(lane) != (Done { number, versionstamp }) {
                        self.acknowledge(Step { lane, number }, versionstamp)?;
                    }
                }
                ["d", message] => self.deliver(message)?,
                ["f", message] => self.finish([message.to_owned()]),
                _ => return Err(unknown()),
            }
        }
        Ok(())
    }

    /// Returns the messages that were not delivered yet.
    pub fn undelivered(&self) -> impl Iterator<Item = &String> {
        self.enqueued.difference(&self.delivered)
    }

    /// Returns the number of writes that were acknowledged, or found in the database.
    pub fn steps(&self) -> u64 {
        self.lanes.values().map(|done| done.number).sum()
    }

    /// Returns the number of delivered messages.
    pub fn delivered(&self) -> u64 {
        self.delivered.len() as u64
    }

    /// Returns the number of messages that must not be delivered again.
    pub fn finished(&self) -> u64 {
        self.finished.len() as u64
    }

    /// Checks that all messages were delivered.
    ///
    /// # Errors
    /// One was not.
    pub fn check_delivered(&self) -> Result<(), String> {
        match self.undelivered().next() {
            Some(message) => Err(format!("message {message} was never delivered")),
            None => Ok(()),
        }
    }

    /// Treats the content of a database as acknowledged: a write may have been committed without an acknowledgement.
    pub fn resume(&mut self, found: &Found) {
        self.lanes.clone_from(&found.lanes);
        self.enqueued.extend(found.messages.iter().cloned());
    }

    /// Verifies that the database in a file contains everything that was acknowledged to a number of lanes. No process may write to it.
    ///
    /// # Errors
    /// The violated guarantee.
    pub fn check(&self, path: &Path, lanes: u32, since: Since) -> Result<Found, String> {
        let database =
            sqlite::open(Location::file(path), Options::default()).map_err(failed("opening the database"))?;
        let Found { lanes: found, .. } = self.check_entries(&database, lanes, since)?;
        database.close();
        wait_closed(TIMEOUT);

        let file = Connection::open(path).map_err(failed("opening the file"))?;
        let integrity: String =
            file.query_row("pragma integrity_check", [], |row| row.get(0)).map_err(failed("checking integrity"))?;
        if integrity != "ok" {
            return Err(format!("the file is corrupt: {integrity}"));
        }
        let version: i64 = file
            .query_row("select version from data_version", [], |row| row.get(0))
            .map_err(failed("reading the version"))?;
        if let Some((lane, done)) =
            found.iter().find(|(_, done)| done.versionstamp > Versionstamp::from_version(version as u64))
        {
            return Err(format!("the version {version} is less than that of lane {lane}: {done:?}"));
        }
        let messages = self.check_messages(&file, &found, since)?;
        Ok(Found { lanes: found, messages })
    }

    /// Verifies that the entries of a database are those of what was acknowledged to a number of lanes. No process may write to it.
    /// Returns the lanes, and the messages that their steps enqueued.
    ///
    /// # Errors
    /// The violated guarantee.
    pub fn check_entries(&self, database: &Database, lanes: u32, since: Since) -> Result<Found, String> {
        let lanes: BTreeMap<u32, Done> = (0..lanes)
            .map(|lane| Ok((lane, self.check_lane(database, lane, since)?)))
            .collect::<Result<_, String>>()?;
        let steps: u64 = lanes.values().map(|done| done.number).sum();
        let total = number(database, key("total", &[]))?.map_or(0, |(total, _)| total);
        if total != steps {
            return Err(format!("the total is {total} after {steps} steps"));
        }
        if !list(database, "poison", None)?.is_empty() {
            return Err("a rejected write stored something".into());
        }
        let steps = lanes.iter().flat_map(|(lane, done)| (1..=done.number).map(|number| Step { lane: *lane, number }));
        let messages = steps.filter(|step| step.enqueues()).map(Step::message).collect();
        Ok(Found { lanes, messages })
    }

    /// Verifies that a lane is exactly at one step: the last acknowledged one, or the next.
    fn check_lane(&self, database: &Database, lane: u32, since: Since) -> Result<Done, String> {
        let acknowledged = self.done(lane);
        let done = lane_state(database, lane).map_err(failed("reading a lane"))?.unwrap_or_default();
        let is_next = match since {
            Since::Now => done.number == acknowledged.number + 1,
            Since::Earlier => done.number > acknowledged.number,
        };
        let holds = done == acknowledged || is_next && done.versionstamp > acknowledged.versionstamp;
        if !holds {
            return Err(format!("lane {lane} is at {done:?}, but {acknowledged:?} was acknowledged"));
        }
        let Done { number: last, .. } = done;
        if last == 0 {
            return Ok(done);
        }
        let mismatch = |what: &str| Err(format!("{what} of lane {lane} is not that of step {last}"));

        let mut before = Versionstamp::from_version(NO_VERSION);
        for step in last.saturating_sub(LOG - 1).max(1)..=last {
            match number(database, key("log", &[lane.into(), step % LOG]))? {
                Some((logged, versionstamp)) if logged == step && versionstamp > before => before = versionstamp,
                other => return Err(format!("the log of lane {lane} at {last} has {other:?} for step {step}")),
            }
        }
        if before != done.versionstamp {
            return mismatch("the version");
        }
        let step = Step { lane, number: last };
        let filler = entry(database, step.filler_key())?;
        if filler != Some((Value::Bytes(step.filler()), done.versionstamp)) {
            return mismatch("the filler");
        }
        let ticks = list(database, "tick", Some(lane))?;
        if ticks != [(Value::U64(last), done.versionstamp)] {
            return mismatch("the tick");
        }
        Ok(done)
    }

    /// Verifies that the queue contains the undelivered messages, no finished ones, and only those of committed steps.
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
                return Err(format!("message {message} is in the queue, but its step was not committed"));
            }
            if self.finished.contains(&message) {
                return Err(format!("message {message} was finished, but is in the queue"));
            }
            if !queued.insert(message) {
                return Err(format!("the message of {step:?} is in the queue twice"));
            }
        }
        match self.undelivered().find(|message| !queued.contains(*message)) {
            // With `Since::Earlier`, it may have been delivered in between.
            Some(message) if since == Since::Now => {
                Err(format!("message {message} is lost: neither delivered nor in the queue"))
            }
            _ => Ok(queued),
        }
    }
}

/// Encodes a message as V8 serializes an ASCII string.
fn encode_message(message: &str) -> Vec<u8> {
    [&[0xff, 0x0f, b'"', message.len() as u8], message.as_bytes()].concat()
}

/// Decodes the message of a delivery.
pub fn decode_message(data: &[u8]) -> Option<&str> {
    match data {
        [0xff, _, b'"', _, text @ ..] => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// Returns the last step of a lane in a database. `None` if it has none.
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
        Some(other) => Err(format!("{other:?} is not a number")),
    }
}

/// Returns the entries under a name, of one lane or of all.
fn list(database: &Database, name: &str, lane: Option<u32>) -> Result<Vec<(Value, Versionstamp)>, String> {
    let prefix = key(name, &lane.map(u64::from).into_iter().collect::<Vec<_>>());
    let [start, end] = [0, 0xff].map(|last| [prefix.as_bytes(), &[last]].concat());
    let range = Read::Range { start: &start, end: &end, limit: 100, reverse: false, values: true };
    let entries = database.read_blocking(&[range]).map_err(failed("listing"))?.remove(0);
    Ok(entries.into_iter().filter_map(|entry| Some((entry.value?, entry.versionstamp))).collect())
}

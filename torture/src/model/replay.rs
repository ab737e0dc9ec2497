//! Executes a history on a database and on the model, and compares every result.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{
    AtomicWrite, Check, Clock, Database, Delivery, Enqueue, Error, Key, Limits, Mutation, MutationKind, Read,
    ReadEntry, Selector, Time, Value,
};
use tempfile::TempDir;

use super::history::{Change, Message, Op, Parts, Portion, Selection, Step, Write, key, number};
use super::reference::{Reference, Row};
use crate::{failed, scratch};

/// The limit of `delete_range`: few, so that some entries are left.
const DELETIONS: u32 = 5;

/// The number of messages that one call of `dequeue` returns.
const BATCH: usize = 16;

/// The maximum number of messages in flight, less a batch.
const CAPACITY: usize = 100 - BATCH;

/// Longer than any delay or backoff interval of a message, in milliseconds.
const LONG: u64 = 100_000;

/// A range of all keys.
const ALL: Selection = Selection { prefix: Some(Vec::new()), start: None, end: None };

/// More entries than a history stores.
const MANY: u32 = 1000;

/// A clock that the test sets.
#[derive(Default)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> u64 {
        self.now()
    }
}

/// Where the database is.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Memory,
    File,
}

/// Executes a history. The error describes the wrong result.
pub fn replay(place: Place, history: &[Step]) -> Result<(), String> {
    let mut world = World::new(place)?;
    for (i, step) in history.iter().enumerate() {
        world.step(step).map_err(|error| format!("step {i}, {:?}: {error}", step.op))?;
    }
    world.end().map_err(|error| format!("at the end: {error}"))
}

struct World {
    reference: Reference,
    /// At least one.
    handles: Vec<Database>,
    /// The messages in flight.
    held: Vec<(u64, Delivery)>,
    /// The number of messages so far.
    messages: u64,
    clock: Arc<ManualClock>,
    /// The directory of the file. `None` in memory. The last field, to be dropped after the handles.
    directory: Option<TempDir>,
}

impl World {
    fn new(place: Place) -> Result<Self, String> {
        let directory = match place {
            Place::Memory => None,
            Place::File => Some(scratch()?),
        };
        let clock = Arc::new(ManualClock::default());
        let mut world =
            Self { reference: Reference::new(0), handles: vec![], held: vec![], messages: 0, clock, directory };
        world.wait(LONG);
        world.open()?;
        Ok(world)
    }

    fn open(&mut self) -> Result<(), String> {
        let location = match &self.directory {
            None => Location::Memory,
            Some(directory) => Location::File { path: directory.path().join("kv.sqlite3"), follow_links: false },
        };
        let mut limits = Limits::default();
        limits.deletions = DELETIONS;
        let options = Options::default().clock(self.clock.clone()).limits(limits);
        self.handles.push(sqlite::open(location, options).map_err(failed("opening the database"))?);
        Ok(())
    }

    fn wait(&mut self, milliseconds: u64) {
        self.reference.now += milliseconds;
        self.clock.0.store(self.reference.now, Ordering::Relaxed);
    }

    fn step(&mut self, Step { handle, op }: &Step) -> Result<(), String> {
        let handle = handle % self.handles.len();
        match op {
            Op::Write(writes) => self.write(handle, writes),
            Op::DeleteRange(selection) => self.delete_range(handle, selection),
            Op::Read(portions) => self.read(handle, portions),
            Op::Pages { selection, page, reverse } => self.pages(handle, selection, *page, *reverse),
            Op::Count(selection) => self.count(handle, selection),
            Op::Receive => self.receive(handle),
            Op::Finish { which, success } => match self.held.len() {
                0 => Ok(()),
                held => self.finish(which % held, *success),
            },
            Op::Drop { reopen } => self.drop_delivery(handle, *reopen),
            Op::Wait(milliseconds) => {
                self.wait(*milliseconds);
                Ok(())
            }
            Op::Open if self.directory.is_some() && self.handles.len() < 3 => self.open(),
            Op::Close if self.handles.len() > 1 => close(self.handles.remove(handle)),
            Op::Open | Op::Close => Ok(()),
            Op::Reopen => self.reopen(),
        }
    }

    fn write(&mut self, handle: usize, writes: &[Write]) -> Result<(), String> {
        let mut writing = Vec::new();
        let mut expected = Vec::new();
        for write in writes {
            let stamps: Vec<_> = write.checks.iter().map(|(key, stamp)| self.reference.stamp(key, stamp)).collect();
            let messages: Vec<_> = (self.messages..).take(write.messages.len()).collect();
            self.messages += write.messages.len() as u64;
            let checks = write.checks.iter().zip(&stamps);
            writing.push(self.handles[handle].write(AtomicWrite {
                checks: checks.map(|((parts, _), stamp)| Check { key: key(parts), versionstamp: *stamp }).collect(),
                mutations: write.mutations.iter().map(|(key, change)| self.mutation(key, change)).collect(),
                enqueues: write.messages.iter().zip(&messages).map(|(one, id)| self.enqueue(one, *id)).collect(),
                id: None,
            }));
            expected.push(self.reference.write(write, &stamps, &messages));
        }
        let results: Vec<_> = writing.into_iter().map(|write| block_on(write).map_err(message)).collect();
        same(results, expected)
    }

    fn mutation(&self, parts: &Parts, change: &Change) -> Mutation {
        let kind = match change.clone() {
            Change::Set { value, expire_in, versionstamped } => {
                let expire_at = expire_in.map(|time| Time::At(self.reference.now.saturating_add_signed(time)));
                MutationKind::Set { value, expire_at, versionstamped }
            }
            Change::Delete => MutationKind::Delete,
            Change::Combine { operand, value } => MutationKind::Combine { operand, value },
        };
        Mutation { key: key(parts), kind }
    }

    fn enqueue(&self, message: &Message, id: u64) -> Enqueue {
        Enqueue {
            message: content(id),
            deliver_at: Time::At(self.reference.now + message.delay),
            backoff_schedule: message.backoff.clone(),
            keys_if_undelivered: message.undelivered.iter().map(key).collect(),
        }
    }

    fn delete_range(&mut self, handle: usize, selection: &Selection) -> Result<(), String> {
        let Some(selector) = selector(selection)? else { return Ok(()) };
        let deleted = block_on(self.handles[handle].delete_range(&selector)).map_err(message)?;
        same(deleted, self.reference.delete_range(selection, DELETIONS as usize))
    }

    fn read(&self, handle: usize, portions: &[Portion]) -> Result<(), String> {
        /// A [`Read`] that owns its keys.
        enum Owned {
            Key(Key),
            Range { start: Vec<u8>, end: Vec<u8>, limit: u32, reverse: bool, values: bool },
        }
        let mut reads = Vec::new();
        let mut expected = Vec::new();
        for portion in portions {
            match portion {
                Portion::Key(parts) => {
                    expected.push(self.reference.get(parts).map(|row| entry(row, true)).into_iter().collect());
                    reads.push(Owned::Key(key(parts)));
                }
                Portion::Range { selection, limit, reverse, values } => {
                    let Some(selector) = selector(selection)? else { continue };
                    let rows = self.list(selection, *reverse).into_iter().take(*limit as usize);
                    expected.push(rows.map(|row| entry(row, *values)).collect::<Vec<_>>());
                    let (start, end) = selector.range(None, *reverse).map_err(message)?;
                    reads.push(Owned::Range { start, end, limit: *limit, reverse: *reverse, values: *values });
                }
            }
        }
        let reads = reads.iter().map(|read| match read {
            Owned::Key(key) => Read::Key(key),
            Owned::Range { start, end, limit, reverse, values } => {
                Read::Range { start, end, limit: *limit, reverse: *reverse, values: *values }
            }
        });
        same(self.handles[handle].read_blocking(&reads.collect::<Vec<_>>()).map_err(message)?, expected)
    }

    /// Returns the entries of a selection in the model.
    fn list(&self, selection: &Selection, reverse: bool) -> Vec<Row> {
        let mut rows = self.reference.list(selection);
        if reverse {
            rows.reverse();
        }
        rows
    }

    fn pages(&self, handle: usize, selection: &Selection, page: u32, reverse: bool) -> Result<(), String> {
        let Some(selector) = selector(selection)? else { return Ok(()) };
        let expected: Vec<_> = self.list(selection, reverse).into_iter().map(|row| entry(row, true)).collect();
        let mut listed: Vec<ReadEntry> = Vec::new();
        let mut cursor = None;
        // Stops after one entry too many, in case the listing is endless.
        while listed.len() <= expected.len() {
            let (start, end) = selector.range(cursor.as_deref(), reverse).map_err(message)?;
            let read = Read::Range { start: &start, end: &end, limit: page, reverse, values: true };
            let mut entries = self.handles[handle].read_blocking(&[read]).map_err(message)?.remove(0);
            let Some(last) = entries.last() else { break };
            cursor = Some(selector.cursor(&last.key).map_err(message)?);
            listed.append(&mut entries);
        }
        same(listed, expected)
    }

    fn count(&self, handle: usize, selection: &Selection) -> Result<(), String> {
        let Some(selector) = selector(selection)? else { return Ok(()) };
        let count = block_on(self.handles[handle].count(&selector)).map_err(message)?;
        same(count, self.reference.list(selection).len() as u64)
    }

    fn receive(&mut self, handle: usize) -> Result<(), String> {
        if self.held.len() > CAPACITY {
            return Ok(());
        }
        let pending = self.handles[handle].dequeue();
        if !self.reference.is_ready() {
            // The only message that is delivered then.
            self.send(handle, 0)?;
        }
        let deliveries = block_on(pending).map_err(message)?;
        let ids = self.reference.claim(BATCH);
        let messages: Vec<_> = deliveries.iter().map(|delivery| delivery.message.clone()).collect();
        same(messages, ids.iter().map(|id| content(*id)).collect())?;
        self.held.extend(ids.into_iter().zip(deliveries));
        Ok(())
    }

    /// Enqueues a message.
    fn send(&mut self, handle: usize, delay: u64) -> Result<(), String> {
        let message = Message { delay, backoff: Some(vec![]), undelivered: vec![] };
        self.write(handle, &[Write { checks: vec![], mutations: vec![], messages: vec![message] }])
    }

    fn finish(&mut self, which: usize, success: bool) -> Result<(), String> {
        let (id, delivery) = self.held.remove(which);
        block_on(if success { delivery.done() } else { delivery.retry() }).map_err(message)?;
        self.reference.finish(id, success);
        Ok(())
    }

    fn drop_delivery(&mut self, handle: usize, reopen: bool) -> Result<(), String> {
        self.receive(handle)?;
        while self.held.len() > 1 {
            self.finish(1, true)?;
        }
        let Some((id, delivery)) = self.held.pop() else { return Ok(()) };
        delivery.start();
        if self.directory.is_none() {
            // In memory, the next call may overtake the release of a dropped delivery.
            block_on(delivery.retry()).map_err(message)?;
        } else {
            drop(delivery);
            if reopen {
                self.reopen()?;
            }
        }
        self.reference.finish(id, false);
        self.receive(0)
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.handles.drain(..).try_for_each(close)?;
        if self.directory.is_none() {
            self.held.clear();
            self.reference = Reference::new(self.reference.now);
        }
        self.open()
    }

    /// Compares the final state.
    fn end(&mut self) -> Result<(), String> {
        self.pages(0, &ALL, MANY, false)?;
        self.count(0, &ALL)?;
        while !self.held.is_empty() {
            self.finish(0, true)?;
        }
        // The remaining messages fail until they are given up.
        while self.reference.has_messages() {
            self.wait(LONG);
            self.receive(0)?;
            while !self.held.is_empty() {
                self.finish(0, false)?;
            }
        }
        // Messages that the model does not have would be delivered with this one.
        self.receive(0)?;
        self.pages(0, &ALL, MANY, true)
    }
}

/// Closes a database, and checks that further calls fail.
fn close(database: Database) -> Result<(), String> {
    database.close();
    match block_on(database.count(&Selector::prefix(&Key::new()))) {
        Err(Error::Closed) => Ok(()),
        result => Err(format!("a closed database returned {result:?}")),
    }
}

/// Returns the selector of a selection. `None` if it is invalid, with the expected error.
fn selector(selection: &Selection) -> Result<Option<Selector>, String> {
    let [prefix, start, end] =
        [&selection.prefix, &selection.start, &selection.end].map(|parts| parts.as_ref().map(key));
    let selector = Selector::new(prefix.as_ref(), start.as_ref(), end.as_ref());
    same(selector.as_ref().map_err(ToString::to_string).err().as_deref(), selection.error())?;
    Ok(selector.ok())
}

fn entry((parts, value, versionstamp): Row, values: bool) -> ReadEntry {
    ReadEntry { key: key(&parts), value: values.then_some(value), versionstamp }
}

/// Returns the content of the message with this number.
fn content(id: u64) -> Vec<u8> {
    match number(id as f64) {
        Value::V8(bytes) => bytes,
        other => unreachable!("{other:?} is not in V8's format"),
    }
}

fn message(error: Error) -> String {
    error.to_string()
}

/// Compares a result with the expected one.
fn same<T: PartialEq + Debug>(result: T, expected: T) -> Result<(), String> {
    if result == expected { Ok(()) } else { Err(format!("returned {result:?}, expected {expected:?}")) }
}

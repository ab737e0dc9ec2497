//! Executes a history on a database and on the model, and compares every result.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use futures_executor::block_on;
use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{
    AtomicWrite, BoxFuture, Check, Clock, Commit, Database, Delivery, Enqueue, Error, Key, Limits, Mutation,
    MutationKind, Read, ReadEntry, Selector, Time, Value, Versionstamp,
};
use tempfile::TempDir;

use super::history::{Change, Message, Op, Parts, Portion, Selection, Step, Write, key, number};
use super::reference::{Reference, Row};
use crate::service::{Service, open_with};
use crate::{TIMEOUT, failed, scratch};

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
#[derive(Clone, Copy)]
pub enum Place<'s> {
    Memory,
    File,
    Service(&'s Service),
}

/// The number of databases in services.
static DATABASES: AtomicU64 = AtomicU64::new(0);

/// Executes a history. The error describes the wrong result.
pub fn replay(place: Place<'_>, history: &[Step]) -> Result<(), String> {
    let mut world = World::new(place)?;
    for (i, step) in history.iter().enumerate() {
        let step = if world.has_clock { step } else { &step.without_time() };
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
    /// Whether the database uses the clock, and not that of a server.
    has_clock: bool,
    /// Whether the database is in a service: then, versions need not be consecutive, messages that are ready may be delivered in any
    /// order, and only the first handle receives any, as others may leave them to that.
    is_remote: bool,
    /// The path or URL of the database. `None` in memory.
    location: Option<String>,
    /// The directory of the file. The last field, to be dropped after the handles.
    _directory: Option<TempDir>,
}

impl World {
    fn new(place: Place<'_>) -> Result<Self, String> {
        let directory = if matches!(place, Place::File) { Some(scratch()?) } else { None };
        let location = match place {
            Place::Memory => None,
            Place::File => directory.as_ref().map(|it| it.path().join("kv.sqlite3").to_string_lossy().into_owned()),
            Place::Service(service) => {
                Some(service.location(&format!("history{}", DATABASES.fetch_add(1, Ordering::Relaxed))))
            }
        };
        let mut world = Self {
            reference: Reference::new(0),
            handles: vec![],
            held: vec![],
            messages: 0,
            clock: Arc::new(ManualClock::default()),
            has_clock: !matches!(place, Place::Service(service) if !service.uses_local_clock()),
            is_remote: matches!(place, Place::Service(_)),
            location,
            _directory: directory,
        };
        world.wait(LONG);
        world.open()?;
        Ok(world)
    }

    fn open(&mut self) -> Result<(), String> {
        let mut limits = Limits::default();
        limits.deletions = DELETIONS;
        let clock = self.clock.clone();
        let opened = match &self.location {
            None => sqlite::open(Location::Memory, Options::default().clock(clock).limits(limits))
                .map_err(failed("opening the database")),
            Some(location) => open_with(location, limits, clock),
        };
        self.handles.push(opened?);
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
            Op::Open if self.location.is_some() && self.handles.len() < 3 => self.open(),
            // The first one receives the messages of a service.
            Op::Close if self.handles.len() > 1 && !(self.is_remote && handle == 0) => {
                close(self.handles.remove(handle))
            }
            Op::Open | Op::Close => Ok(()),
            Op::Reopen => self.reopen(),
        }
    }

    fn write(&mut self, handle: usize, writes: &[Write]) -> Result<(), String> {
        let mut writing = Vec::new();
        let mut calls = Vec::new();
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
            if self.is_remote {
                calls.push((write, stamps, messages));
            } else {
                let next = self.reference.next();
                expected.push(self.reference.write(write, &stamps, &messages, next));
            }
        }
        let results: Vec<_> = writing.into_iter().map(|write| block_on(write).map_err(message)).collect();
        for ((write, stamps, messages), result) in calls.iter().zip(&results) {
            let versionstamp = match result {
                Ok(Commit::Done(versionstamp)) => *versionstamp,
                _ => self.reference.next(),
            };
            self.check_growth(versionstamp)?;
            expected.push(self.reference.write(write, stamps, messages, versionstamp));
        }
        same(results, expected)
    }

    /// Checks that a versionstamp is that of a new commit.
    fn check_growth(&self, versionstamp: Versionstamp) -> Result<(), String> {
        match self.reference.last() {
            Some(last) if last >= versionstamp => {
                Err(format!("{versionstamp:?} of a commit is not greater than {last:?}"))
            }
            _ => Ok(()),
        }
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
        let receiver = if self.is_remote { 0 } else { handle };
        let pending = self.handles[receiver].dequeue();
        if !self.reference.is_ready() {
            // The only message that is delivered then.
            self.send(handle, 0)?;
        }
        if self.is_remote {
            return self.receive_in_any_order(pending);
        }
        let deliveries = block_on(pending).map_err(message)?;
        let ids = self.reference.claim(BATCH);
        let messages: Vec<_> = deliveries.iter().map(|delivery| delivery.message.clone()).collect();
        same(messages, ids.iter().map(|id| content(*id)).collect())?;
        self.held.extend(ids.into_iter().zip(deliveries));
        Ok(())
    }

    /// Receives all messages that are ready, each once.
    fn receive_in_any_order(&mut self, mut pending: BoxFuture<Vec<Delivery>>) -> Result<(), String> {
        let mut missing = self.reference.claim(usize::MAX);
        loop {
            for delivery in within_timeout(pending)? {
                let index = missing.iter().position(|id| content(*id) == delivery.message);
                let index = index.ok_or_else(|| format!("returned {delivery:?}, expected the messages {missing:?}"))?;
                self.held.push((missing.remove(index), delivery));
            }
            if missing.is_empty() {
                return Ok(());
            }
            pending = self.handles[0].dequeue();
        }
    }

    /// Enqueues a message.
    fn send(&mut self, handle: usize, delay: u64) -> Result<(), String> {
        let message = Message { delay, backoff: Some(vec![]), undelivered: vec![] };
        self.write(handle, &[Write { checks: vec![], mutations: vec![], messages: vec![message] }])
    }

    fn finish(&mut self, which: usize, success: bool) -> Result<(), String> {
        let (id, delivery) = self.held.remove(which);
        block_on(if success { delivery.done() } else { delivery.retry() }).map_err(message)?;
        let versionstamp = match self.reference.undelivered_key(id, success) {
            Some(parts) if self.is_remote => {
                let entry = self.handles[0].get_blocking(&key(parts)).map_err(message)?;
                entry.ok_or("an undelivered message was not stored")?.versionstamp
            }
            _ => self.reference.next(),
        };
        self.check_growth(versionstamp)?;
        self.reference.finish(id, success, versionstamp);
        Ok(())
    }

    fn drop_delivery(&mut self, handle: usize, reopen: bool) -> Result<(), String> {
        self.receive(handle)?;
        while self.held.len() > 1 {
            self.finish(1, true)?;
        }
        let Some((id, delivery)) = self.held.pop() else { return Ok(()) };
        delivery.start();
        if self.location.is_none() || self.is_remote {
            // The next call may overtake the release of a dropped delivery.
            self.held.push((id, delivery));
            self.finish(0, false)?;
        } else {
            drop(delivery);
            if reopen {
                self.reopen()?;
            }
            self.reference.finish(id, false, self.reference.next());
        }
        self.receive(0)
    }

    fn reopen(&mut self) -> Result<(), String> {
        if self.is_remote {
            // A closed handle with messages in flight remains a listener, to which others leave messages for a while.
            while !self.held.is_empty() {
                self.finish(0, true)?;
            }
        }
        self.handles.drain(..).try_for_each(close)?;
        if self.location.is_none() {
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

/// Waits for the result of a call that hangs if a message was lost.
fn within_timeout<T: Send + 'static>(pending: BoxFuture<T>) -> Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(block_on(pending)));
    let result = receiver.recv_timeout(TIMEOUT).map_err(|_| format!("no message within {TIMEOUT:?}"))?;
    result.map_err(message)
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

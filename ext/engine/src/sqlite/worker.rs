//! What a database does besides reads: it takes the work that waits, does each piece under a savepoint of its own within one
//! transaction, commits once, and then answers all: one disk sync for as many writes as came in during the last one.
//! Between them it delivers messages, removes expired entries, and looks whether another process changed the file.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::open_files::OpenFile;
use super::queue::{Queue, Taken};
use super::sweep::Sweep;
use super::transaction::{self, Durability, Transaction};
use super::watchers::Watchers;
use super::{Options, apply};
use crate::{AtomicWrite, Clock, Commit, Error, Random, Result};

/// How often to look whether another process changed the file, while someone wants to know, in milliseconds.
const LOOK_INTERVAL: u64 = 25;

pub(super) type Answer<T> = oneshot::Sender<Result<T>>;

/// Work for the worker.
pub(super) enum Job {
    Do(Operation),
    Dequeue {
        room: usize,
        answer: Answer<Vec<Taken>>,
    },
    /// Something else is due earlier than it was.
    Look,
}

/// Work in a transaction.
pub(super) enum Operation {
    Write { write: AtomicWrite, reply: Reply<Commit> },
    DeleteRange { start: Vec<u8>, end: Vec<u8>, limit: u32, reply: Reply<u64> },
    Finish { id: String, success: bool, reply: Reply<()> },
}

impl Operation {
    /// Whether its answer promises that it is on the disk.
    fn durability(&self) -> Durability {
        match self {
            Operation::Write { .. } | Operation::DeleteRange { .. } => Durability::Synced,
            Operation::Finish { .. } => Durability::Deferred,
        }
    }

    /// Runs it. An error is that of the transaction.
    fn run(&mut self, queue: &mut Queue, transaction: &Transaction<'_>) -> Result<()> {
        match self {
            Operation::Write { write, reply } => {
                reply.result = Some(transaction.attempt(|transaction| apply::write(transaction, write))?);
            }
            Operation::DeleteRange { start, end, limit, reply } => {
                let run = |transaction: &_| apply::delete_range(transaction, start, end, *limit);
                reply.result = Some(transaction.attempt(run)?);
            }
            Operation::Finish { id, success, reply } => {
                reply.result = Some(transaction.attempt(|transaction| queue.finish(transaction, id, *success))?);
            }
        }
        Ok(())
    }

    /// Sends its answer, once the transaction was committed or failed.
    fn answer(self, committed: &Result<()>) {
        match self {
            Operation::Write { reply, .. } => reply.send(committed),
            Operation::DeleteRange { reply, .. } => reply.send(committed),
            Operation::Finish { reply, .. } => reply.send(committed),
        }
    }
}

/// An answer to be sent, and what it will be if the transaction is committed.
pub(super) struct Reply<T> {
    answer: Answer<T>,
    result: Option<Result<T>>,
}

impl<T> Reply<T> {
    pub fn new(answer: Answer<T>) -> Self {
        Self { answer, result: None }
    }

    fn send(self, committed: &Result<()>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or(Err(Error::Closed)),
            Err(error) => Err(error.clone()),
        };
        // A caller that no longer waits does not want the answer.
        let _ = self.answer.send(result);
    }
}

/// What other processes do to the file.
struct Others {
    /// SQLite's count of their commits.
    seen: i64,
    /// When to look again, in milliseconds since the Unix epoch.
    look_at: u64,
}

pub(super) struct Worker {
    watchers: Arc<Watchers>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    /// What the connection is set to.
    durability: Durability,
    queue: Queue,
    sweep: Sweep,
    /// None where the database is in memory.
    file: Option<Arc<OpenFile>>,
    /// None where there are no other processes.
    others: Option<Others>,
    /// None where there is no log.
    checkpoints: Option<Checkpoints>,
}

impl Worker {
    /// Another process can change a database only where it is a file, and only that has a log.
    pub fn new(
        connection: &Connection,
        watchers: Arc<Watchers>,
        options: &Options,
        file: Option<Arc<OpenFile>>,
    ) -> Self {
        let is_file = file.is_some();
        Self {
            watchers,
            random: options.random.clone(),
            clock: options.clock.clone(),
            durability: Durability::Synced,
            queue: Queue::default(),
            sweep: Sweep::default(),
            others: is_file.then(|| Others { seen: commits_of_others(connection).unwrap_or_default(), look_at: 0 }),
            checkpoints: file.as_ref().map(|file| Checkpoints::new(file.name().clone())),
            file,
        }
    }

    /// Looks at what is there already, before the first step.
    pub fn begin(&mut self, connection: &Connection) {
        // A failure here comes back where it matters, in what is asked for.
        let _ = self.sweep.look(connection);
    }

    /// Saves what closing the connection would not, after the last step.
    pub fn end(&self, connection: &Connection) {
        // Who wrote has the answer already, and others find what there is.
        let _ = self.file.as_ref().map_or(Ok(()), |file| file.check(connection));
    }

    /// When there is something to do without being asked, in milliseconds since the Unix epoch.
    pub fn due(&self) -> Option<u64> {
        let due = [self.sweep_due(), self.queue.tend_due(), self.queue.delivery_due(), self.look_at()];
        due.into_iter().flatten().min()
    }

    /// The time by its clock, in milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// When to remove expired entries.
    fn sweep_due(&self) -> Option<u64> {
        self.sweep.due(!self.watchers.is_empty())
    }

    /// When to look what other processes did: as long as someone waits for it.
    fn look_at(&self) -> Option<u64> {
        let others = self.others.as_ref()?;
        (self.queue.is_awaited() || !self.watchers.is_empty()).then_some(others.look_at)
    }

    /// Does what is asked for, and what is due.
    pub fn step(&mut self, connection: &Connection, jobs: &mut Vec<Job>) {
        self.work(connection, jobs);
        self.queue.forget_who_left();
        let now = self.clock.now();
        let is_due = |due: Option<u64>| due.is_some_and(|due| due <= now);
        if is_due(self.look_at()) {
            self.look_at_others(connection, now);
        }
        if is_due(self.sweep_due())
            && self.deferred(connection, |worker, transaction| worker.sweep.run(transaction)).is_err()
        {
            self.sweep.rest(now);
        }
        if is_due(self.queue.tend_due())
            && self.deferred(connection, |worker, transaction| worker.queue.tend(transaction)).is_err()
        {
            self.queue.rest(now);
        }
        if is_due(self.queue.delivery_due())
            && let Err(error) = self.deliver(connection, now)
        {
            self.queue.fail(&error);
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.look(connection);
        }
    }

    /// Does what is asked for. What fails takes only itself back; a failure of the transaction is the answer to all.
    pub fn work(&mut self, connection: &Connection, jobs: &mut Vec<Job>) {
        let mut operations = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            match job {
                Job::Do(operation) => operations.push(operation),
                Job::Dequeue { room, answer } => self.queue.wait(room, answer),
                Job::Look => {}
            }
        }
        if operations.is_empty() {
            return;
        }
        let synced = operations.iter().any(|operation| operation.durability() == Durability::Synced);
        let durability = if synced { Durability::Synced } else { Durability::Deferred };
        let alone = operations.len() == 1;
        let committed = self.commit(connection, durability, alone, |worker, transaction| {
            operations.iter_mut().try_for_each(|operation| operation.run(&mut worker.queue, transaction))
        });
        for operation in operations {
            operation.answer(&committed);
        }
    }

    /// Takes messages for those that wait, and hands them out.
    fn deliver(&mut self, connection: &Connection, now: u64) -> Result<()> {
        self.queue.look(connection)?;
        if self.queue.delivery_due().is_none_or(|due| due > now) {
            return Ok(());
        }
        let mut taken = Vec::new();
        self.deferred(connection, |worker, transaction| {
            taken = worker.queue.take(transaction)?;
            Ok(())
        })?;
        let unwanted = self.queue.hand_out(taken);
        if !unwanted.is_empty() {
            self.deferred(connection, |worker, transaction| worker.queue.put_back(transaction, &unwanted))?;
        }
        Ok(())
    }

    /// Looks whether other processes changed the file, and if so, at what concerns us.
    fn look_at_others(&mut self, connection: &Connection, now: u64) {
        let Some(others) = &mut self.others else { return };
        others.look_at = now + LOOK_INTERVAL;
        // What fails here, fails again when the watchers read.
        let commits = commits_of_others(connection).unwrap_or(others.seen);
        if commits != others.seen {
            others.seen = commits;
            self.queue.changed();
            let _ = self.sweep.look(connection);
            self.watchers.tell_all();
        }
    }

    /// Runs housekeeping in a transaction that need not be on the disk at once.
    fn deferred(
        &mut self,
        connection: &Connection,
        operation: impl FnOnce(&mut Self, &Transaction<'_>) -> Result<()>,
    ) -> Result<()> {
        self.commit(connection, Durability::Deferred, false, operation)
    }

    fn commit(
        &mut self,
        connection: &Connection,
        durability: Durability,
        alone: bool,
        operation: impl FnOnce(&mut Self, &Transaction<'_>) -> Result<()>,
    ) -> Result<()> {
        if connection.is_readonly(rusqlite::MAIN_DB)? {
            return Err(Error::ReadOnly);
        }
        self.file.as_ref().map_or(Ok(()), |file| file.check(connection))?;
        if self.durability != durability {
            durability.apply(connection)?;
            self.durability = durability;
        }
        let random = self.random.clone();
        let watched = !self.watchers.is_empty();
        let options = transaction::Options { random: &*random, now: self.clock.now(), alone, watched };
        let transaction = Transaction::begin(connection, options)?;
        operation(self, &transaction)?;
        let effects = transaction.commit()?;
        if let Some(at) = effects.expires {
            self.sweep.expires(at);
        }
        if effects.enqueued {
            self.queue.changed();
        }
        match watched {
            true => self.watchers.tell(&effects.touched),
            // Who began to watch meanwhile may have looked too early.
            false => self.watchers.tell_all(),
        }
        self.file.as_ref().map_or(Ok(()), |file| file.confirm(connection))
    }
}

/// SQLite's count of the commits that other connections have made to the file.
fn commits_of_others(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

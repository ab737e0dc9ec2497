//! Group commit: the worker takes the queued operations, runs each under its own savepoint within one transaction, commits once,
//! and then sends all replies: one disk sync for all writes that arrived during the previous one. Between commits it delivers
//! messages, removes expired entries, and polls for external commits.

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::clock::Moment;
use crate::sqlite::file::checkpoint::Checkpoints;
use crate::sqlite::file::durability::Durability;
use crate::sqlite::file::open_file::OpenFile;
use crate::sqlite::options::Options;
use crate::sqlite::read::reader;
use crate::sqlite::write::apply;
use crate::sqlite::write::database_id;
use crate::sqlite::write::jobs::{Closing, Job, Operation};
use crate::sqlite::write::queue::Queue;
use crate::sqlite::write::sweep::Sweep;
use crate::sqlite::write::transaction::{self, Transaction};
use crate::sqlite::write::watchers::Watchers;
use crate::{Clock, Error, Random, Result};

/// How often to poll for external commits while there are watchers or listeners, in milliseconds.
const POLL_INTERVAL: u64 = 25;

/// The longest sleep until a time of the wall clock, in milliseconds. The clock may step meanwhile.
const LONGEST_SLEEP: u64 = 1000;

/// The duration from which a commit is logged as slow, in milliseconds.
const SLOW_COMMIT: u64 = 1000;

/// The maximum number and size of the operations in one transaction. It is written to the WAL as a whole, which would grow without
/// bounds otherwise.
const GROUP_OPERATIONS: usize = 1024;
const GROUP_BYTES: usize = 4 * 1024 * 1024;

impl Operation {
    /// Runs the operation. An error ends the transaction.
    fn run(&mut self, queue: &Queue, transaction: &Transaction<'_>) -> Result<()> {
        match self {
            Operation::Write { write, reply, .. } => {
                reply.result = Some(transaction.with_savepoint(|transaction| apply::write(transaction, write))?);
            }
            Operation::DeleteRange { start, end, limit, reply, .. } => {
                let run = |transaction: &_| apply::delete_range(transaction, start, end, *limit);
                reply.result = Some(transaction.with_savepoint(run)?);
            }
            Operation::Read { reads, max_bytes, reply } => {
                let connection = transaction.connection();
                reply.result = Some(reader::read_entries(connection, transaction.now, reads, *max_bytes));
            }
            Operation::Id { reply } => reply.result = Some(transaction.with_savepoint(database_id::find)?),
            Operation::RaiseVersion { version, reply } => {
                transaction.raise_version(*version);
                reply.result = Some(Ok(()));
            }
            Operation::Finish { token, success, reply } => {
                let run = |transaction: &_| queue.finish(transaction, *token, *success);
                reply.result = Some(transaction.with_savepoint(run)?);
            }
            Operation::Release { token } => {
                // If this fails, the message is redelivered once its deadline has passed.
                let _ = transaction.with_savepoint(|transaction| queue.release(transaction, *token))?;
            }
        }
        Ok(())
    }

    /// Sends the reply, after the transaction was committed or has failed.
    fn reply(self, committed: &Result<()>, queue: &mut Queue, connection: &Connection, clock: &dyn Clock) {
        match self {
            Operation::Write { reply, flight, .. } => {
                drop(flight);
                reply.send(committed);
            }
            Operation::DeleteRange { reply, flight, .. } => {
                drop(flight);
                reply.send(committed);
            }
            Operation::Read { reads, max_bytes, mut reply } => {
                if committed.is_err() {
                    // It may have seen writes that were rolled back.
                    reply.result = Some(reader::read_entries(connection, clock.now(), &reads, max_bytes));
                }
                reply.send(&Ok(()));
            }
            Operation::Id { reply } => reply.send(committed),
            Operation::RaiseVersion { reply, .. } => reply.send(committed),
            Operation::Finish { token, reply, .. } => {
                queue.forget(token);
                reply.send(committed);
            }
            Operation::Release { token } => queue.forget(token),
        }
    }
}

/// The state of polling for the commits of other processes.
struct ExternalCommits {
    /// The last value of SQLite's `data_version`.
    seen: i64,
    /// The monotonic time of the next poll, in milliseconds.
    poll_at: u64,
}

pub(crate) struct Worker {
    watchers: Arc<Watchers>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    /// The current setting of the connection.
    durability: Durability,
    queue: Queue,
    sweep: Sweep,
    /// For the claims of messages, which send jobs.
    jobs: mpsc::UnboundedSender<Job>,
    /// `None` for a database in memory.
    file: Option<Arc<OpenFile>>,
    /// `None` for a database in memory.
    external_commits: Option<ExternalCommits>,
    /// `None` for a database in memory.
    checkpoints: Option<Checkpoints>,
}

impl Worker {
    /// Returns the worker of a file, or of a database in memory.
    pub fn new(
        connection: &Connection,
        watchers: Arc<Watchers>,
        options: &Options,
        file: Option<Arc<OpenFile>>,
        jobs: mpsc::UnboundedSender<Job>,
    ) -> Self {
        let is_file = file.is_some();
        let seen = || data_version(connection).unwrap_or_default();
        Self {
            watchers,
            random: options.random.clone(),
            clock: options.clock.clone(),
            durability: Durability::Synced,
            queue: Queue::default(),
            sweep: Sweep::default(),
            jobs,
            external_commits: is_file.then(|| ExternalCommits { seen: seen(), poll_at: 0 }),
            checkpoints: file.as_ref().map(|file| Checkpoints::new(file.name().clone())),
            file,
        }
    }

    /// Reads the initial state from the file, before the first step.
    pub fn begin(&mut self, connection: &Connection) {
        // If this fails, the operations that follow return the error.
        let _ = self.sweep.refresh(connection);
    }

    /// Saves the contents of a WAL that was moved away, which closing the connection would not do. Called after the last step.
    pub fn end(&self, connection: &Connection) {
        // The result no longer matters: all replies were sent.
        let _ = self.file.as_ref().map_or(Ok(()), |file| file.check(connection));
    }

    /// Returns how long until something is due without a job, in milliseconds.
    pub fn due(&self) -> Option<u64> {
        let now = Moment::now(&*self.clock);
        let by_wall_clock = [self.sweep_due(now), self.queue.delivery_due(now)].into_iter().flatten().min();
        let is_awaited = self.queue.is_awaited() || !self.watchers.is_empty();
        let by_wall_clock = by_wall_clock.map(|due| if is_awaited { due.min(LONGEST_SLEEP) } else { due });
        let due = [by_wall_clock, self.queue.renewal_due(now), self.queue.count_due(now), self.poll_due(now)];
        due.into_iter().flatten().min()
    }

    /// Returns how long until expired entries are to be removed, in milliseconds.
    fn sweep_due(&self, now: Moment) -> Option<u64> {
        self.sweep.due(now, !self.watchers.is_empty())
    }

    /// Returns how long until the next poll for external commits, in milliseconds, if there are watchers or listeners.
    fn poll_due(&self, now: Moment) -> Option<u64> {
        let external = self.external_commits.as_ref()?;
        (self.queue.is_awaited() || !self.watchers.is_empty()).then(|| now.until(external.poll_at))
    }

    /// Runs as many jobs as fit into one transaction, and everything that is due. Returns how to close the file, if a job requests
    /// it.
    pub fn step(&mut self, connection: &Connection, jobs: &mut VecDeque<Job>) -> Option<Closing> {
        let closing = self.work(connection, jobs);
        self.queue.prune_cancelled();
        let now = Moment::now(&*self.clock);
        let is_due = |due: Option<u64>| due == Some(0);
        if is_due(self.poll_due(now)) {
            self.poll_external_commits(connection, now);
        }
        if is_due(self.sweep_due(now)) {
            self.sweep(connection, now);
        }
        if is_due(self.queue.renewal_due(now)) {
            // A failure is retried at the next renewal, before a lease expires.
            let _ = self.renew_leases(connection, now);
        }
        if is_due(self.queue.count_due(now)) {
            self.count_attempts(connection, now);
        }
        if is_due(self.queue.delivery_due(now))
            && let Err(error) = self.deliver(connection, now)
        {
            self.queue.fail(&error, now);
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.poll(connection);
        }
        closing
    }

    /// Runs as many jobs as fit into one transaction.
    fn work(&mut self, connection: &Connection, jobs: &mut VecDeque<Job>) -> Option<Closing> {
        let mut operations = Vec::new();
        let mut size = 0;
        while let Some(job) = jobs.pop_front() {
            match job {
                Job::Do(operation) => {
                    size += operation.size();
                    operations.push(operation);
                    if operations.len() == GROUP_OPERATIONS || size >= GROUP_BYTES {
                        break;
                    }
                }
                Job::Dequeue { capacity, reply } => self.queue.wait(capacity, reply),
                Job::Start(token) => self.queue.start(token),
                Job::Wake => {}
                // The jobs below run after the operations that were queued before them.
                job if !operations.is_empty() => {
                    jobs.push_front(job);
                    break;
                }
                Job::Run(run) => run(connection),
                Job::Close(closing) => return Some(closing),
            }
        }
        self.commit_group(connection, operations);
        None
    }

    /// Commits operations in one transaction. A failed operation is rolled back alone; if the transaction fails, all get its error.
    pub fn commit_group(&mut self, connection: &Connection, mut operations: Vec<Operation>) {
        let durabilities = operations.iter().filter_map(Operation::durability);
        let committed = match durabilities.max() {
            // Reads need no transaction: the writes before them are committed.
            None => Err(Error::Closed),
            Some(durability) => {
                let single_op = operations.len() == 1;
                self.commit(connection, durability, single_op, |worker, transaction| {
                    operations.iter_mut().try_for_each(|operation| operation.run(&worker.queue, transaction))
                })
            }
        };
        for operation in operations {
            operation.reply(&committed, &mut self.queue, connection, &*self.clock);
        }
    }

    /// Sends an empty list to the listeners, and releases the claims of messages that are no longer handled.
    pub fn close(&mut self, connection: &Connection, closing: Closing) {
        self.queue.close();
        let abandoned = self.queue.abandoned(closing == Closing::Abandon);
        if !abandoned.is_empty() {
            let release = abandoned.into_iter().map(|token| Operation::Release { token });
            self.commit_group(connection, release.collect());
        }
    }

    /// Returns whether handlers still have messages to finish.
    pub fn is_handling(&self) -> bool {
        self.queue.is_running()
    }

    /// Checkpoints and truncates the WAL.
    pub fn checkpoint(&mut self, connection: &Connection) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.truncate(connection);
        }
    }

    /// Claims messages for the listeners, and dispatches them.
    fn deliver(&mut self, connection: &Connection, now: Moment) -> Result<()> {
        self.queue.refresh_next_ready(connection)?;
        if self.queue.delivery_due(now) != Some(0) {
            return Ok(());
        }
        let claimed = self
            .commit(connection, Durability::Deferred, false, |worker, transaction| worker.queue.claim(transaction))?;
        self.queue.dispatch(claimed, &self.jobs, now);
        self.queue.refresh_next_ready(connection)
    }

    /// Renews the leases of claimed messages, and requeues those of processes that died.
    fn renew_leases(&mut self, connection: &Connection, now: Moment) -> Result<()> {
        let dead = self.queue.observe(connection, now)?;
        if dead.is_empty() && !self.queue.is_running() {
            return Ok(());
        }
        self.commit(connection, Durability::Deferred, false, |worker, transaction| {
            worker.queue.renew(transaction, &dead)
        })
    }

    /// Stores the attempts of handlers that were called.
    fn count_attempts(&mut self, connection: &Connection, now: Moment) {
        if !self.queue.has_uncounted() {
            // The messages were finished meanwhile.
            return self.queue.counted(Vec::new());
        }
        let counted = self.commit(connection, Durability::Deferred, false, |worker, transaction| {
            worker.queue.count_attempts(transaction)
        });
        match counted {
            Ok(counted) => self.queue.counted(counted),
            Err(_) => self.queue.back_off_counting(now),
        }
    }

    /// Removes expired entries.
    fn sweep(&mut self, connection: &Connection, now: Moment) {
        let removed = self.commit(connection, Durability::Deferred, false, |_, transaction| Sweep::remove(transaction));
        let swept = removed.and_then(|removed| {
            self.sweep.swept(removed, now);
            self.sweep.refresh(connection)
        });
        if swept.is_err() {
            self.sweep.back_off(now);
        }
    }

    /// Checks whether other processes have changed the file, and if so, refreshes the state in memory and notifies all watchers.
    fn poll_external_commits(&mut self, connection: &Connection, now: Moment) {
        let Some(external) = &mut self.external_commits else { return };
        external.poll_at = now.monotonic + POLL_INTERVAL;
        // If this fails, the reads of the watchers will return the error.
        let version = data_version(connection).unwrap_or(external.seen);
        if version != external.seen {
            external.seen = version;
            self.queue.changed();
            let _ = self.sweep.refresh(connection);
            self.watchers.notify_all();
        }
    }

    /// Runs an operation in a transaction, and applies its effects after the commit.
    fn commit<T>(
        &mut self,
        connection: &Connection,
        durability: Durability,
        single_op: bool,
        operation: impl FnOnce(&mut Self, &Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        if connection.is_readonly(rusqlite::MAIN_DB)? {
            return Err(Error::ReadOnly);
        }
        self.file.as_ref().map_or(Ok(()), |file| file.check(connection))?;
        if self.durability != durability {
            durability.apply(connection)?;
            self.durability = durability;
        }
        let (random, clock) = (self.random.clone(), self.clock.clone());
        let began = clock.monotonic();
        let watched = !self.watchers.is_empty();
        let options = transaction::Options { random: &*random, clock: &*clock, single_op, watched };
        let transaction = Transaction::begin(connection, options)?;
        let result = operation(self, &transaction)?;
        let effects = transaction.commit()?;
        let millis = clock.monotonic().saturating_sub(began);
        if millis >= SLOW_COMMIT {
            let path = self.file.as_ref().map(|file| file.name().path());
            tracing::warn!(?path, millis, "a commit was slow: the disk is, or another process wrote to the file");
        }
        if let Some(at) = effects.expires {
            self.sweep.expires(at);
        }
        if effects.enqueued {
            self.queue.changed();
        }
        if watched {
            self.watchers.notify(&effects.touched);
        } else {
            // The touched keys were not recorded. A watch that began meanwhile may have read the entries before this commit.
            self.watchers.notify_all();
        }
        self.file.as_ref().map_or(Ok(()), |file| file.confirm(connection))?;
        Ok(result)
    }
}

/// Returns SQLite's `data_version`, which changes with the commits of other connections.
fn data_version(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

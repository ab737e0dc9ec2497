//! The thread that owns a database file's connection for writes. It takes all the work that waits, does each piece under a
//! savepoint of its own within one transaction, commits once, and then answers all: one disk sync for as many writes as
//! came in during the last one. Between them it delivers messages, removes expired entries, and looks whether another
//! process changed the file.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, ReentrantMutex};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::queue::{Queue, Taken};
use super::sweep::Sweep;
use super::transaction::{self, Durability, Transaction};
use super::watchers::Watchers;
use super::{Options, SharedConnection, apply};
use crate::{AtomicWrite, Clock, Commit, Error, Random, Result};

/// How much work may wait. Callers of more wait for room.
const QUEUE: usize = 1024;

/// How often to look whether another process changed the file, while someone wants to know, in milliseconds.
const LOOK_INTERVAL: u64 = 25;

type Answer<T> = oneshot::Sender<Result<T>>;

/// Work for the thread.
enum Job {
    Do(Operation),
    Dequeue {
        room: usize,
        answer: Answer<Vec<Taken>>,
    },
    /// Someone watches from now on.
    Watch,
}

/// Work in a transaction.
enum Operation {
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
struct Reply<T> {
    answer: Answer<T>,
    result: Option<Result<T>>,
}

impl<T> Reply<T> {
    fn send(self, committed: &Result<()>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or(Err(Error::Closed)),
            Err(error) => Err(error.clone()),
        };
        // A caller that no longer waits does not want the answer.
        let _ = self.answer.send(result);
    }
}

/// How many threads are about to end, because their databases were closed.
static CLOSING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Waits until the databases that were closed have been left by their threads, which merge the log into the file, but no
/// longer than this.
pub(super) fn wait_closed(patience: Duration) {
    CLOSING.1.wait_while_for(&mut CLOSING.0.lock(), |closing| *closing > 0, patience);
}

/// A handle of the thread. The thread ends once all handles are dropped and all that waits is done.
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    connection: SharedConnection,
    pub watchers: Arc<Watchers>,
}

impl Writer {
    /// Starts the thread. Another process can change a database only where it is `shared`, in a file.
    pub fn start(connection: Connection, options: &Options, shared: bool) -> Result<Self> {
        let failed = |error| Error::Thread(Arc::new(error));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let connection = Arc::new(ReentrantMutex::new(connection));
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let watchers = Arc::new(Watchers::default());
        let thread = Thread {
            connection: connection.clone(),
            watchers: watchers.clone(),
            random: options.random.clone(),
            clock: options.clock.clone(),
            durability: Durability::Synced,
            queue: Queue::default(),
            sweep: Sweep::default(),
            others: shared.then(Others::default),
        };
        let run = move || {
            runtime.block_on(thread.run(waiting));
            *CLOSING.0.lock() -= 1;
            CLOSING.1.notify_all();
        };
        thread::Builder::new().name("openkv-writer".into()).spawn(run).map_err(failed)?;
        Ok(Self { jobs, connection, watchers })
    }

    /// The connection, for the reads of a database in memory.
    pub fn connection(&self) -> SharedConnection {
        self.connection.clone()
    }

    /// See [`Database::write`](crate::Database::write).
    pub fn write(self: Arc<Self>, write: AtomicWrite) -> impl Future<Output = Result<Commit>> + Send + use<> {
        self.ask(move |answer| Job::Do(Operation::Write { write, reply: Reply { answer, result: None } }))
    }

    /// See [`Database::delete_range`](crate::Database::delete_range).
    pub fn delete_range(
        self: Arc<Self>,
        start: Vec<u8>,
        end: Vec<u8>,
        limit: u32,
    ) -> impl Future<Output = Result<u64>> + Send + use<> {
        self.ask(move |answer| {
            Job::Do(Operation::DeleteRange { start, end, limit, reply: Reply { answer, result: None } })
        })
    }

    /// Finishes a message. See [`Delivery::finish`](crate::Delivery::finish).
    pub fn finish(self: Arc<Self>, id: String, success: bool) -> impl Future<Output = Result<()>> + Send + use<> {
        self.ask(move |answer| Job::Do(Operation::Finish { id, success, reply: Reply { answer, result: None } }))
    }

    /// Takes messages, as many as there is room for.
    pub fn dequeue(self: Arc<Self>, room: usize) -> impl Future<Output = Result<Vec<Taken>>> + Send + use<> {
        self.ask(move |answer| Job::Dequeue { room, answer })
    }

    /// Tells the thread that someone watches. A full queue means a thread that is awake, and finds out by itself.
    pub fn watch(&self) {
        let _ = self.jobs.try_send(Job::Watch);
    }

    /// Queues work at once, or waits for room in the queue first.
    fn ask<T: Send + 'static>(
        self: Arc<Self>,
        job: impl FnOnce(Answer<T>) -> Job,
    ) -> impl Future<Output = Result<T>> + Send {
        let (answer, answered) = oneshot::channel();
        let queued = self.jobs.try_send(job(answer));
        async move {
            match queued {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(job)) => self.jobs.send(job).await.map_err(|_| Error::Closed)?,
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Error::Closed),
            }
            // The file is not kept open for an answer.
            drop(self);
            answered.await.map_err(|_| Error::Closed)?
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        *CLOSING.0.lock() += 1;
    }
}

/// What other processes do to the file.
#[derive(Default)]
struct Others {
    /// SQLite's count of their commits.
    seen: i64,
    /// When to look again, in milliseconds since the Unix epoch.
    look_at: u64,
}

struct Thread {
    connection: SharedConnection,
    watchers: Arc<Watchers>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    /// What the connection is set to.
    durability: Durability,
    queue: Queue,
    sweep: Sweep,
    /// None where there are no other processes.
    others: Option<Others>,
}

impl Thread {
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let connection = self.connection.clone();
        self.begin(&connection.lock());
        let mut jobs = Vec::with_capacity(QUEUE);
        loop {
            let open = match self.wait() {
                None => waiting.recv_many(&mut jobs, QUEUE).await > 0,
                Some(wait) => match tokio::time::timeout(wait, waiting.recv_many(&mut jobs, QUEUE)).await {
                    Ok(received) => received > 0,
                    Err(_) => true,
                },
            };
            if !open {
                return;
            }
            self.step(&connection.lock(), &mut jobs);
        }
    }

    /// Looks at what was there before. A failure here comes back where it matters, in what is asked for.
    fn begin(&mut self, connection: &Connection) {
        let _ = self.sweep.look(connection);
        if let Some(others) = &mut self.others {
            others.seen = commits_of_others(connection).unwrap_or_default();
        }
    }

    /// How long to wait for work until there is something to do anyway.
    fn wait(&self) -> Option<Duration> {
        let due = [self.sweep_due(), self.queue.tend_due(), self.queue.delivery_due(), self.look_at()];
        let due = due.into_iter().flatten().min()?;
        Some(Duration::from_millis(due.saturating_sub(self.clock.now())))
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

    fn step(&mut self, connection: &Connection, jobs: &mut Vec<Job>) {
        self.work(connection, jobs);
        self.queue.forget_who_left();
        let now = self.clock.now();
        let is_due = |due: Option<u64>| due.is_some_and(|due| due <= now);
        if is_due(self.look_at()) {
            self.look_at_others(connection, now);
        }
        if is_due(self.sweep_due())
            && self.deferred(connection, |thread, transaction| thread.sweep.run(transaction)).is_err()
        {
            self.sweep.rest(now);
        }
        if is_due(self.queue.tend_due())
            && self.deferred(connection, |thread, transaction| thread.queue.tend(transaction)).is_err()
        {
            self.queue.rest(now);
        }
        if is_due(self.queue.delivery_due())
            && let Err(error) = self.deliver(connection, now)
        {
            self.queue.fail(&error);
        }
    }

    /// Does what is asked for. What fails takes only itself back; a failure of the transaction is the answer to all.
    fn work(&mut self, connection: &Connection, jobs: &mut Vec<Job>) {
        let mut operations = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            match job {
                Job::Do(operation) => operations.push(operation),
                Job::Dequeue { room, answer } => self.queue.wait(room, answer),
                Job::Watch => {}
            }
        }
        if operations.is_empty() {
            return;
        }
        let synced = operations.iter().any(|operation| operation.durability() == Durability::Synced);
        let durability = if synced { Durability::Synced } else { Durability::Deferred };
        let alone = operations.len() == 1;
        let committed = self.commit(connection, durability, alone, |thread, transaction| {
            operations.iter_mut().try_for_each(|operation| operation.run(&mut thread.queue, transaction))
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
        self.deferred(connection, |thread, transaction| {
            taken = thread.queue.take(transaction)?;
            Ok(())
        })?;
        let unwanted = self.queue.hand_out(taken);
        if !unwanted.is_empty() {
            self.deferred(connection, |thread, transaction| thread.queue.put_back(transaction, &unwanted))?;
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
        Ok(())
    }
}

/// SQLite's count of the commits that other connections have made to the file.
fn commits_of_others(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use openkv_engine::{
    AtomicWrite, Backend, BoxFuture, BoxStream, Commit, Delivery, Error, Expiry, Key, LastCommit, OwnedRead, Page,
    Read, ReadEntry, ReadOptions, Result, StoredEntry, StoredMessage, Transfer, Turn, Versionstamp, WatchEvent, remote,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::EtcdError;
use crate::core::Core;
use crate::queue::{Listener, Waiter};
use crate::read;
use crate::transfer;
use crate::unit::WriteUnit;
use crate::watch::Watcher;
use crate::writer::{self, Job, Range};

/// A database in etcd.
pub(crate) struct Etcd {
    core: Arc<Core>,
    /// `None` once closed.
    open: Mutex<Option<Open>>,
    /// The number of messages that were enqueued, for their ids.
    messages: AtomicU32,
}

/// What is dropped when the database is closed.
struct Open {
    jobs: mpsc::UnboundedSender<Job>,
    /// The listener, once there is one.
    waiters: Option<mpsc::UnboundedSender<Waiter>>,
    closed: watch::Sender<()>,
}

fn failed<T: Send + 'static>(error: impl Into<Error>) -> BoxFuture<T> {
    Box::pin(std::future::ready(Err(error.into())))
}

impl Etcd {
    /// Starts the writer.
    pub fn new(core: Arc<Core>) -> Self {
        let (jobs, received) = mpsc::unbounded_channel();
        core.runtime.spawn(writer::run(core.clone(), received));
        let open = Open { jobs, waiters: None, closed: watch::Sender::new(()) };
        Self { core, open: Mutex::new(Some(open)), messages: AtomicU32::new(0) }
    }

    /// Runs a read in its turn.
    fn read_in_turn<T: Send + 'static>(
        &self,
        turn: Turn,
        read: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<T> {
        if self.open.lock().is_none() {
            return failed(Error::Closed);
        }
        remote::read_in_turn(&self.core.runtime, turn, read, EtcdError::Stopped)
    }

    /// Runs what reads the whole database, after the writes before it.
    fn read_all<T: Send + 'static>(&self, read: impl Future<Output = Result<T>> + Send + 'static) -> BoxFuture<T> {
        self.read_in_turn(self.core.order.read_range(&[], &[u8::MAX]), read)
    }

    /// Queues a write for the writer.
    fn write_in_turn<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Core, oneshot::Sender<Result<T>>) -> Job,
    ) -> BoxFuture<T> {
        let (reply, response) = oneshot::channel();
        // The lock keeps the turns in the order of the jobs.
        let open = self.open.lock();
        let Some(open) = &*open else { return failed(Error::Closed) };
        if open.jobs.send(job(&self.core, reply)).is_err() {
            return failed(EtcdError::Stopped);
        }
        let stopped = || Error::OutcomeUnknown(Arc::new(EtcdError::Stopped.into()));
        Box::pin(async move { response.await.map_err(|_| stopped())? })
    }

    /// Returns an id that orders the messages of this process that are due at the same time.
    fn message_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        self.core.options.random.fill(&mut id);
        id[..6].copy_from_slice(&self.core.now().to_be_bytes()[2..]);
        id[6..10].copy_from_slice(&self.messages.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        id
    }
}

impl Transfer for Etcd {
    fn entries(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredEntry>> {
        self.read_all(transfer::entries(self.core.clone(), after.to_vec(), page))
    }

    fn messages(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredMessage>> {
        self.read_all(transfer::messages(self.core.clone(), after.to_vec(), page))
    }

    fn last_commit(&self) -> BoxFuture<LastCommit> {
        self.read_all(transfer::last_commit(self.core.clone()))
    }

    fn raise_version(&self, versionstamp: Versionstamp) -> BoxFuture<()> {
        self.read_all(transfer::raise_version(self.core.clone(), versionstamp))
    }
}

impl Backend for Etcd {
    fn read(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        if reads.is_empty() {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let turn = self.core.order.read(reads);
        let owned: Vec<OwnedRead> = reads.iter().map(|read| read.into_owned()).collect();
        self.read_in_turn(turn, read::read(self.core.clone(), owned, options))
    }

    fn write(&self, write: AtomicWrite) -> BoxFuture<Commit> {
        let message_ids = write.enqueues.iter().map(|_| self.message_id()).collect();
        self.write_in_turn(|core, reply| {
            let turn = core.order.write(&write);
            Job::Unit(Box::new(WriteUnit { turn, write, message_ids, reply, rejected: None }))
        })
    }

    fn expiries(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Expiry>>> {
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        self.read_in_turn(self.core.order.read(&reads), read::expiries(self.core.clone(), keys.to_vec()))
    }

    fn count(&self, start: &[u8], end: &[u8]) -> Option<BoxFuture<u64>> {
        let turn = self.core.order.read_range(start, end);
        Some(self.read_in_turn(turn, read::count(self.core.clone(), start.to_vec(), end.to_vec())))
    }

    fn delete_range(&self, start: &[u8], end: &[u8], limit: u32) -> Option<BoxFuture<u64>> {
        let range = Range { start: start.to_vec(), end: end.to_vec(), limit };
        Some(self.write_in_turn(|core, reply| {
            let turn = core.order.delete_range(start, end);
            Job::DeleteRange { turn, range, reply }
        }))
    }

    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>> {
        let closed = self.open.lock().as_ref().map(|open| open.closed.subscribe()).ok_or(Error::Closed)?;
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        // The capacity of 1 makes the watcher merge changes that the receiver has not yet taken.
        let (sender, events) = mpsc::channel(1);
        let turn = self.core.order.read(&reads);
        let watcher = Watcher { core: self.core.clone(), keys: keys.to_vec(), events: sender, turn };
        self.core.runtime.spawn(watcher.run());
        Ok(remote::until_closed(events, closed))
    }

    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        let (reply, response) = oneshot::channel();
        let mut open = self.open.lock();
        let Some(open) = &mut *open else { return Box::pin(std::future::ready(Ok(Vec::new()))) };
        let mut closed = open.closed.subscribe();
        let waiters = open.waiters.get_or_insert_with(|| {
            let (waiters, received) = mpsc::unbounded_channel();
            self.core.runtime.spawn(Listener::new(self.core.clone(), open.jobs.clone(), received).run());
            waiters
        });
        let _ = waiters.send(Waiter { limit, reply });
        Box::pin(async move {
            tokio::select! {
                // Messages that were claimed meanwhile are released when they are dropped.
                biased;
                _ = closed.changed() => Ok(Vec::new()),
                claimed = response => claimed.map_err(|_| Error::from(EtcdError::Stopped))?,
            }
        })
    }

    fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        let id = self.core.description.lock().id;
        let is_open = self.open.lock().is_some();
        Box::pin(std::future::ready(if is_open { Ok(Some(id)) } else { Err(Error::Closed) }))
    }

    fn transfer(&self) -> Option<&dyn Transfer> {
        Some(self)
    }

    fn now(&self) -> u64 {
        self.core.now()
    }

    fn close(&self) {
        // The writer still commits the writes in flight.
        self.open.lock().take();
    }
}

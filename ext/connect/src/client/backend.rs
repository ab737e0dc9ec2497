use std::sync::Arc;

use openkv_engine::{
    AtomicWrite, Backend, BoxFuture, BoxStream, Commit, Database, Delivery, Error, Expiry, Key, Limits, Order, Read,
    ReadEntry, ReadOptions, Result, Turn, WatchEvent, remote,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::error::CallError;
use super::queue;
use super::reads;
use super::session::Session;
use super::watch::Watcher;
use super::writer::{self, Job, Kind, Writes};
use crate::wire::metadata::Version;
use crate::wire::openkv::{Count, DeleteRange};

/// A remote database.
pub(crate) struct Client {
    session: Arc<Session>,
    order: Arc<Order>,
    runtime: Handle,
    /// Sends writes to the writer task. `None` once closed.
    writes: Mutex<Option<Writes>>,
    /// Dropped when the database is closed.
    closed: Mutex<Option<watch::Sender<()>>>,
    version: Version,
    /// Whether the server supported the extension when the database was opened.
    has_extension: bool,
}

/// The name of the backend in errors.
const NAME: &str = "the server of this database";

/// The most checks per write that any server accepts, which bounds the deletions per write. Deno KV's server accepts 10.
const PORTABLE_CHECKS: u32 = 10;

impl Client {
    /// Returns the database of a session.
    pub fn open(session: Arc<Session>, runtime: Handle) -> Database {
        let version = session.current().version;
        let has_extension = session.has_extension();
        let (writes, jobs) = writer::queue();
        runtime.spawn(writer::run(session.clone(), jobs));
        let mut limits = Limits::default();
        if !has_extension {
            limits.deletions = PORTABLE_CHECKS;
        }
        let client = Self {
            session,
            order: Arc::default(),
            runtime,
            writes: Mutex::new(Some(writes)),
            closed: Mutex::new(Some(watch::Sender::new(()))),
            version,
            has_extension,
        };
        Database::new(client, limits)
    }

    /// Returns a receiver whose channel closes when the database is closed.
    fn closing(&self) -> Result<watch::Receiver<()>> {
        self.closed.lock().as_ref().map(watch::Sender::subscribe).ok_or(Error::Closed)
    }

    /// Runs a read in its turn.
    fn read_in_turn<T: Send + 'static>(
        &self,
        turn: Turn,
        read: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<T> {
        if let Err(error) = self.closing() {
            return Box::pin(std::future::ready(Err(error)));
        }
        remote::read_in_turn(&self.runtime, turn, read, CallError::Stopped)
    }

    /// Queues a write for the writer task.
    fn write_in_turn<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Order, oneshot::Sender<Result<T>>) -> (Turn, Kind),
    ) -> BoxFuture<T> {
        let (reply, response) = oneshot::channel();
        // The lock keeps the turns in the order of the jobs.
        let writes = self.writes.lock();
        let Some(writes) = &*writes else { return Box::pin(std::future::ready(Err(Error::Closed))) };
        let (turn, kind) = job(&self.order, reply);
        if let Err(error) = writes.send(Job { since: Instant::now(), turn, kind }, &self.session) {
            return Box::pin(std::future::ready(Err(error)));
        }
        Box::pin(async move { response.await.map_err(|_| Error::OutcomeUnknown(Arc::new(CallError::Stopped.into())))? })
    }
}

impl Backend for Client {
    fn read(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        let turn = self.order.read(reads);
        let owned = reads.iter().map(|read| read.into_owned()).collect();
        self.read_in_turn(turn, reads::read(self.session.clone(), owned, options))
    }

    fn write(&self, write: AtomicWrite) -> BoxFuture<Commit> {
        self.write_in_turn(|order, reply| (order.write(&write), Kind::Write { write, reply }))
    }

    fn expiries(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Expiry>>> {
        if !self.has_extension {
            return Box::pin(std::future::ready(Err(reads::NO_EXPIRIES)));
        }
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        self.read_in_turn(self.order.read(&reads), reads::expiries(self.session.clone(), keys.to_vec()))
    }

    fn count(&self, start: &[u8], end: &[u8]) -> Option<BoxFuture<u64>> {
        let range = Count { start: start.to_vec(), end: end.to_vec() };
        self.has_extension
            .then(|| self.read_in_turn(self.order.read_range(start, end), reads::count(self.session.clone(), range)))
    }

    fn delete_range(&self, start: &[u8], end: &[u8], limit: u32) -> Option<BoxFuture<u64>> {
        let range = DeleteRange { start: start.to_vec(), end: end.to_vec(), limit };
        self.has_extension.then(|| {
            self.write_in_turn(|order, reply| (order.delete_range(start, end), Kind::DeleteRange { range, reply }))
        })
    }

    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>> {
        let closed = self.closing()?;
        if self.version < Version::V3 {
            return Err(Error::Unsupported { backend: NAME, what: "watch keys" });
        }
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        // The capacity of 1 makes the watcher merge changes that the receiver has not yet taken.
        let (sender, events) = mpsc::channel(1);
        let watcher = Watcher::new(self.session.clone(), keys, sender, self.order.read(&reads));
        self.runtime.spawn(watcher.run());
        Ok(remote::until_closed(events, closed))
    }

    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        let Ok(mut closed) = self.closing() else { return Box::pin(std::future::ready(Ok(Vec::new()))) };
        if !self.has_extension {
            let error = Error::Unsupported { backend: NAME, what: "deliver the messages of the queue" };
            return Box::pin(std::future::ready(Err(error)));
        }
        let (mut reply, response) = oneshot::channel();
        let claim = queue::dequeue(self.session.clone(), limit);
        self.runtime.spawn(async move {
            let claimed = tokio::select! {
                biased;
                _ = closed.changed() => Ok(Vec::new()),
                () = reply.closed() => return,
                claimed = claim => claimed,
            };
            // Messages that are not received are requeued when they are dropped.
            let _ = reply.send(claimed);
        });
        Box::pin(async move { response.await.map_err(|_| CallError::Stopped)? })
    }

    fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        let id = self.session.current().database_id.into_bytes();
        Box::pin(std::future::ready(self.closing().map(|_| Some(id))))
    }

    fn now(&self) -> u64 {
        self.session.options.clock.now()
    }

    fn close(&self) {
        // The writer task still completes the writes in flight.
        self.writes.lock().take();
        self.closed.lock().take();
    }
}

use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use crate::future::ready;
use crate::visit::{self, Visit};
use crate::{
    AtomicWrite, Backend, BoxFuture, Commit, Delivery, Entry, Key, Limits, LocalReads, Mutation, Read, ReadEntry,
    ReadOptions, Result, Value, Visitor,
};

/// An open database. Clones are handles of the same one; it is closed when the last is dropped, or by [`Database::close`].
///
/// Methods that may wait return futures, for any executor; those whose name ends in `_blocking` wait on the caller's thread, and
/// are not for asynchronous code. Calls that return futures take effect in the order in which they are made, whether the futures of those before
/// are done or not, and dropping a future does not undo the call.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Box<dyn Backend>,
    limits: Limits,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.backend.close();
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

impl Database {
    /// A database over a backend. Each call is checked here, and not by the backend, against `limits`.
    pub fn new(backend: impl Backend, limits: Limits) -> Self {
        Self { inner: Arc::new(Inner { backend: Box::new(backend), limits }) }
    }

    /// Returns how much one call may ask for.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Returns the time by the database's clock, in milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.backend().now()
    }

    /// Returns what the database is told apart from others by: random bytes that are stored with it when they are first asked for.
    /// None where the backend stores none. A database in memory has others each time.
    ///
    /// # Errors
    /// A failure of the storage, [`Error::ReadOnly`](crate::Error::ReadOnly), or [`Error::Closed`](crate::Error::Closed).
    pub fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        self.backend().id()
    }

    /// Closes the database, for all its handles: writes that were called are committed, messages in flight can still be finished,
    /// watches end, and later calls fail with [`Error::Closed`](crate::Error::Closed). Closing twice is allowed.
    ///
    /// A database over SQLite is closed when this returns: where nobody else has the file open, it holds everything.
    /// Where another process keeps it from that, it is done later, by another thread.
    pub fn close(&self) {
        self.backend().close();
    }

    /// Reads the entry of a key; none where there is no value.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn get(&self, key: &Key) -> BoxFuture<Option<Entry>> {
        let entries = self.read(&[Read::Key(key)], ReadOptions::default());
        Box::pin(async move { Ok(entry(entries.await?.into_iter().flatten())) })
    }

    /// Reads the entry of a key, and waits. See [`Database::read_blocking`].
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn get_blocking(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(entry(self.read_blocking(&[Read::Key(key)])?.into_iter().flatten()))
    }

    /// Reads the value of a key as a type of Rust's; none where there is no value. See the module [`v8`](crate::v8).
    ///
    /// # Errors
    /// See [`Database::read`]. [`Error::Value`](crate::Error::Value) for a value of another type.
    #[cfg(feature = "serde")]
    pub fn get_as<T: serde::de::DeserializeOwned + 'static>(&self, key: &Key) -> BoxFuture<Option<T>> {
        let entry = self.get(key);
        Box::pin(async move { Ok(entry.await?.map(|entry| entry.decode()).transpose()?) })
    }

    /// Reads the value of a key as [`Database::get_as`] does, and waits.
    ///
    /// # Errors
    /// See [`Database::get_as`].
    #[cfg(feature = "serde")]
    pub fn get_as_blocking<T: serde::de::DeserializeOwned>(&self, key: &Key) -> Result<Option<T>> {
        Ok(self.get_blocking(key)?.map(|entry| entry.decode()).transpose()?)
    }

    /// Reads the entries of keys in one snapshot, in the order of the keys; none for a key without a value.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn get_many(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Entry>>> {
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        match self.limits().check_reads(&reads) {
            Ok(()) => self.read_watched(keys),
            Err(error) => ready(Err(error)),
        }
    }

    /// Reads as [`Database::get_many`] does, however many keys there are.
    pub(crate) fn read_watched(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Entry>>> {
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        let lists = self.read_checked(&reads, ReadOptions::default());
        Box::pin(async move { Ok(lists.await?.into_iter().map(entry).collect()) })
    }

    /// Reads keys and ranges in one snapshot. Returns a list of entries for each read.
    ///
    /// Where the backend reads on its caller's thread, as SQLite does, so does this: it takes some microseconds where the page
    /// is in memory. Only what must wait is done elsewhere.
    ///
    /// # Errors
    /// A limit that `reads` exceed, a failure of the storage, or [`Error::Closed`](crate::Error::Closed).
    pub fn read(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        match self.limits().check_reads(reads) {
            Ok(()) => self.read_checked(reads, options),
            Err(error) => ready(Err(error)),
        }
    }

    fn read_checked(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        if let Some(local) = self.backend().local() {
            let mut lists = vec![Vec::new(); reads.len()];
            let mut bytes = 0;
            let done = local.try_read(reads, &mut |i, entry| {
                bytes += entry.value.map_or(0, |value| value.len());
                lists[i].push(entry.to_owned());
                if bytes < options.max_bytes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            match done {
                Ok(false) => {}
                done => return ready(done.map(|_| lists)),
            }
        }
        self.backend().read(reads, options)
    }

    /// Reads keys and ranges in one snapshot, and waits. Returns a list of entries for each read.
    ///
    /// Over SQLite, this reads what is committed: a write whose future is not done may not be there yet, other than for
    /// [`Database::read`].
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn read_blocking(&self, reads: &[Read<'_>]) -> Result<Vec<Vec<ReadEntry>>> {
        let mut lists = vec![Vec::new(); reads.len()];
        self.visit_blocking(reads, &mut |i, entry| {
            lists[i].push(entry.to_owned());
            ControlFlow::Continue(())
        })?;
        Ok(lists)
    }

    /// Reads what is committed, and waits. Calls `visitor` for each entry with the position of its read, in the order of
    /// the reads and, within a range, of its keys, until it breaks. Where the backend reads on its caller's thread, nothing is
    /// copied: what the visitor borrows is the memory of the storage.
    ///
    /// The visitor may read, and call what returns a future, as [`Database::write`] does. It may not wait for a future:
    /// in memory, that would be to wait for the end of the visit. What is named `..._blocking` and would have to wait fails with
    /// [`Error::WaitInVisit`](crate::Error::WaitInVisit).
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn visit_blocking(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<()> {
        if let Some(local) = self.backend().local() {
            self.limits().check_reads(reads)?;
            let _visit = Visit::begin();
            return local.read(reads, visitor);
        }
        let lists = visit::wait(self.read(reads, ReadOptions::default()))?;
        let _visit = Visit::begin();
        for (i, list) in lists.iter().enumerate() {
            for entry in list {
                if visitor(i, entry.as_ref()).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Returns the reads of a backend that reads on its caller's thread.
    pub fn local(&self) -> Option<Local<'_>> {
        Some(Local { database: &self.inner, reads: self.backend().local()? })
    }

    /// Stores a value that does not expire.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn set(&self, key: Key, value: Value) -> BoxFuture<()> {
        let commit = self.write(AtomicWrite::new().mutate(Mutation::set(key, value)));
        Box::pin(async move { commit.await.map(drop) })
    }

    /// Stores a value as [`Database::set`] does, and waits until it is durable.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn set_blocking(&self, key: Key, value: Value) -> Result<()> {
        visit::check_may_wait()?;
        visit::wait(self.set(key, value))
    }

    /// Commits a write as a whole, or not at all. It is queued when this is called, and the future is done once it is durable.
    ///
    /// # Errors
    /// A limit that `write` exceeds, a mutation that the stored value does not allow, a failure of the storage, or
    /// [`Error::Closed`](crate::Error::Closed): nothing of the write is stored then.
    /// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) where that is not known. That a check does not hold is no error,
    /// but what [`Commit`] says.
    pub fn write(&self, mut write: AtomicWrite) -> BoxFuture<Commit> {
        match self.limits().check_write(&write) {
            Ok(()) => {
                write.fix_times(self.now());
                self.backend().write(write)
            }
            Err(error) => ready(Err(error)),
        }
    }

    /// Writes as [`Database::write`] does, and waits.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn write_blocking(&self, write: AtomicWrite) -> Result<Commit> {
        visit::check_may_wait()?;
        visit::wait(self.write(write))
    }

    /// Claims messages from the queue once some are due. Returns none only once the database was closed. See [`Delivery`] for what
    /// becomes of a message that is not finished.
    ///
    /// # Errors
    /// A failure of the storage. The next call waits a second before it tries again.
    pub fn dequeue(&self) -> BoxFuture<Vec<Delivery>> {
        self.dequeue_up_to(DEQUEUED)
    }

    /// Claims messages as [`Database::dequeue`] does, but no more than `limit`, which counts as 1 at least.
    ///
    /// # Errors
    /// See [`Database::dequeue`].
    pub fn dequeue_up_to(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        self.backend().dequeue(limit.max(1))
    }

    /// Claims one message as [`Database::dequeue`] does, for a program that would only keep others from being delivered if it
    /// had more.
    ///
    /// # Errors
    /// See [`Database::dequeue`].
    pub fn dequeue_one(&self) -> BoxFuture<Option<Delivery>> {
        let claimed = self.dequeue_up_to(1);
        Box::pin(async move { Ok(claimed.await?.pop()) })
    }

    pub(crate) fn downgrade(&self) -> WeakDatabase {
        WeakDatabase(Arc::downgrade(&self.inner))
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.inner.backend
    }
}

/// A database as long as something else keeps it open.
pub(crate) struct WeakDatabase(Weak<Inner>);

impl WeakDatabase {
    pub fn upgrade(&self) -> Option<Database> {
        Some(Database { inner: self.0.upgrade()? })
    }
}

/// How many messages to claim at once. More would leave less to other listeners, and be in memory before their handlers are
/// called.
const DEQUEUED: usize = 16;

/// The reads of a database whose backend reads on its caller's thread.
pub struct Local<'d> {
    database: &'d Inner,
    reads: &'d dyn LocalReads,
}

impl std::fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl Local<'_> {
    /// Reads in the order of the calls, if that can be done soon. Returns false where it cannot, see [`LocalReads::try_read`]:
    /// [`Local::read_later`] reads it then. For the visitor goes what [`Database::visit_blocking`] says.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn try_read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool> {
        self.database.limits.check_reads(reads)?;
        let _visit = Visit::begin();
        self.reads.try_read(reads, visitor)
    }

    /// Reads in the order of the calls, on another thread.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn read_later(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        match self.database.limits.check_reads(reads) {
            Ok(()) => self.database.backend.read(reads, options),
            Err(error) => ready(Err(error)),
        }
    }
}

/// The entry of a key, of what a read of it found.
fn entry(found: impl IntoIterator<Item = ReadEntry>) -> Option<Entry> {
    found.into_iter().next()?.into_entry()
}

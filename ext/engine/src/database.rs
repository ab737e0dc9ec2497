use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use crate::future::ready;
use crate::visit::{self, Visit};
use crate::{
    AtomicWrite, Backend, BoxFuture, Commit, Delivery, Entry, Expiry, Key, Limits, LocalReads, Mutation, Read,
    ReadEntry, ReadOptions, Result, Transfer, Value, Visitor,
};

/// An open database. Clones are handles of the same database, which is closed when the last one is dropped, or by
/// [`Database::close`].
///
/// Methods that may wait return futures, for any executor; those whose name ends in `_blocking` block the caller's thread, and are
/// not for asynchronous code. Calls that return futures take effect in the order in which they are made, whether or not the futures
/// of earlier calls have completed, and dropping a future does not cancel the call.
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
    /// Returns a database over a backend. The database, not the backend, checks the `limits` of each call.
    pub fn new(backend: impl Backend, limits: Limits) -> Self {
        Self { inner: Arc::new(Inner { backend: Box::new(backend), limits }) }
    }

    /// Returns the limits of each call.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Returns the time by the database's clock, in milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.backend().now()
    }

    /// Returns the id of the database: random bytes, stored in it when they are first requested. `None` if the backend does not
    /// store one. A database in memory has a new id each time.
    ///
    /// # Errors
    /// A failure of the storage, [`Error::ReadOnly`](crate::Error::ReadOnly), or [`Error::Closed`](crate::Error::Closed).
    pub fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        self.backend().id()
    }

    /// Closes the database for all its handles: earlier writes are committed, messages in flight can still be finished, watches
    /// end, and later calls fail with [`Error::Closed`](crate::Error::Closed). Closing twice is allowed.
    ///
    /// A database over SQLite is closed when this returns: if no other process has the file open, its WAL is checkpointed. If
    /// another process has locked the file, a thread does this later.
    pub fn close(&self) {
        self.backend().close();
    }

    /// Reads the entry of a key. Returns `None` if the key has no value.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn get(&self, key: &Key) -> BoxFuture<Option<Entry>> {
        let entries = self.read(&[Read::Key(key)], ReadOptions::default());
        Box::pin(async move { Ok(entry(entries.await?.into_iter().flatten())) })
    }

    /// Reads the entry of a key like [`Database::get`], and blocks. See [`Database::read_blocking`].
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn get_blocking(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(entry(self.read_blocking(&[Read::Key(key)])?.into_iter().flatten()))
    }

    /// Reads the value of a key as a Rust type. Returns `None` if the key has no value. See the module [`v8`](crate::v8).
    ///
    /// # Errors
    /// See [`Database::read`]. [`Error::Value`](crate::Error::Value) for a value of another type.
    #[cfg(feature = "serde")]
    pub fn get_as<T: serde::de::DeserializeOwned + 'static>(&self, key: &Key) -> BoxFuture<Option<T>> {
        let entry = self.get(key);
        Box::pin(async move { Ok(entry.await?.map(|entry| entry.decode()).transpose()?) })
    }

    /// Reads the value of a key like [`Database::get_as`], and blocks.
    ///
    /// # Errors
    /// See [`Database::get_as`].
    #[cfg(feature = "serde")]
    pub fn get_as_blocking<T: serde::de::DeserializeOwned>(&self, key: &Key) -> Result<Option<T>> {
        Ok(self.get_blocking(key)?.map(|entry| entry.decode()).transpose()?)
    }

    /// Reads the entries of keys in one snapshot. Returns them in the order of the keys, with `None` for a key without a value.
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

    /// Reads the entries of keys like [`Database::get_many`], without a limit on their number.
    pub(crate) fn read_watched(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Entry>>> {
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        let lists = self.read_checked(&reads, ReadOptions::default());
        Box::pin(async move { Ok(lists.await?.into_iter().map(entry).collect()) })
    }

    /// Reads when the entries of keys expire, in one snapshot, up to [`Limits::read_entries`](crate::Limits::read_entries) of them.
    /// Returns the expiries in the order of the keys, with `None` for a key without a value. The versionstamp tells whether an
    /// expiry is that of an entry that was read before.
    ///
    /// # Errors
    /// See [`Database::read`]. [`Error::Unsupported`](crate::Error::Unsupported) if the backend cannot tell, as that of a remote
    /// database whose server is not OpenKV.
    pub fn expiries(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Expiry>>> {
        match self.limits().check_keys(keys) {
            Ok(()) => self.backend().expiries(keys),
            Err(error) => ready(Err(error)),
        }
    }

    /// Reads keys and ranges in one snapshot. Returns a list of entries for each read.
    ///
    /// If the backend reads on the caller's thread, as SQLite does, this takes a few microseconds for pages in memory. Only
    /// reads that must wait run on another thread.
    ///
    /// # Errors
    /// The reads exceed a limit, a failure of the storage, or [`Error::Closed`](crate::Error::Closed).
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

    /// Reads keys and ranges in one snapshot, and blocks. Returns a list of entries for each read.
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

    /// Reads keys and ranges in one snapshot, and blocks. Calls `visitor` for each entry with the index of its read, in the order
    /// of the reads and, within a range, of its keys, until it breaks. If the backend reads on the caller's thread, entries are
    /// borrowed from the memory of the storage, without a copy.
    ///
    /// The visitor may read, and make calls that return a future, such as [`Database::write`]. It must not wait for a future: in
    /// memory, that would be a deadlock. A `..._blocking` call that would have to wait fails with
    /// [`Error::WaitInVisit`](crate::Error::WaitInVisit).
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn visit_blocking(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<()> {
        if let Some(local) = self.backend().local() {
            self.limits().check_reads(reads)?;
            let _visit = Visit::begin();
            if local.read(reads, visitor)? {
                return Ok(());
            }
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

    /// Returns access to all that the database stores, if the backend supports it. See [`copy`](crate::copy).
    pub fn transfer(&self) -> Option<&dyn Transfer> {
        self.backend().transfer()
    }

    /// Returns synchronous reads, if the backend supports them.
    pub fn local(&self) -> Option<Local<'_>> {
        Some(Local { database: &self.inner, reads: self.backend().local()? })
    }

    /// Stores a value without expiry.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn set(&self, key: Key, value: Value) -> BoxFuture<()> {
        let commit = self.write(AtomicWrite::new().mutate(Mutation::set(key, value)));
        Box::pin(async move { commit.await.map(drop) })
    }

    /// Stores a value like [`Database::set`], and blocks until it is durable.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn set_blocking(&self, key: Key, value: Value) -> Result<()> {
        visit::check_may_wait()?;
        visit::wait(self.set(key, value))
    }

    /// Commits a write atomically. The call queues it, and the future completes once it is durable.
    ///
    /// # Errors
    /// The write exceeds a limit, a mutation is not possible with the stored value, a failure of the storage, or
    /// [`Error::Closed`](crate::Error::Closed): nothing was written. [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if
    /// that is not known. A failed check is not an error, but a [`Commit::Conflict`].
    pub fn write(&self, mut write: AtomicWrite) -> BoxFuture<Commit> {
        match self.limits().check_write(&write) {
            Ok(()) => {
                write.fix_times(self.now());
                self.backend().write(write)
            }
            Err(error) => ready(Err(error)),
        }
    }

    /// Commits a write like [`Database::write`], and blocks.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn write_blocking(&self, write: AtomicWrite) -> Result<Commit> {
        visit::check_may_wait()?;
        visit::wait(self.write(write))
    }

    /// Waits for due messages of the queue, and claims them. Returns an empty list only once the database is closed. An unfinished
    /// message is redelivered, see [`Delivery`].
    ///
    /// # Errors
    /// A failure of the storage. The next call waits a second before it tries again.
    pub fn dequeue(&self) -> BoxFuture<Vec<Delivery>> {
        self.dequeue_up_to(MAX_DEQUEUED)
    }

    /// Claims messages like [`Database::dequeue`], but at most `limit`, and at least 1.
    ///
    /// # Errors
    /// See [`Database::dequeue`].
    pub fn dequeue_up_to(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        self.backend().dequeue(limit.max(1))
    }

    /// Claims one message like [`Database::dequeue`], for a program that handles one at a time, so that other listeners receive the
    /// others.
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

/// A weak reference to a database.
pub(crate) struct WeakDatabase(Weak<Inner>);

impl WeakDatabase {
    pub fn upgrade(&self) -> Option<Database> {
        Some(Database { inner: self.0.upgrade()? })
    }
}

/// The maximum number of messages to claim at a time. More would leave fewer to other listeners, and occupy memory before their
/// handlers are called.
const MAX_DEQUEUED: usize = 16;

/// Synchronous reads of a database whose backend supports them.
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
    /// Reads on this thread, if that is possible in the order of the calls and takes little time. Returns false otherwise, see
    /// [`LocalReads::try_read`]: use [`Local::read_later`] then. The visitor is subject to the rules of
    /// [`Database::visit_blocking`].
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

/// Returns the entry of a key, from the result of its read.
fn entry(found: impl IntoIterator<Item = ReadEntry>) -> Option<Entry> {
    found.into_iter().next()?.into_entry()
}

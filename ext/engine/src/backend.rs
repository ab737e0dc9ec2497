use crate::future::ready;
use crate::{
    AtomicWrite, BoxFuture, BoxStream, Commit, Delivery, Entry, Expiry, Key, Read, ReadEntry, Result, Transfer, Visitor,
};

/// The storage of a [`Database`](crate::Database): the interface between the engine and its backends.
///
/// A backend need not check [`Limits`](crate::Limits): the database has done so. Calls take effect in the order in which they are
/// made, whether or not the futures of earlier calls have completed: a read sees all writes that were called before it, and none
/// that are called later. No call blocks; only its future waits.
///
/// If it is unknown whether a write was committed, for example because the connection was lost, the write fails with
/// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown). A write that fails with any other error has changed nothing.
pub trait Backend: Send + Sync + 'static {
    /// Reads keys and ranges in one snapshot. Returns a list of entries for each read, up to a total of
    /// [`ReadOptions::max_bytes`] of values.
    fn read(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>>;

    /// Commits a write atomically. The future completes once it is durable. All of its times are [`Time::At`](crate::Time::At).
    ///
    /// A write with an [id](AtomicWrite::id) is committed at most once: if a write with this id was committed before, by any client,
    /// nothing is written, checks are skipped, and the result is that of the first. The id is as durable as the write, and remembered
    /// for at least [`CommitId::REMEMBERED`](crate::CommitId::REMEMBERED). The id of a write that failed, or whose checks failed,
    /// is not remembered, as nothing was written.
    fn write(&self, write: AtomicWrite) -> BoxFuture<Commit>;

    /// Reads when the entries of keys expire, in one snapshot, in the order of the keys, with `None` for a key without a value. Fails
    /// with [`Error::Unsupported`](crate::Error::Unsupported) if the backend does not support this.
    fn expiries(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Expiry>>>;

    /// Counts the entries of a range of encoded keys, excluding the end. Returns `None` if the backend does not support this: the
    /// database then reads the keys.
    fn count(&self, start: &[u8], end: &[u8]) -> Option<BoxFuture<u64>>;

    /// Deletes up to `limit` entries from the start of a range of encoded keys, excluding its end, as one write. Returns the number
    /// of deleted entries, or `None` if the backend does not support this: the database then reads the keys, and deletes as many as
    /// fit into a write.
    fn delete_range(&self, start: &[u8], end: &[u8], limit: u32) -> Option<BoxFuture<u64>>;

    /// Watches keys for changes by any process, from now on. The stream ends once the backend is closed, and after an error.
    ///
    /// The first event is the initial state, in the order of the calls: [`WatchEvent::Entries`], or an immediate
    /// [`WatchEvent::Changed`] for which the database reads it. Later events are changes. Entries never go back in time: none
    /// are older than those of an earlier event.
    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>>;

    /// Waits for due messages, and claims up to `limit`. Returns an empty list only once the backend is closed.
    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>>;

    /// Returns the id that distinguishes the database from others: random bytes, stored in it when they are first requested.
    /// `None` if the backend does not store one.
    fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        ready(Ok(None))
    }

    /// Returns the time by the backend's clock, in milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Closes the backend: earlier writes are committed, messages in flight can still be finished, streams end, and later calls
    /// fail with [`Error::Closed`](crate::Error::Closed). Closing twice is allowed.
    fn close(&self);

    /// Returns access to all that the database stores, or `None` if the backend cannot provide it, as one over a
    /// protocol that does not pass on messages.
    fn transfer(&self) -> Option<&dyn Transfer> {
        None
    }

    /// Returns synchronous reads, if the backend supports them.
    fn local(&self) -> Option<&dyn LocalReads> {
        None
    }
}

/// Synchronous reads on the caller's thread, from the memory of the storage.
pub trait LocalReads {
    /// Reads keys and ranges in one snapshot. Calls `visitor` for each entry with the index of its read, in the order of the
    /// reads and, within a range, of its keys, until it breaks. Returns false, without a call of the visitor, if a write in
    /// flight may change the entries: [`Backend::read`] reads them after it.
    ///
    /// The entry is valid only during the call of the visitor.
    ///
    /// # Errors
    /// A failure of the storage, or [`Error::Closed`](crate::Error::Closed).
    fn read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool>;

    /// Reads like [`LocalReads::read`], if that takes no more than a few milliseconds. Returns false otherwise, as when the
    /// ranges contain many expired entries. Entries visited until then must be discarded: [`Backend::read`] reads all of them.
    ///
    /// # Errors
    /// See [`LocalReads::read`].
    fn try_read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool>;
}

/// The options of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The consistency of the read.
    pub consistency: Consistency,
    /// The number of bytes of values after which the read stops. The last value may exceed it.
    pub max_bytes: usize,
}

impl Default for ReadOptions {
    /// Returns options for strong consistency without a limit.
    fn default() -> Self {
        Self { consistency: Consistency::Strong, max_bytes: usize::MAX }
    }
}

impl ReadOptions {
    /// Sets the consistency.
    #[must_use]
    pub fn consistency(self, consistency: Consistency) -> Self {
        Self { consistency, ..self }
    }

    /// Sets the number of bytes of values after which the read stops.
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }
}

/// The consistency of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The read sees all commits that completed before it began.
    #[default]
    Strong,
    /// The read may return outdated entries, if that is faster. SQLite always reads the latest.
    Eventual,
}

/// An event of a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// One of the keys may have changed.
    Changed,
    /// The current entries of the keys, in the order of the keys, with `None` for a key without a value.
    Entries(Vec<Option<Entry>>),
}

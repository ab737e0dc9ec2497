use crate::future::ready;
use crate::{AtomicWrite, BoxFuture, BoxStream, Commit, Delivery, Entry, Key, Read, ReadEntry, Result, Visitor};

/// What stores the entries of a [`Database`](crate::Database): the seam between the engine and its backends.
///
/// A backend need not check [`Limits`](crate::Limits): the database has done so. Calls take effect in the order in which they
/// are made, whether the futures of those before are done or not: a read sees the writes that this backend was given before,
/// and none that it is given later. Every call returns without blocking; what waits is the future.
///
/// Errors are those of [`Error`](crate::Error). A write of which it is not known whether it was committed, such as one
/// whose connection was lost, fails with [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown), and a write that fails with
/// any other error has changed nothing.
pub trait Backend: Send + Sync + 'static {
    /// Reads keys and ranges in one snapshot. Returns a list of entries for each read. Whatever follows after
    /// [`ReadOptions::max_bytes`] of values is left out.
    fn read(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>>;

    /// Commits a write as a whole, or not at all. The future is done once it is durable. Its times are all
    /// [`Time::At`](crate::Time::At).
    ///
    /// A write with an [id](AtomicWrite::id) is committed once: where one with this id was committed before, by any client and
    /// whatever happened since, nothing is written, checks do not matter, and the result is that of the first. The id is as
    /// durable as the write, and remembered for [`CommitId::REMEMBERED`](crate::CommitId::REMEMBERED) at least. A write whose
    /// checks did not hold, or that failed, has written nothing, and its id is not remembered: a further one is tried anew.
    fn write(&self, write: AtomicWrite) -> BoxFuture<Commit>;

    /// Counts the entries of a range of encoded keys, the end not included. `None` where the backend has no means of its own:
    /// the database reads the keys then.
    fn count(&self, start: &[u8], end: &[u8]) -> Option<BoxFuture<u64>>;

    /// Deletes the first entries of a range of encoded keys, the end not included, but no more than `limit`, as one write.
    /// Returns how many it deleted. `None` where the backend has no means of its own: the database reads the keys then, and
    /// deletes as many as fit into a write.
    fn delete_range(&self, start: &[u8], end: &[u8], limit: u32) -> Option<BoxFuture<u64>>;

    /// Watches keys, for changes by anybody, from now on. The stream ends once the backend is closed or after an error.
    ///
    /// The first event is the initial state, by the order of the calls: [`WatchEvent::Entries`], or [`WatchEvent::Changed`], which is
    /// ready immediately, where the database is to read it. Those that follow are changes. Entries never go back in time:
    /// none are older than those of an earlier event.
    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>>;

    /// Claims messages from the queue once some are due, `limit` at most. Returns none only once the backend was closed.
    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>>;

    /// Returns what the database is told apart from others by: random bytes that are stored with it when they are first asked for.
    /// `None` where the backend stores none.
    fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        ready(Ok(None))
    }

    /// Returns the time by the backend's clock, in milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Closes the backend: writes that were called are committed, messages in flight can still be finished, streams end, and
    /// later calls fail with [`Error::Closed`](crate::Error::Closed). Closing twice is allowed.
    fn close(&self);

    /// Returns the reads that need no future, where the backend reads on its caller's thread.
    fn local(&self) -> Option<&dyn LocalReads> {
        None
    }
}

/// Reads on the caller's thread, from the memory of the storage.
pub trait LocalReads {
    /// Reads keys and ranges in one snapshot of what is committed. Calls `visitor` for each entry with the position of its read,
    /// in the order of the reads and, within a range, of its keys, until it breaks.
    ///
    /// What the visitor borrows is valid during the call alone.
    ///
    /// # Errors
    /// A failure of the storage, or [`Error::Closed`](crate::Error::Closed).
    fn read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<()>;

    /// Reads as [`LocalReads::read`] does, if that takes effect in the order of the calls and takes no more than some
    /// milliseconds. Returns false otherwise: a write in flight may change what `reads` find, or many expired entries
    /// lie in their way. What was visited until then does not count: [`Backend::read`] reads all of it.
    ///
    /// # Errors
    /// See [`LocalReads::read`].
    fn try_read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool>;
}

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Which state of the entries to read.
    pub consistency: Consistency,
    /// After how many bytes of values to end early. The last value may exceed it.
    pub max_bytes: usize,
}

impl Default for ReadOptions {
    /// Strongly consistent, and without a bound.
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

    /// Sets after how many bytes of values to end early.
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }
}

/// Which state of the entries a read may return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The latest: what was committed before the read began is there.
    #[default]
    Strong,
    /// A state that may be out of date, where a backend reads that sooner. SQLite reads the latest all the same.
    Eventual,
}

/// What a watch found.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// One of the keys may have changed.
    Changed,
    /// The entries of the keys as they are, in the order of the keys; none for a key without a value.
    Entries(Vec<Option<Entry>>),
}

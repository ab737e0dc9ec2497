use std::pin::Pin;

use tokio::sync::mpsc;

use crate::{AtomicWrite, Commit, Entry, Key, Read, Result, Visit};

/// An answer that comes later. Dropping it gives up the answer, not the work.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// An open database: the seam between hosts and engines.
///
/// A database may be used from several threads, but a host that reads a lot opens one for each thread: an engine
/// keeps what a reader needs, its connection for instance, in the database it opened.
///
/// Writes take effect in the order of the calls. [`Database::read`] sees what is committed; a host whose calls are to take
/// effect in order, though nobody waited for the writes before, uses [`Database::read_now`] and, where that does not do,
/// [`Database::read_in_order`].
pub trait Database: Send + Sync {
    /// Reads keys and ranges in one snapshot. Calls `visit` for every entry, with the position of its read in
    /// `reads`, in the order of the reads and, within a range, of its keys, until it breaks.
    ///
    /// Runs on the caller's thread. What `visit` borrows is valid only during its call.
    ///
    /// # Errors
    /// A limit that `reads` exceeds, or a failure of the storage.
    fn read(&self, reads: &[Read<'_>], visit: &mut Visit<'_>) -> Result<()>;

    /// Reads as [`Database::read`] does, if that takes effect in the order of the calls and is done soon. Returns false where it
    /// is not: a write that this database called before may change what `reads` find, or many expired entries lie in their way.
    /// What was visited until then does not count: [`Database::read_in_order`] reads all of it.
    ///
    /// # Errors
    /// See [`Database::read`].
    fn read_now(&self, reads: &[Read<'_>], visit: &mut Visit<'_>) -> Result<bool>;

    /// Reads keys and ranges in one snapshot: as they are after the writes that this database called before, and before
    /// those that it calls afterwards. One list of entries for each read. Ends early after so many bytes of values. Done by
    /// another thread: for what [`Database::read_now`] left.
    ///
    /// # Errors
    /// See [`Database::read`].
    fn read_in_order(&self, reads: &[Read<'_>], most_bytes: usize) -> Pending<Vec<Vec<Entry>>>;

    /// Counts the entries of a range, both bounds in stored form, the end not included: as they are after the writes that this
    /// database called before, and before those that it calls afterwards. Takes about a second for some million entries, in
    /// memory on the caller's thread.
    ///
    /// # Errors
    /// A bound longer than the limit, or a failure of the storage.
    fn count(&self, start: &[u8], end: &[u8]) -> Pending<u64>;

    /// Commits a write as a whole, or not at all. The write is queued when this is called, and the answer comes
    /// once it is durable.
    ///
    /// # Errors
    /// A limit that `write` exceeds, a mutation that the stored value does not allow, or a failure of the storage.
    /// Nothing of the write was stored then.
    fn write(&self, write: AtomicWrite) -> Pending<Commit>;

    /// Deletes the first entries of a range, both bounds in stored form, the end not included: all, or as many as
    /// [`Limits::deletions`](crate::Limits::deletions). Atomic like a write. Answers how many it deleted: with fewer than
    /// the limit, there are none left.
    ///
    /// # Errors
    /// A bound longer than the limit, or a failure of the storage.
    fn delete_range(&self, start: Vec<u8>, end: Vec<u8>) -> Pending<u64>;

    /// Watches keys, for changes by this process and by others.
    ///
    /// # Errors
    /// More or longer keys than the limits.
    fn watch(&self, keys: &[Key]) -> Result<Watch>;

    /// Takes messages from the queue once there are any to deliver. Answers none only when the database was closed.
    ///
    /// See [`Delivery`] for what becomes of a message that is not finished.
    ///
    /// # Errors
    /// A failure of the storage. The next call waits a second before it tries again.
    fn dequeue(&self) -> Pending<Vec<Delivery>>;

    /// Takes one message as [`Database::dequeue`] does, for a host that would only keep others from being delivered if it
    /// had more.
    ///
    /// # Errors
    /// See [`Database::dequeue`].
    fn dequeue_one(&self) -> Pending<Option<Delivery>>;

    /// The time by the database's clock, in milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Closes the database: writes already queued are committed and messages in flight can still be finished, watches
    /// end, later calls return [`Error::Closed`](crate::Error::Closed). Closing twice is allowed.
    ///
    /// Returns once that is done: where nobody else has the database open, one file holds everything. Where another process
    /// keeps it from that, it is done later, by another thread.
    fn close(&self);
}

/// Tells when keys change.
pub struct Watch {
    changes: mpsc::Receiver<()>,
    /// Ends the watch when it is dropped.
    _registration: Box<dyn Send + Sync>,
}

impl Watch {
    /// A watch that ends when the sender is dropped. One message is enough for many changes: the channel need not hold
    /// more. The registration is dropped with the watch.
    pub fn new(changes: mpsc::Receiver<()>, registration: impl Send + Sync + 'static) -> Self {
        Self { changes, _registration: Box::new(registration) }
    }

    /// Waits until a key may have changed since the last call, or since the watch began. Answers false once the database
    /// was closed.
    pub async fn changed(&mut self) -> bool {
        self.changes.recv().await.is_some()
    }
}

/// A message being delivered.
///
/// An attempt to handle it counts once [`Delivery::start`] was called. A delivery that is dropped before goes back to the queue as
/// it was, and so does one whose process dies before. One that is dropped later was not handled, as by
/// [`Delivery::finish`] with false. If the process dies later, the message is requeued along its schedule some 5 seconds
/// afterwards. Should it die at the moment of the start, that attempt may not count.
pub struct Delivery {
    /// The message, in V8's serialization format.
    pub message: Vec<u8>,
    claim: Box<dyn Claim>,
}

/// A database's claim of a message, which is renewed until it is finished or dropped.
pub trait Claim: Send + Sync {
    /// See [`Delivery::start`].
    fn start(&self);

    /// See [`Delivery::finish`].
    fn finish(self: Box<Self>, success: bool) -> Pending<()>;
}

impl Delivery {
    /// A message, and the claim of it.
    pub fn new(message: Vec<u8>, claim: impl Claim + 'static) -> Self {
        Self { message, claim: Box::new(claim) }
    }

    /// Notes that the message is handled from now on.
    pub fn start(&self) {
        self.claim.start();
    }

    /// Ends the delivery. A message that was handled is gone; the others are delivered again along their backoff
    /// schedule, and then given to the keys that they name for this.
    ///
    /// # Errors
    /// A failure of the storage. The message is delivered again.
    pub fn finish(self, success: bool) -> Pending<()> {
        self.claim.finish(success)
    }
}

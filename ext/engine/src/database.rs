use std::pin::Pin;

use tokio::sync::mpsc;

use crate::{AtomicWrite, Commit, Key, Read, Result, Visit};

/// An answer that comes later. Dropping it gives up the answer, not the work.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// An open database: the seam between hosts and engines.
///
/// A database may be used from several threads, but a host that reads a lot opens one for each thread: an engine
/// keeps what a reader needs, its connection for instance, in the database it opened.
pub trait Database: Send + Sync {
    /// Reads keys and ranges in one snapshot. Calls `visit` for every entry, with the position of its read in
    /// `reads`, in the order of the reads and, within a range, of its keys, until it breaks.
    ///
    /// Runs on the caller's thread. What `visit` borrows is valid only during its call.
    ///
    /// # Errors
    /// A limit that `reads` exceeds, or a failure of the storage.
    fn read(&self, reads: &[Read<'_>], visit: &mut Visit<'_>) -> Result<()>;

    /// Counts the entries of a range, both bounds in stored form, the end not included.
    ///
    /// Runs on the caller's thread, and takes its time: about a second for some million entries.
    ///
    /// # Errors
    /// A bound longer than the limit, or a failure of the storage.
    fn count(&self, start: &[u8], end: &[u8]) -> Result<u64>;

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
    /// A message that is dropped without being finished, as when the process dies, is delivered again.
    ///
    /// # Errors
    /// A failure of the storage.
    fn dequeue(&self) -> Pending<Vec<Delivery>>;

    /// Takes one message as [`Database::dequeue`] does, for a host that would only keep others from being delivered if it
    /// had more.
    ///
    /// # Errors
    /// See [`Database::dequeue`].
    fn dequeue_one(&self) -> Pending<Option<Delivery>>;

    /// The time by the database's clock, in milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Closes the database: writes already queued are committed and messages in delivery can still be finished, watches
    /// end, later calls answer [`Error::Closed`](crate::Error::Closed). Closing twice is allowed.
    fn close(&self);
}

/// Tells when keys change.
#[derive(Debug)]
pub struct Watch(mpsc::Receiver<()>);

impl Watch {
    /// A watch that ends when the sender is dropped. One message is enough for many changes: the channel need not hold
    /// more.
    pub fn new(changes: mpsc::Receiver<()>) -> Self {
        Self(changes)
    }

    /// Waits until a key may have changed since the last call, or since the watch began. Answers false once the database
    /// was closed.
    pub async fn changed(&mut self) -> bool {
        self.0.recv().await.is_some()
    }
}

/// A message being delivered.
pub struct Delivery {
    /// The message, in V8's serialization format.
    pub message: Vec<u8>,
    finish: Box<dyn FnOnce(bool) -> Pending<()> + Send>,
}

impl Delivery {
    /// A message, and what is to be done when it was handled.
    pub fn new(message: Vec<u8>, finish: impl FnOnce(bool) -> Pending<()> + Send + 'static) -> Self {
        Self { message, finish: Box::new(finish) }
    }

    /// Tells whether the message was handled. One that was is gone; the others are delivered again along their backoff
    /// schedule, and then given to the keys that they name for this.
    pub fn finish(self, success: bool) -> Pending<()> {
        (self.finish)(success)
    }
}

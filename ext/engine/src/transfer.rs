use crate::{BoxFuture, Enqueue, Entry, Versionstamp};

/// Access to all that a database stores, to copy it to another: see [`copy`](crate::copy::copy). A copy stores entries and messages
/// with ordinary writes.
pub trait Transfer {
    /// Reads a page of entries whose encoded keys follow `after`, in the order of their keys. Returns an empty page at the end.
    fn entries(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredEntry>>;

    /// Reads a page of messages that follow the one with the position `after`, or from the start if it is empty. Messages in flight
    /// are read as if their attempt had failed. Returns an empty page at the end.
    fn messages(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredMessage>>;

    /// Reads the version of the last commit.
    fn last_commit(&self) -> BoxFuture<LastCommit>;

    /// Makes all later commits have greater versionstamps than this one.
    fn raise_version(&self, versionstamp: Versionstamp) -> BoxFuture<()>;
}

/// The limits of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The maximum number of entries or messages.
    pub items: u32,
    /// The number of bytes of values or messages after which the page ends. The last one may exceed it.
    pub bytes: usize,
}

/// An entry with its expiry.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: Entry,
    /// When it expires, in milliseconds since the Unix epoch, or `None` if it does not.
    pub expires_at: Option<u64>,
}

/// A message with its position in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// The position, which continues a read: see [`Transfer::messages`].
    pub position: Vec<u8>,
    /// The message, with the absolute time at which it is due, and its schedule.
    pub enqueue: Enqueue,
}

/// The version of the last commit of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastCommit {
    /// The versionstamp. No commit before has a greater one.
    pub versionstamp: Versionstamp,
    /// Whether a commit has it. If so, it changes only when the database is written.
    pub is_exact: bool,
}

use std::ops::ControlFlow;
use std::pin::Pin;

use crate::{Key, Result, Value, ValueRef, Versionstamp};

/// An answer that comes later. Dropping it gives up the answer, not the work.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Takes the entries of a read, each with the position of its read.
pub type Visit<'a> = dyn FnMut(usize, EntryRef<'_>) -> ControlFlow<()> + 'a;

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

    /// Commits a write as a whole, or not at all. The write is queued when this is called, and the answer comes
    /// once it is durable: the versionstamp of the commit, or none where a check did not hold.
    ///
    /// # Errors
    /// A limit that `write` exceeds, a mutation that the stored value does not allow, or a failure of the storage.
    /// Nothing of the write was stored then.
    fn write(&self, write: AtomicWrite) -> Pending<Option<Versionstamp>>;

    /// The time by the database's clock, in milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Closes the database: writes already queued are committed, later calls answer
    /// [`Error::Closed`](crate::Error::Closed). Closing twice is allowed.
    fn close(&self);
}

/// One part of a read.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// The entry of one key.
    Key(&'a Key),
    /// The entries of a range of keys, both bounds in stored form.
    Range {
        /// The first key of the range.
        start: &'a [u8],
        /// The key behind the last one of the range.
        end: &'a [u8],
        /// How many entries to read at most.
        limit: u32,
        /// Whether to read from the end of the range.
        reverse: bool,
    },
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

/// An entry as the database holds it: borrowed, valid only while it is visited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntryRef<'a> {
    /// The key in stored form.
    pub key: &'a [u8],
    /// The value.
    pub value: ValueRef<'a>,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

impl EntryRef<'_> {
    /// Copies the entry out of the database.
    pub fn to_owned(self) -> Entry {
        Entry {
            key: Key::from_stored(self.key.to_vec()),
            value: self.value.to_owned(),
            versionstamp: self.versionstamp,
        }
    }
}

/// A group of checks, mutations and queue messages, committed as a whole or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AtomicWrite {
    /// What must hold for the write to be committed.
    pub checks: Vec<Check>,
    /// What to change, in this order.
    pub mutations: Vec<Mutation>,
    /// The messages to put into the queue.
    pub enqueues: Vec<Enqueue>,
}

impl AtomicWrite {
    /// A write of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Adds a mutation.
    #[must_use]
    pub fn mutate(mut self, mutation: Mutation) -> Self {
        self.mutations.push(mutation);
        self
    }

    /// Adds a message.
    #[must_use]
    pub fn enqueue(mut self, enqueue: Enqueue) -> Self {
        self.enqueues.push(enqueue);
        self
    }
}

/// A condition of a write: that a key still has this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The key.
    pub key: Key,
    /// The version it must have; none for a key that must have no value.
    pub versionstamp: Option<Versionstamp>,
}

/// A change to one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The key.
    pub key: Key,
    /// The change.
    pub kind: MutationKind,
}

impl Mutation {
    /// Stores a value that does not expire.
    pub fn set(key: Key, value: Value) -> Self {
        let kind = MutationKind::Set { value, expire_at: None, versionstamped: false };
        Self { key, kind }
    }

    /// Removes a value.
    pub fn delete(key: Key) -> Self {
        Self { key, kind: MutationKind::Delete }
    }
}

/// What a [`Mutation`] does.
#[derive(Clone, Debug, PartialEq)]
pub enum MutationKind {
    /// Stores a value.
    Set {
        /// The value.
        value: Value,
        /// When the value ceases to exist, in milliseconds since the Unix epoch; none for never.
        expire_at: Option<u64>,
        /// Whether the versionstamp of the commit is appended to the key, as a string part of 20 digits.
        versionstamped: bool,
    },
    /// Removes the value, if there is one.
    Delete,
    /// Combines the stored 64-bit unsigned integer with another one, or stores that one where there is none.
    /// The expiry of a stored value stays as it is.
    Combine {
        /// How.
        operand: Operand,
        /// The other number. Of another kind than [`Value::U64`], the write is refused.
        value: Value,
    },
}

impl MutationKind {
    /// The value that the mutation carries.
    pub fn value(&self) -> Option<&Value> {
        match self {
            MutationKind::Set { value, .. } | MutationKind::Combine { value, .. } => Some(value),
            MutationKind::Delete => None,
        }
    }
}

/// How [`MutationKind::Combine`] combines two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Adds them, modulo 2^64.
    Sum,
    /// Keeps the lesser one.
    Min,
    /// Keeps the greater one.
    Max,
}

impl Operand {
    /// The name of the operation: "sum", "min" or "max".
    pub fn name(self) -> &'static str {
        match self {
            Operand::Sum => "sum",
            Operand::Min => "min",
            Operand::Max => "max",
        }
    }

    /// Combines two numbers.
    pub fn combine(self, stored: u64, operand: u64) -> u64 {
        match self {
            Operand::Sum => stored.wrapping_add(operand),
            Operand::Min => stored.min(operand),
            Operand::Max => stored.max(operand),
        }
    }
}

/// A message for the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    /// The message, in V8's serialization format.
    pub message: Vec<u8>,
    /// When the message may be delivered, in milliseconds since the Unix epoch.
    pub deliver_at: u64,
    /// How long to wait before each further delivery after one that failed, in milliseconds; none for the default
    /// schedule of 100, 1000, 5000, 30000 and 60000.
    pub backoff_schedule: Option<Vec<u32>>,
    /// The keys that are given the message when the last delivery failed.
    pub keys_if_undelivered: Vec<Key>,
}

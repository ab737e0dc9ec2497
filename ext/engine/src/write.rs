use crate::sum::sum;
use crate::{Entry, Error, Key, Result, Value, ValueRef, Versionstamp};

/// A group of checks, mutations and queue messages, committed as a whole or not at all.
///
/// ```
/// use openkv_engine::sqlite::{self, Location, Options};
/// use openkv_engine::{AtomicWrite, Check, Commit, Key, Mutation, Operand, Value};
///
/// let database = sqlite::open(Location::Memory, Options::default())?;
/// let alice = Key::from(["users", "alice"]);
/// database.set_blocking(alice.clone(), Value::U64(1))?;
///
/// // Of two programs that read the entry and then write it, the second is told that it came too late.
/// let read = database.get_blocking(&alice)?.expect("it was set");
/// let write = AtomicWrite::new()
///     .check(Check::unchanged(&read))
///     .mutate(Mutation::set(alice, Value::U64(2)))
///     .mutate(Mutation::combine(Key::from(["writes"]), Operand::Sum, 1))
///     .mutate(Mutation::combine(Key::from(["highest"]), Operand::Max, 2))
///     .mutate(Mutation::combine(Key::from(["lowest"]), Operand::Min, 2));
/// assert!(matches!(database.write_blocking(write.clone())?, Commit::Done(_)));
/// assert_eq!(database.write_blocking(write)?, Commit::Conflict { failed: vec![0] });
/// # Ok::<(), openkv_engine::Error>(())
/// ```
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

    /// The size of what it stores, in bytes: keys, values and messages.
    pub(crate) fn size(&self) -> usize {
        let mutation =
            |mutation: &Mutation| mutation.key.as_bytes().len() + mutation.kind.value().map_or(0, Value::len);
        let enqueue = |enqueue: &Enqueue| {
            enqueue.message.len() + enqueue.keys_if_undelivered.iter().map(|key| key.as_bytes().len()).sum::<usize>()
        };
        self.mutations.iter().map(mutation).sum::<usize>() + self.enqueues.iter().map(enqueue).sum::<usize>()
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It was committed, with this version.
    Done(Versionstamp),
    /// Nothing was written, because checks did not hold.
    Conflict {
        /// Their positions in [`AtomicWrite::checks`].
        failed: Vec<usize>,
    },
}

impl Commit {
    /// The version of a write that was committed.
    pub fn versionstamp(self) -> Option<Versionstamp> {
        match self {
            Commit::Done(versionstamp) => Some(versionstamp),
            Commit::Conflict { .. } => None,
        }
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

impl Check {
    /// A check that nobody wrote the key since it was read.
    pub fn unchanged(entry: &Entry) -> Self {
        Self { key: entry.key.clone(), versionstamp: Some(entry.versionstamp) }
    }

    /// A check that the key has no value.
    pub fn absent(key: Key) -> Self {
        Self { key, versionstamp: None }
    }
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

    /// Combines the stored integer with another one: see [`MutationKind::Combine`].
    pub fn combine(key: Key, operand: Operand, number: u64) -> Self {
        Self { key, kind: MutationKind::Combine { operand, value: Value::U64(number) } }
    }

    /// Lets the value that a mutation sets cease to exist at a time, in milliseconds since the Unix epoch. Others have no
    /// time of their own, and stay as they are.
    #[must_use]
    pub fn expire_at(mut self, time: u64) -> Self {
        if let MutationKind::Set { expire_at, .. } = &mut self.kind {
            *expire_at = Some(time);
        }
        self
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
        /// The other number: a [`Value::U64`], as the stored one must be. For a sum both may also be numbers, or bigints,
        /// in V8's format.
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

    /// Returns what a [`MutationKind::Combine`] makes of the stored value, if there is one, and its own. For backends that
    /// combine values themselves.
    ///
    /// # Errors
    /// The values are not of kinds that can be combined.
    pub fn apply(self, stored: Option<ValueRef<'_>>, value: &Value) -> Result<Value> {
        let operation = self.name();
        match (self, value, stored) {
            (_, Value::U64(value), None) => Ok(Value::U64(*value)),
            (_, Value::U64(value), Some(ValueRef::U64(stored))) => Ok(Value::U64(self.combine(stored, *value))),
            (_, Value::U64(_), Some(_)) => Err(Error::StoredNotU64 { operation }),
            (Operand::Sum, _, stored) => sum(stored, value),
            _ => Err(Error::OperandNotU64 { operation }),
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
    /// How long to wait before each further delivery after one that failed, in milliseconds; none for
    /// [`Enqueue::DEFAULT_SCHEDULE`].
    pub backoff_schedule: Option<Vec<u32>>,
    /// The keys that are given the message when the last delivery failed.
    pub keys_if_undelivered: Vec<Key>,
}

impl Enqueue {
    /// The waits before further deliveries of a message that names none, in milliseconds.
    pub const DEFAULT_SCHEDULE: [u32; 5] = [100, 1000, 5000, 30_000, 60_000];

    /// A message to deliver at once, with the default schedule, and to forget when the last delivery failed.
    pub fn new(message: Vec<u8>) -> Self {
        Self { message, deliver_at: 0, backoff_schedule: None, keys_if_undelivered: Vec::new() }
    }

    /// Returns the waits before further deliveries: its own, or the default ones.
    pub fn schedule(&self) -> &[u32] {
        self.backoff_schedule.as_deref().unwrap_or(&Self::DEFAULT_SCHEDULE)
    }
}

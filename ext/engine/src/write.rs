use std::fmt;
use std::time::{Duration, SystemTime};

use crate::sum::{bounded_sum, sum};
use crate::{CommitId, Entry, Error, Key, Result, Time, Value, ValueRef, Versionstamp, time};

/// A group of checks, mutations and queue messages, committed as a whole or not at all.
///
/// ```
/// use openkv_engine::sqlite::{self, Location, Options};
/// use openkv_engine::{AtomicWrite, Check, Conflict, Key, Mutation, Value};
///
/// let database = sqlite::open(Location::Memory, Options::default())?;
/// let alice = Key::from(["users", "alice"]);
/// database.set_blocking(alice.clone(), Value::U64(1))?;
///
/// // If another program writes the entry between this read and the write, the check fails.
/// let read = database.get_blocking(&alice)?.expect("it was set");
/// let write = AtomicWrite::new()
///     .check(Check::unchanged(&read))
///     .mutate(Mutation::set(alice, Value::U64(2)))
///     .mutate(Mutation::sum(Key::from(["writes"]), 1))
///     .mutate(Mutation::max(Key::from(["highest"]), 2))
///     .mutate(Mutation::min(Key::from(["lowest"]), 2));
/// database.write_blocking(write.clone())?.into_result()?;
/// assert_eq!(database.write_blocking(write)?.into_result(), Err(Conflict { failed: vec![0] }));
/// # Ok::<(), openkv_engine::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AtomicWrite {
    /// The conditions under which the write is committed.
    pub checks: Vec<Check>,
    /// The changes, applied in this order.
    pub mutations: Vec<Mutation>,
    /// The messages to enqueue.
    pub enqueues: Vec<Enqueue>,
    /// The id with which the write can be retried, but is committed at most once: see
    /// [`Backend::write`](crate::Backend::write). `None` for a write that is not retried.
    pub id: Option<CommitId>,
}

impl AtomicWrite {
    /// Returns an empty write.
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

    /// Sets the id of the write, so that it is committed at most once: after a lost response, retry with the same id, within
    /// [`CommitId::REMEMBERED`].
    ///
    /// ```
    /// use openkv_engine::sqlite::{self, Location, Options};
    /// use openkv_engine::{AtomicWrite, CommitId, Key, Mutation, SystemRandom};
    ///
    /// let database = sqlite::open(Location::Memory, Options::default())?;
    /// let write = AtomicWrite::new()
    ///     .mutate(Mutation::sum(Key::from(["visits"]), 1))
    ///     .id(CommitId::new(&SystemRandom));
    /// let first = database.write_blocking(write.clone())?;
    /// assert_eq!(database.write_blocking(write)?, first);
    /// # Ok::<(), openkv_engine::Error>(())
    /// ```
    #[must_use]
    pub fn id(self, id: CommitId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Replaces the times relative to the call of the write by absolute ones.
    pub(crate) fn fix_times(&mut self, now: u64) {
        for mutation in &mut self.mutations {
            if let MutationKind::Set { expire_at: Some(time), .. } = &mut mutation.kind {
                *time = Time::At(time.millis(now));
            }
        }
        for enqueue in &mut self.enqueues {
            enqueue.deliver_at = Time::At(enqueue.deliver_at.millis(now));
        }
    }

    /// Returns the total size of its keys, values and messages in bytes.
    pub(crate) fn size(&self) -> usize {
        let mutation =
            |mutation: &Mutation| mutation.key.as_bytes().len() + mutation.kind.value().map_or(0, Value::len);
        let enqueue = |enqueue: &Enqueue| {
            enqueue.message.len() + enqueue.keys_if_undelivered.iter().map(|key| key.as_bytes().len()).sum::<usize>()
        };
        self.mutations.iter().map(mutation).sum::<usize>() + self.enqueues.iter().map(enqueue).sum::<usize>()
    }
}

/// The outcome of a write. A write whose checks fail is not committed; [`Commit::into_result`] turns that into an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing was written if a check failed: `into_result` turns that into an error"]
pub enum Commit {
    /// The write was committed, with this version.
    Done(Versionstamp),
    /// Nothing was written, because checks failed.
    Conflict {
        /// The indices of the failed checks in [`AtomicWrite::checks`].
        failed: Vec<usize>,
    },
}

impl Commit {
    /// Returns the version of a write that was committed.
    ///
    /// # Errors
    /// [`Conflict`] if checks failed.
    pub fn into_result(self) -> Result<Versionstamp, Conflict> {
        match self {
            Commit::Done(versionstamp) => Ok(versionstamp),
            Commit::Conflict { failed } => Err(Conflict { failed }),
        }
    }

    /// Returns the version of a write that was committed, or `None`.
    pub fn versionstamp(self) -> Option<Versionstamp> {
        match self {
            Commit::Done(versionstamp) => Some(versionstamp),
            Commit::Conflict { .. } => None,
        }
    }
}

/// The error of a write whose checks failed: nothing was written. Read the entries again before a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The indices of the failed checks in [`AtomicWrite::checks`].
    pub failed: Vec<usize>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: Vec<_> = self.failed.iter().map(usize::to_string).collect();
        let checks = if failed.len() == 1 { "check" } else { "checks" };
        write!(f, "nothing was written: {checks} {} failed: read the entries again", failed.join(", "))
    }
}

impl std::error::Error for Conflict {}

/// A condition of a write: the key still has this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The key.
    pub key: Key,
    /// The version that the key must have, or `None` if it must have no value.
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
    /// Returns a check that the key was not written since the entry was read.
    pub fn unchanged(entry: &Entry) -> Self {
        Self { key: entry.key.clone(), versionstamp: Some(entry.versionstamp) }
    }

    /// Returns a check that the key has no value.
    pub fn absent(key: Key) -> Self {
        Self { key, versionstamp: None }
    }
}

impl Mutation {
    /// Returns a mutation that stores a value without expiry.
    pub fn set(key: Key, value: Value) -> Self {
        let kind = MutationKind::Set { value, expire_at: None, versionstamped: false };
        Self { key, kind }
    }

    /// Returns a mutation that removes the value of a key.
    pub fn delete(key: Key) -> Self {
        Self { key, kind: MutationKind::Delete }
    }

    /// Returns a mutation that adds a number to the stored [`Value::U64`], modulo 2^64: see [`MutationKind::Combine`].
    pub fn sum(key: Key, number: u64) -> Self {
        Self::combine(key, Operand::Sum, number)
    }

    /// Returns a mutation that stores the minimum of a number and the stored [`Value::U64`]: see [`MutationKind::Combine`].
    pub fn min(key: Key, number: u64) -> Self {
        Self::combine(key, Operand::Min, number)
    }

    /// Returns a mutation that stores the maximum of a number and the stored [`Value::U64`]: see [`MutationKind::Combine`].
    pub fn max(key: Key, number: u64) -> Self {
        Self::combine(key, Operand::Max, number)
    }

    fn combine(key: Key, operand: Operand, number: u64) -> Self {
        Self { key, kind: MutationKind::Combine { operand, value: Value::U64(number) } }
    }

    /// Sets the time at which the value that a mutation stores expires, by the database's clock. Has no effect on mutations that
    /// do not store a value.
    #[must_use]
    pub fn expire_at(self, time: SystemTime) -> Self {
        self.expire(time.into())
    }

    /// Sets the time after which the value that a mutation stores expires, counted from the call of the write. Has no effect on
    /// mutations that do not store a value.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use openkv_engine::{Key, Mutation, Value};
    ///
    /// let session = Key::from(["sessions", "alice"]);
    /// let set = Mutation::set(session, Value::U64(1)).expire_in(Duration::from_secs(30 * 60));
    /// ```
    #[must_use]
    pub fn expire_in(self, duration: Duration) -> Self {
        self.expire(Time::In(duration))
    }

    fn expire(mut self, time: Time) -> Self {
        if let MutationKind::Set { expire_at, .. } = &mut self.kind {
            *expire_at = Some(time);
        }
        self
    }
}

/// The kind of a [`Mutation`].
#[derive(Clone, Debug, PartialEq)]
pub enum MutationKind {
    /// Stores a value.
    Set {
        /// The value.
        value: Value,
        /// When the value expires, or `None` if it does not.
        expire_at: Option<Time>,
        /// Whether the versionstamp of the commit is appended to the key, as a string part of 20 digits.
        versionstamped: bool,
    },
    /// Removes the value, if it exists.
    Delete,
    /// Combines the stored 64-bit unsigned integer with a number, or stores the number if the key has no value.
    /// The expiry of a stored value does not change.
    Combine {
        /// The operation.
        operand: Operand,
        /// The number: a [`Value::U64`], like the stored value. For a sum, both may also be numbers or bigints in V8's format.
        value: Value,
    },
    /// Adds a number or bigint in V8's format to the stored value of the same kind, or stores it if the key has no value. The
    /// expiry of a stored value does not change.
    BoundedSum {
        /// The number.
        value: Value,
        /// The bounds of the sum.
        bounds: SumBounds,
    },
}

impl MutationKind {
    /// Returns the value that the mutation stores or combines.
    pub fn value(&self) -> Option<&Value> {
        match self {
            MutationKind::Set { value, .. }
            | MutationKind::Combine { value, .. }
            | MutationKind::BoundedSum { value, .. } => Some(value),
            MutationKind::Delete => None,
        }
    }
}

/// The bounds of a [`MutationKind::BoundedSum`]: numbers or bigints in V8's format, of the same kind as the operand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SumBounds {
    /// The minimum.
    pub min: Option<Value>,
    /// The maximum.
    pub max: Option<Value>,
    /// Whether a sum outside the bounds is clamped to them. Otherwise, the write fails.
    pub clamp: bool,
}

impl SumBounds {
    /// Returns the sum of the stored value, if any, and a value. For backends that combine values themselves.
    ///
    /// # Errors
    /// The values are of different types or cannot be summed, or the sum is outside the bounds.
    pub fn sum(&self, stored: Option<ValueRef<'_>>, value: &Value) -> Result<Value> {
        bounded_sum(stored, value, self)
    }
}

/// How [`MutationKind::Combine`] combines two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Adds them, modulo 2^64.
    Sum,
    /// Keeps the minimum.
    Min,
    /// Keeps the maximum.
    Max,
}

impl Operand {
    /// Returns the name of the operation: "sum", "min" or "max".
    pub fn name(self) -> &'static str {
        match self {
            Operand::Sum => "sum",
            Operand::Min => "min",
            Operand::Max => "max",
        }
    }

    /// Returns the result of a [`MutationKind::Combine`] for the stored value, if any, and the value of the mutation. For backends
    /// that combine values themselves.
    ///
    /// # Errors
    /// The values are of types that cannot be combined.
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
    /// When the message may be delivered.
    pub deliver_at: Time,
    /// The delay before each redelivery after a failure, in milliseconds. `None` stands for [`Enqueue::DEFAULT_SCHEDULE`].
    pub backoff_schedule: Option<Vec<u32>>,
    /// The keys under which the message is stored when its last delivery fails.
    pub keys_if_undelivered: Vec<Key>,
}

impl Enqueue {
    /// The delays before redeliveries of a message without a schedule, in milliseconds.
    pub const DEFAULT_SCHEDULE: [u32; 5] = [100, 1000, 5000, 30_000, 60_000];

    /// Returns a message, in V8's serialization format, that is delivered immediately, with the default schedule, and dropped when
    /// its last delivery fails. With the `serde` feature, `Enqueue::encode` serializes a Rust value.
    pub fn new(message: Vec<u8>) -> Self {
        Self { message, deliver_at: Time::At(0), backoff_schedule: None, keys_if_undelivered: Vec::new() }
    }

    /// Returns the delays before redeliveries: those of the message, or the default ones.
    pub fn schedule(&self) -> &[u32] {
        self.backoff_schedule.as_deref().unwrap_or(&Self::DEFAULT_SCHEDULE)
    }

    /// Sets the delay of the first delivery, counted from the call of the write.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { deliver_at: Time::In(delay), ..self }
    }

    /// Sets the delay before each redelivery after a failure. With an empty schedule, the message is not redelivered. Each delay is
    /// stored in whole milliseconds, up to 49 days.
    #[must_use]
    pub fn backoff(self, schedule: impl IntoIterator<Item = Duration>) -> Self {
        let millis = |delay| u32::try_from(time::to_millis(delay)).unwrap_or(u32::MAX);
        Self { backoff_schedule: Some(schedule.into_iter().map(millis).collect()), ..self }
    }

    /// Adds a key under which the message is stored when its last delivery fails.
    #[must_use]
    pub fn undelivered(mut self, key: Key) -> Self {
        self.keys_if_undelivered.push(key);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn conflict_is_an_error_that_names_the_checks() {
        let conflict = |failed: &[usize]| Commit::Conflict { failed: failed.to_vec() }.into_result().unwrap_err();
        let [one, two] = [conflict(&[1]), conflict(&[0, 2])].map(|conflict| conflict.to_string());
        assert_eq!(one, "nothing was written: check 1 failed: read the entries again");
        assert_eq!(two, "nothing was written: checks 0, 2 failed: read the entries again");
        let versionstamp = Versionstamp::from_version(7);
        assert_eq!(Commit::Done(versionstamp).into_result(), Ok(versionstamp));
    }

    #[test]
    fn relative_times_count_from_the_call_of_the_write() {
        let set = || Mutation::set(Key::from(["a"]), Value::U64(1));
        let millis = Duration::from_millis;
        let mut write = AtomicWrite::new()
            .mutate(set())
            .mutate(set().expire_in(millis(5)))
            .mutate(set().expire_at(UNIX_EPOCH + millis(7)))
            .mutate(Mutation::delete(Key::from(["a"])).expire_in(millis(5)))
            .enqueue(Enqueue::new(vec![]).delay(Duration::from_micros(1)))
            .enqueue(Enqueue::new(vec![]));
        write.fix_times(100);
        let expiry = |mutation: &Mutation| match mutation.kind {
            MutationKind::Set { expire_at, .. } => expire_at,
            _ => None,
        };
        let expiries: Vec<_> = write.mutations.iter().map(expiry).collect();
        assert_eq!(expiries, [None, Some(Time::At(105)), Some(Time::At(7)), None]);
        let deliveries: Vec<_> = write.enqueues.iter().map(|enqueue| enqueue.deliver_at).collect();
        assert_eq!(deliveries, [Time::At(101), Time::At(0)]);
    }

    #[test]
    fn schedule_is_in_whole_milliseconds() {
        let schedule = [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(2), Duration::MAX];
        let enqueue = Enqueue::new(vec![]).backoff(schedule).undelivered(Key::from(["a"]));
        assert_eq!(enqueue.backoff_schedule, Some(vec![0, 1, 2000, u32::MAX]));
        assert_eq!(enqueue.keys_if_undelivered, [Key::from(["a"])]);
    }
}

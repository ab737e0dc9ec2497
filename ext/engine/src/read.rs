use std::ops::ControlFlow;

use crate::{Key, Value, ValueRef, Versionstamp};

/// A callback for the entries of a read, each with the index of its read.
pub type Visitor<'a> = dyn FnMut(usize, EntryRef<'_>) -> ControlFlow<()> + 'a;

/// A read of a key or a range.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// The entry of one key.
    Key(&'a Key),
    /// The entries of a range of keys, both bounds in encoded form.
    Range {
        /// The first key of the range.
        start: &'a [u8],
        /// The key past the last one of the range.
        end: &'a [u8],
        /// The maximum number of entries to read.
        limit: u32,
        /// Whether to read from the end of the range.
        reverse: bool,
        /// Whether to read the values, too.
        values: bool,
    },
}

/// An owned [`Read`], for one that runs later.
#[derive(Clone, Debug)]
pub enum OwnedRead {
    /// See [`Read::Key`].
    Key(Key),
    /// See [`Read::Range`].
    Range {
        /// The first key of the range, in encoded form.
        start: Vec<u8>,
        /// The key past the last one of the range, in encoded form.
        end: Vec<u8>,
        /// How many entries to read at most.
        limit: u32,
        /// Whether to read from the end of the range.
        reverse: bool,
        /// Whether to read the values too.
        values: bool,
    },
}

impl Read<'_> {
    /// Copies what the read borrows.
    pub fn into_owned(self) -> OwnedRead {
        match self {
            Read::Key(key) => OwnedRead::Key(key.clone()),
            Read::Range { start, end, limit, reverse, values } => {
                OwnedRead::Range { start: start.to_vec(), end: end.to_vec(), limit, reverse, values }
            }
        }
    }
}

impl OwnedRead {
    /// Borrows the read.
    pub fn as_read(&self) -> Read<'_> {
        match self {
            OwnedRead::Key(key) => Read::Key(key),
            OwnedRead::Range { start, end, limit, reverse, values } => {
                Read::Range { start, end, limit: *limit, reverse: *reverse, values: *values }
            }
        }
    }
}

/// An entry: a key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

/// An entry without its value, as listed by [`List::keys_only`](crate::List::keys_only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key.
    pub key: Key,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

/// When an entry expires. See [`Database::expiries`](crate::Database::expiries).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The version of the commit that stored the value which expires.
    pub versionstamp: Versionstamp,
    /// When the entry expires, in milliseconds since the Unix epoch, or `None` if it does not.
    pub expires_at: Option<u64>,
}

/// An entry that a [`Read`] found, with its value if that was requested.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadEntry {
    /// The key.
    pub key: Key,
    /// The value, or `None` if values were not requested.
    pub value: Option<Value>,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

/// An entry that is borrowed from the database, valid only during its visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntryRef<'a> {
    /// The key in encoded form.
    pub key: &'a [u8],
    /// The value, or `None` if values were not requested.
    pub value: Option<ValueRef<'a>>,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

impl From<Entry> for ReadEntry {
    fn from(Entry { key, value, versionstamp }: Entry) -> Self {
        Self { key, value: Some(value), versionstamp }
    }
}

impl ReadEntry {
    /// Returns the entry, or `None` if its value was not read.
    pub fn into_entry(self) -> Option<Entry> {
        let Self { key, value, versionstamp } = self;
        Some(Entry { key, value: value?, versionstamp })
    }

    /// Borrows the entry.
    pub fn as_ref(&self) -> EntryRef<'_> {
        EntryRef {
            key: self.key.as_bytes(),
            value: self.value.as_ref().map(Value::as_ref),
            versionstamp: self.versionstamp,
        }
    }
}

impl EntryRef<'_> {
    /// Copies the entry.
    pub fn to_owned(self) -> ReadEntry {
        ReadEntry {
            key: Key::from_encoded(self.key.to_vec()),
            value: self.value.map(ValueRef::to_owned),
            versionstamp: self.versionstamp,
        }
    }
}

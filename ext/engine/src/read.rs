use std::ops::ControlFlow;

use crate::{Key, Value, ValueRef, Versionstamp};

/// Takes the entries of a read, each with the position of its read.
pub type Visit<'a> = dyn FnMut(usize, EntryRef<'_>) -> ControlFlow<()> + 'a;

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
        /// Whether to read the values too.
        values: bool,
    },
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value; none where values were not asked for.
    pub value: Option<Value>,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

/// An entry as the database holds it: borrowed, valid only while it is visited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntryRef<'a> {
    /// The key in stored form.
    pub key: &'a [u8],
    /// The value; none where values were not asked for.
    pub value: Option<ValueRef<'a>>,
    /// The version of the commit that stored the value.
    pub versionstamp: Versionstamp,
}

impl EntryRef<'_> {
    /// Copies the entry out of the database.
    pub fn to_owned(self) -> Entry {
        Entry {
            key: Key::from_stored(self.key.to_vec()),
            value: self.value.map(ValueRef::to_owned),
            versionstamp: self.versionstamp,
        }
    }
}

//! The keys and values of a database in etcd. See docs/etcd.md.

use openkv_engine::{CommitId, Error, Result, Value, ValueRef, Versionstamp};

/// The version of the layout.
pub(crate) const LAYOUT: u64 = 1;

/// On average, one of this many keys is copied to the index of split keys.
pub(crate) const SPLIT_EVERY: u64 = 128;

/// The keys of a database. All begin with its name and a slash.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: Vec<u8>,
}

/// The parts of a database, which follow the name in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Claims of messages, under the lease of a listener.
    Claims,
    /// The entries.
    Entries,
    /// The ids of committed writes.
    CommitIds,
    /// Copies of some keys of entries, which divide them into small ranges.
    Splits,
    /// The listeners of the queue, under their leases.
    Listeners,
    /// The messages, by the time at which they are due.
    Messages,
    /// The markers of sessions, under their leases.
    Markers,
    /// Messages whose handler was called.
    Started,
    /// Keys of entries by the time at which they expire. May contain outdated ones.
    Expiries,
}

impl Part {
    fn tag(self) -> u8 {
        match self {
            Part::Claims => b'c',
            Part::Entries => b'd',
            Part::CommitIds => b'i',
            Part::Splits => b'k',
            Part::Listeners => b'l',
            Part::Messages => b'q',
            Part::Markers => b's',
            Part::Started => b't',
            Part::Expiries => b'x',
        }
    }
}

impl Keys {
    pub fn new(name: &str) -> Self {
        Self { prefix: format!("{name}/").into_bytes() }
    }

    /// Returns a key of a part.
    pub fn key(&self, part: Part, rest: &[u8]) -> Vec<u8> {
        [&self.prefix[..], &[part.tag(), b'/'], rest].concat()
    }

    /// Returns the bounds of a part.
    pub fn part(&self, part: Part) -> (Vec<u8>, Vec<u8>) {
        let start = self.key(part, &[]);
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        (start, end)
    }

    /// Returns the key without the name and the part.
    pub fn rest<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        key.get(self.prefix.len() + 2..).unwrap_or_default()
    }

    /// Returns the key of the description of the database.
    pub fn description(&self) -> Vec<u8> {
        [&self.prefix[..], b"m"].concat()
    }

    /// Returns the key that exists while a commit with versionstamps in its keys excludes other commits.
    pub fn lock(&self) -> Vec<u8> {
        [&self.prefix[..], b"v"].concat()
    }

    /// Returns the key that the process holds that deletes expired entries.
    pub fn sweeper(&self) -> Vec<u8> {
        [&self.prefix[..], b"e"].concat()
    }

    pub fn entry(&self, key: &[u8]) -> Vec<u8> {
        self.key(Part::Entries, key)
    }

    pub fn commit_id(&self, id: CommitId) -> Vec<u8> {
        self.key(Part::CommitIds, &id.0)
    }

    pub fn expiry(&self, time: u64, key: &[u8]) -> Vec<u8> {
        self.key(Part::Expiries, &[&time.to_be_bytes()[..], key].concat())
    }
}

/// Returns whether a key of an entry is copied to the index of split keys: a property of the key, so that all programs agree.
pub(crate) fn is_split(key: &[u8]) -> bool {
    hash(key).is_multiple_of(SPLIT_EVERY)
}

/// Returns a hash that is the same in all programs: FNV-1a, and a finalizer that makes each bit depend on all bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// The position of the write among those that were committed in one transaction.
    pub index: u16,
    /// When the value expires, in milliseconds since the Unix epoch. `None` if it does not.
    pub expire_at: Option<u64>,
    /// The versionstamp, unless it follows from the revision of the transaction.
    pub versionstamp: Option<Versionstamp>,
    pub value: Value,
}

/// The time of values that do not expire.
const NEVER: u64 = u64::MAX;

/// The flag of values with a versionstamp.
const HAS_VERSIONSTAMP: u8 = 0x80;

const V8: u8 = 1;
const U64: u8 = 2;
const BYTES: u8 = 3;

impl Stored {
    pub fn is_live(&self, now: u64) -> bool {
        self.expire_at.is_none_or(|time| time > now)
    }

    /// Encodes the entry: its index and expiry first, so that the cluster can compare them.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(21 + self.value.len());
        bytes.extend(self.index.to_be_bytes());
        bytes.extend(self.expire_at.map_or(NEVER, |time| time.min(NEVER - 1)).to_be_bytes());
        let encoding = match self.value {
            Value::V8(_) => V8,
            Value::U64(_) => U64,
            Value::Bytes(_) => BYTES,
        };
        bytes.push(encoding | if self.versionstamp.is_some() { HAS_VERSIONSTAMP } else { 0 });
        bytes.extend(self.versionstamp.iter().flat_map(|versionstamp| *versionstamp.as_bytes()));
        match self.value.as_ref() {
            ValueRef::V8(value) | ValueRef::Bytes(value) => bytes.extend(value),
            ValueRef::U64(number) => bytes.extend(number.to_le_bytes()),
        }
        bytes
    }

    /// Decodes an entry.
    ///
    /// # Errors
    /// [`Error::CorruptValue`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt = |encoding: u8| Error::CorruptValue { encoding: encoding.into(), len: bytes.len() };
        let (index, rest) = bytes.split_first_chunk::<2>().ok_or_else(|| corrupt(0))?;
        let (time, rest) = rest.split_first_chunk::<8>().ok_or_else(|| corrupt(0))?;
        let (flags, mut rest) = rest.split_first().ok_or_else(|| corrupt(0))?;
        let mut versionstamp = None;
        if flags & HAS_VERSIONSTAMP != 0 {
            let (stamp, after) = rest.split_first_chunk::<10>().ok_or_else(|| corrupt(*flags))?;
            versionstamp = Some(Versionstamp::from_bytes(*stamp));
            rest = after;
        }
        let value = match flags & !HAS_VERSIONSTAMP {
            V8 => Value::V8(rest.to_vec()),
            BYTES => Value::Bytes(rest.to_vec()),
            U64 => Value::U64(u64::from_le_bytes(rest.try_into().map_err(|_| corrupt(*flags))?)),
            _ => return Err(corrupt(*flags)),
        };
        let time = u64::from_be_bytes(*time);
        let expire_at = (time != NEVER).then_some(time);
        Ok(Self { index: u16::from_be_bytes(*index), expire_at, versionstamp, value })
    }

    /// Returns the versionstamp of the entry, given the revision of its key.
    pub fn versionstamp(&self, revision: i64, base: u64) -> Versionstamp {
        self.versionstamp.unwrap_or_else(|| versionstamp(revision, base, self.index))
    }
}

/// Returns the version of a transaction: its revision, after `base`.
pub(crate) fn version(revision: i64, base: u64) -> u64 {
    base.saturating_add(u64::try_from(revision).unwrap_or_default())
}

/// Returns the versionstamp of a write: the revision of its transaction, after `base`, and its index in the transaction.
pub(crate) fn versionstamp(revision: i64, base: u64, index: u16) -> Versionstamp {
    let mut bytes = *Versionstamp::from_version(version(revision, base)).as_bytes();
    bytes[8..].copy_from_slice(&index.to_be_bytes());
    Versionstamp::from_bytes(bytes)
}

/// Returns the revision and the index that belong to a versionstamp, unless no transaction can have it.
pub(crate) fn revision(versionstamp: Versionstamp, base: u64) -> Option<(i64, u16)> {
    let bytes = versionstamp.as_bytes();
    let (version, index) = bytes.split_first_chunk::<8>()?;
    let revision = i64::try_from(u64::from_be_bytes(*version).checked_sub(base)?).ok()?;
    Some((revision, u16::from_be_bytes(index.try_into().ok()?))).filter(|(revision, _)| *revision > 0)
}

/// Returns the first bytes of the least entry with an index that is live at a time: those of live entries are greater.
pub(crate) fn live_from(index: u16, now: u64) -> Vec<u8> {
    [&index.to_be_bytes()[..], &now.saturating_add(1).to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_encoded_and_decoded() {
        let versionstamp = Versionstamp::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        for value in [Value::V8(vec![255, 15]), Value::U64(7), Value::Bytes(vec![])] {
            for (expire_at, versionstamp) in [(None, None), (Some(5), Some(versionstamp))] {
                let stored = Stored { index: 3, expire_at, versionstamp, value: value.clone() };
                assert_eq!(Stored::decode(&stored.encode()).unwrap(), stored);
            }
        }
    }

    #[test]
    fn corrupt_entries_are_rejected() {
        let stored = Stored { index: 0, expire_at: None, versionstamp: None, value: Value::U64(7) };
        let bytes = stored.encode();
        for len in 0..bytes.len() {
            assert!(matches!(Stored::decode(&bytes[..len]), Err(Error::CorruptValue { .. })), "{len}");
        }
        let mut unknown = bytes;
        unknown[10] = 4;
        assert!(matches!(Stored::decode(&unknown), Err(Error::CorruptValue { encoding: 4, .. })));
    }

    #[test]
    fn live_entries_are_greater_than_their_least() {
        let stored = |expire_at| Stored { index: 2, expire_at, versionstamp: None, value: Value::U64(0) }.encode();
        for (expire_at, is_live) in [(Some(9), false), (Some(10), false), (Some(11), true), (None, true)] {
            assert_eq!(stored(expire_at) > live_from(2, 10), is_live);
        }
    }

    #[test]
    fn versionstamps_have_the_order_of_revisions_and_indices() {
        let stamps = [(1, 0), (1, 1), (2, 0), (300, 7)].map(|(revision, index)| versionstamp(revision, 5, index));
        assert!(stamps.is_sorted());
        assert_eq!(revision(stamps[3], 5), Some((300, 7)));
        assert_eq!(revision(stamps[0], 6), None);
        assert_eq!(revision(Versionstamp::from_bytes([255; 10]), 5), None);
    }

    #[test]
    fn some_keys_are_split_keys() {
        let keys = (0..100_000_u32).map(|i| i.to_be_bytes());
        let splits = keys.filter(|key| is_split(key)).count() as u64;
        assert!((100_000 / SPLIT_EVERY / 2..100_000 / SPLIT_EVERY * 2).contains(&splits), "{splits}");
    }
}

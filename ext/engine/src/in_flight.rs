//! Tracks the keys that uncommitted writes of one database may change. Calls take effect in the order in which they are made:
//! a read of such a key runs after the write, in the order of the calls. All other reads run immediately.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{AtomicWrite, Mutation, MutationKind, Read};

/// The keys that uncommitted writes of one database may change. Backends use it to keep the order of the calls.
#[derive(Default)]
pub struct InFlight {
    /// The number of writes in flight. Most reads find zero, and need no lock.
    count: AtomicUsize,
    changes: Mutex<Changes>,
}

/// The keys and ranges of keys that writes in flight may change, each with the number of these writes.
#[derive(Default)]
struct Changes {
    keys: BTreeMap<Arc<[u8]>, usize>,
    ranges: BTreeMap<Range, usize>,
    /// The keys of large writes, of which few are in flight at a time.
    large: Vec<Arc<Keys>>,
}

/// A range of encoded keys, the end not included.
type Range = (Arc<[u8]>, Arc<[u8]>);

/// Marks a write as in flight until dropped.
#[must_use = "the write is no longer in flight once this is dropped"]
pub struct Flight {
    all: Arc<InFlight>,
    keys: SmallVec<[Arc<[u8]>; 1]>,
    ranges: Vec<Range>,
    large: Option<Arc<Keys>>,
}

/// The number of mutations from which the keys of a write are kept separately: adding each of them to [`Changes::keys`] takes a
/// considerable part of the time of the write.
const LARGE: usize = 16;

/// Sorted keys.
struct Keys {
    /// The concatenated keys.
    bytes: Vec<u8>,
    /// Start and end of each key, sorted by key.
    bounds: Vec<(u32, u32)>,
}

impl Keys {
    fn of<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut bytes, mut bounds) = (Vec::new(), Vec::new());
        for key in keys {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(key);
            bounds.push((start, bytes.len() as u32));
        }
        let key = |(start, end): (u32, u32)| &bytes[start as usize..end as usize];
        bounds.sort_unstable_by(|one, other| key(*one).cmp(key(*other)));
        Self { bytes, bounds }
    }

    /// Returns the first key that is not less than `least`.
    fn first_from(&self, least: &[u8]) -> Option<&[u8]> {
        let key = |(start, end): (u32, u32)| &self.bytes[start as usize..end as usize];
        let i = self.bounds.partition_point(|bounds| key(*bounds) < least);
        self.bounds.get(i).map(|bounds| key(*bounds))
    }
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InFlight").field("count", &self.count).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

impl InFlight {
    /// Registers an atomic write.
    pub fn write(self: &Arc<Self>, write: &AtomicWrite) -> Flight {
        let is_versionstamped =
            |mutation: &&Mutation| matches!(mutation.kind, MutationKind::Set { versionstamped: true, .. });
        let others = write.mutations.iter().filter(|mutation| !is_versionstamped(mutation));
        let keys = others.map(|mutation| mutation.key.as_bytes());
        let ranges = write.mutations.iter().filter(is_versionstamped).map(|mutation| {
            // The versionstamp, which is appended to the key as a string, is not known yet.
            let [start, end] = [STRING, STRING + 1].map(|next| [mutation.key.as_bytes(), &[next]].concat());
            (start.into(), end.into())
        });
        if write.mutations.len() < LARGE {
            self.begin(keys.map(Into::into).collect(), ranges.collect(), None)
        } else {
            self.begin(SmallVec::new(), ranges.collect(), Some(Arc::new(Keys::of(keys))))
        }
    }

    /// Registers a deletion of a range.
    pub fn delete_range(self: &Arc<Self>, start: &[u8], end: &[u8]) -> Flight {
        self.begin(SmallVec::new(), vec![(start.into(), end.into())], None)
    }

    fn begin(self: &Arc<Self>, keys: SmallVec<[Arc<[u8]>; 1]>, ranges: Vec<Range>, large: Option<Arc<Keys>>) -> Flight {
        let mut changes = self.changes.lock();
        for key in &keys {
            *changes.keys.entry(key.clone()).or_default() += 1;
        }
        for range in &ranges {
            *changes.ranges.entry(range.clone()).or_default() += 1;
        }
        changes.large.extend(large.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        Flight { all: self.clone(), keys, ranges, large }
    }

    /// Returns whether a write in flight may change the result of one of `reads`.
    pub fn touches(&self, reads: &[Read<'_>]) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let changes = self.changes.lock();
        reads.iter().any(|read| match read {
            Read::Key(key) => changes.touch_key(key.as_bytes()),
            Read::Range { start, end, .. } => changes.touch_range(start, end),
        })
    }

    /// Returns whether a write in flight may change an entry of a range.
    pub fn touches_range(&self, start: &[u8], end: &[u8]) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.changes.lock().touch_range(start, end)
    }
}

/// The first byte of a string in an encoded key.
const STRING: u8 = 2;

impl Changes {
    fn touch_key(&self, key: &[u8]) -> bool {
        self.keys.contains_key(key)
            || self.ranges.keys().any(|(start, end)| **start <= *key && *key < **end)
            || self.large.iter().any(|keys| keys.first_from(key) == Some(key))
    }

    fn touch_range(&self, start: &[u8], end: &[u8]) -> bool {
        // A caller may pass the bounds in the wrong order: then the range is empty.
        start < end
            && (self.keys.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))).next().is_some()
                || self.ranges.keys().any(|(first, last)| **first < *end && *start < **last)
                || self.large.iter().any(|keys| keys.first_from(start).is_some_and(|key| key < end)))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut changes = self.all.changes.lock();
        for key in self.keys.drain(..) {
            remove(changes.keys.entry(key));
        }
        for range in self.ranges.drain(..) {
            remove(changes.ranges.entry(range));
        }
        if let Some(large) = &self.large {
            changes.large.retain(|keys| !Arc::ptr_eq(keys, large));
        }
        self.all.count.fetch_sub(1, Ordering::AcqRel);
    }
}

fn remove<K: Ord>(entry: Entry<'_, K, usize>) {
    if let Entry::Occupied(mut count) = entry {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, KeyPart, Value};

    fn key(name: &str) -> Key {
        Key::from_parts(&[KeyPart::from(name)]).unwrap()
    }

    #[test]
    fn reads_wait_only_for_writes_that_may_change_them() {
        let all = Arc::new(InFlight::default());
        let write =
            AtomicWrite::new().mutate(Mutation::set(key("b"), Value::U64(1))).mutate(Mutation::delete(key("d")));
        let [a, b, c, e] = ["a", "b", "c", "e"].map(key);
        let range = |start: &[u8], end: &[u8]| all.touches_range(start, end);
        assert!(!all.touches(&[Read::Key(&b)]));

        let [one, two] = [all.write(&write), all.write(&write)];
        assert!(all.touches(&[Read::Key(&a), Read::Key(&b)]));
        assert!(!all.touches(&[Read::Key(&a), Read::Key(&c)]));
        assert!(range(a.as_bytes(), c.as_bytes()) && range(b.as_bytes(), c.as_bytes()));
        assert!(!range(a.as_bytes(), b.as_bytes()) && !range(e.as_bytes(), &[255]));
        assert!(!range(c.as_bytes(), a.as_bytes()), "the end is before the start");
        drop(one);
        assert!(all.touches(&[Read::Key(&b)]));
        drop(two);
        assert!(!all.touches(&[Read::Key(&b)]) && !range(&[], &[255]));
    }

    #[test]
    fn reads_wait_for_the_keys_of_large_writes() {
        let all = Arc::new(InFlight::default());
        let number = |number: usize| Key::from_parts(&[KeyPart::from(number as f64)]).unwrap();
        let sets = (0..100).rev().map(|i| Mutation::set(number(2 * i), Value::U64(1)));
        let write = AtomicWrite { mutations: sets.collect(), ..AtomicWrite::new() };
        let [one, two] = [all.write(&write), all.write(&write)];
        drop(one);
        for i in 0..100 {
            assert!(all.touches(&[Read::Key(&number(2 * i))]) && !all.touches(&[Read::Key(&number(2 * i + 1))]));
        }
        assert!(all.touches_range(number(1).as_bytes(), number(3).as_bytes()));
        assert!(!all.touches_range(number(1).as_bytes(), number(2).as_bytes()));
        assert!(!all.touches_range(number(199).as_bytes(), &[255]));
        drop(two);
        assert!(!all.touches_range(&[], &[255]));
    }

    #[test]
    fn reads_wait_for_deleted_ranges_and_versionstamped_keys() {
        let all = Arc::new(InFlight::default());
        let [a, b, c] = ["a", "b", "c"].map(key);
        let deletion = all.delete_range(a.as_bytes(), b.as_bytes());
        assert!(all.touches(&[Read::Key(&a)]) && !all.touches(&[Read::Key(&b)]));
        assert!(all.touches_range(&[], &[255]) && !all.touches_range(b.as_bytes(), c.as_bytes()));
        drop(deletion);

        let kind = MutationKind::Set { value: Value::U64(1), expire_at: None, versionstamped: true };
        let stamped = all.write(&AtomicWrite::new().mutate(Mutation { key: a.clone(), kind }));
        let versionstamped = Key::from_parts(&["a", "00000000000000010000"].map(KeyPart::from)).unwrap();
        assert!(all.touches(&[Read::Key(&versionstamped)]) && !all.touches(&[Read::Key(&a)]));
        drop(stamped);
        assert_eq!(all.count.load(Ordering::Relaxed), 0);
    }
}

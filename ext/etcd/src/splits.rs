//! The index of split keys, which divide the entries into small ranges.
//!
//! etcd counts a range as a whole, and sorts it as a whole to read it backwards, whatever the limit. A read with a limit therefore
//! requests only as much of its range as is likely to hold enough entries. The keys are hints: outdated ones only make reads slower.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::client::{Client, proto};
use crate::error::Failure;
use crate::layout::{Keys, Part, SPLIT_EVERY};

/// The split keys that are known.
#[derive(Default)]
pub(crate) struct Splits {
    /// `None` until they are read.
    keys: Mutex<Option<BTreeSet<Vec<u8>>>>,
    loading: tokio::sync::Mutex<()>,
    is_refreshing: AtomicBool,
}

/// The number of split keys to read at a time.
const PAGE: i64 = 10_000;

/// The number of entries in a range from which further split keys are expected.
const CROWDED: u64 = 16 * SPLIT_EVERY;

impl Splits {
    /// Reads all split keys, unless they are known.
    pub async fn load(&self, client: &Client, keys: &Keys) -> Result<(), Failure> {
        if self.keys.lock().is_some() {
            return Ok(());
        }
        let _loading = self.loading.lock().await;
        if self.keys.lock().is_none() {
            let (start, end) = keys.part(Part::Splits);
            let found = fetch(client, keys, start, end).await?;
            *self.keys.lock() = Some(found);
        }
        Ok(())
    }

    /// Applies the changes of a commit.
    pub fn apply(&self, changes: &[(Vec<u8>, bool)]) {
        if changes.is_empty() {
            return;
        }
        if let Some(keys) = &mut *self.keys.lock() {
            for (key, exists) in changes {
                if *exists {
                    keys.insert(key.clone());
                } else {
                    keys.remove(key);
                }
            }
        }
    }

    /// Returns the part at the start of a range, or at its end with `reverse`, that is likely to hold `limit` entries.
    pub fn part(&self, start: &[u8], end: &[u8], limit: usize, reverse: bool) -> (Vec<u8>, Vec<u8>) {
        let skipped = limit / SPLIT_EVERY as usize + 1;
        let keys = self.keys.lock();
        let inside = keys.as_ref().map(|keys| {
            let mut inside = keys.range::<[u8], _>((Bound::Excluded(start), Bound::Excluded(end)));
            if reverse { inside.nth_back(skipped) } else { inside.nth(skipped) }
        });
        match inside.flatten() {
            Some(split) if reverse => (split.clone(), end.to_vec()),
            Some(split) => (start.to_vec(), split.clone()),
            None => (start.to_vec(), end.to_vec()),
        }
    }

    /// Returns whether to call [`Splits::refresh`] for a range with a number of entries, of which `limit` were requested.
    pub fn is_crowded(&self, count: u64, limit: usize) -> bool {
        count > CROWDED + 4 * limit as u64 && !self.is_refreshing.swap(true, Ordering::Relaxed)
    }

    /// Reads the split keys of a range, which other processes may have added.
    pub async fn refresh(&self, client: &Client, keys: &Keys, start: &[u8], end: &[u8]) {
        let [first, last] = [start, end].map(|key| keys.key(Part::Splits, key));
        if let Ok(found) = fetch(client, keys, first, last).await
            && let Some(known) = &mut *self.keys.lock()
        {
            let outdated = known.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end)));
            let outdated: Vec<_> = outdated.filter(|key| !found.contains(*key)).cloned().collect();
            known.retain(|key| !outdated.contains(key));
            known.extend(found);
        }
        self.is_refreshing.store(false, Ordering::Relaxed);
    }
}

async fn fetch(client: &Client, keys: &Keys, mut start: Vec<u8>, end: Vec<u8>) -> Result<BTreeSet<Vec<u8>>, Failure> {
    let mut found = BTreeSet::new();
    loop {
        let request = proto::RangeRequest {
            limit: PAGE,
            keys_only: true,
            serializable: true,
            ..proto::range(start, end.clone())
        };
        let page = client.range(request).await?;
        found.extend(page.kvs.iter().map(|kv| keys.rest(&kv.key).to_vec()));
        match page.kvs.last() {
            Some(last) if page.more => start = [&last.key[..], &[0]].concat(),
            _ => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_a_range_ends_at_a_split_key() {
        let splits = Splits::default();
        assert_eq!(splits.part(b"a", b"z", 1, false), (b"a".to_vec(), b"z".to_vec()));
        *splits.keys.lock() = Some(BTreeSet::new());
        splits.apply(&[(b"c".to_vec(), true), (b"e".to_vec(), true), (b"g".to_vec(), true), (b"i".to_vec(), true)]);
        splits.apply(&[(b"e".to_vec(), false)]);
        assert_eq!(splits.part(b"a", b"z", 1, false), (b"a".to_vec(), b"g".to_vec()));
        assert_eq!(splits.part(b"a", b"z", 1, true), (b"g".to_vec(), b"z".to_vec()));
        assert_eq!(splits.part(b"a", b"z", 200, false), (b"a".to_vec(), b"i".to_vec()));
        assert_eq!(splits.part(b"a", b"z", 2000, false), (b"a".to_vec(), b"z".to_vec()));
        assert_eq!(splits.part(b"g", b"i", 1, true), (b"g".to_vec(), b"i".to_vec()));
    }

    #[test]
    fn one_refresh_runs_at_a_time() {
        let splits = Splits::default();
        assert!(!splits.is_crowded(100, 10));
        assert!(splits.is_crowded(1_000_000, 10));
        assert!(!splits.is_crowded(1_000_000, 10));
    }
}

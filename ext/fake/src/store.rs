use std::collections::{BTreeMap, BTreeSet};

use openkv_engine::{
    AtomicWrite, Commit, CommitId, Entry, Expiry, Key, MutationKind, Read, ReadEntry, Result, Value, Versionstamp,
};

/// A read of a range of encoded keys.
pub(crate) struct Range {
    start: Vec<u8>,
    end: Vec<u8>,
    limit: usize,
    reverse: bool,
    values: bool,
}

impl From<&Read<'_>> for Range {
    fn from(read: &Read<'_>) -> Self {
        match *read {
            Read::Key(key) => Self::of_key(key),
            Read::Range { start, end, limit, reverse, values } => {
                Self { start: start.to_vec(), end: end.to_vec(), limit: limit as usize, reverse, values }
            }
        }
    }
}

impl Range {
    fn of_key(key: &Key) -> Self {
        let start = key.as_bytes().to_vec();
        let end = [&start[..], &[0]].concat();
        Self { start, end, limit: 1, reverse: false, values: true }
    }
}

#[derive(Clone)]
struct Stored {
    value: Value,
    versionstamp: Versionstamp,
    /// When the value expires, in milliseconds since the Unix epoch.
    expire_at: Option<u64>,
}

impl Stored {
    fn is_live(&self, now: u64) -> bool {
        self.expire_at.is_none_or(|time| time > now)
    }
}

/// The keys changed by an operation, in encoded form.
pub(crate) type Touched = BTreeSet<Vec<u8>>;

/// What becomes of keys: none for those that are deleted.
type Changes = BTreeMap<Vec<u8>, Option<Stored>>;

/// Entries in memory.
#[derive(Default)]
pub(crate) struct Store {
    entries: BTreeMap<Vec<u8>, Stored>,
    /// The version of the last commit.
    version: u64,
    /// The expiry times of keys. May contain outdated ones of keys that were written again.
    expiries: BTreeSet<(u64, Vec<u8>)>,
    /// What was committed under which id, and when.
    commit_ids: BTreeMap<CommitId, (Versionstamp, u64)>,
}

impl Store {
    /// Reads in one snapshot, up to `max_bytes` of values.
    pub fn read(&self, ranges: &[Range], max_bytes: usize, now: u64) -> Vec<Vec<ReadEntry>> {
        let mut bytes = 0;
        let mut lists = Vec::new();
        for range in ranges {
            let mut list = Vec::new();
            for (key, stored) in self.range(range, now).take(range.limit) {
                if bytes >= max_bytes {
                    break;
                }
                let value = range.values.then(|| stored.value.clone());
                bytes += value.as_ref().map_or(0, Value::len);
                list.push(ReadEntry { key: Key::from_encoded(key.clone()), value, versionstamp: stored.versionstamp });
            }
            lists.push(list);
        }
        lists
    }

    /// Returns the entries of keys, in the form of a watch event.
    pub fn entries(&self, keys: &[Key], now: u64) -> Vec<Option<Entry>> {
        let ranges: Vec<_> = keys.iter().map(Range::of_key).collect();
        self.read(&ranges, usize::MAX, now).into_iter().map(|list| list.into_iter().next()?.into_entry()).collect()
    }

    /// Returns when the entries of keys expire.
    pub fn expiries(&self, keys: &[Key], now: u64) -> Vec<Option<Expiry>> {
        let expiry = |key: &Key| {
            let stored = self.live(key.as_bytes(), now)?;
            Some(Expiry { versionstamp: stored.versionstamp, expires_at: stored.expire_at })
        };
        keys.iter().map(expiry).collect()
    }

    fn range(&self, range: &Range, now: u64) -> Box<dyn Iterator<Item = (&Vec<u8>, &Stored)> + '_> {
        if range.start >= range.end {
            return Box::new(std::iter::empty());
        }
        let entries = self.entries.range(range.start.clone()..range.end.clone());
        let live = entries.filter(move |(_, stored)| stored.is_live(now));
        if range.reverse { Box::new(live.rev()) } else { Box::new(live) }
    }

    /// Returns the result of an earlier commit with the id of a write.
    pub fn committed(&self, write: &AtomicWrite) -> Option<Commit> {
        let (versionstamp, _) = self.commit_ids.get(&write.id?)?;
        Some(Commit::Done(*versionstamp))
    }

    /// Commits a write. Also returns the keys that it changed.
    ///
    /// # Errors
    /// A mutation is not possible with the stored value: nothing is written.
    pub fn write(&mut self, write: &AtomicWrite, now: u64) -> Result<(Commit, Touched)> {
        let holds = |check: &openkv_engine::Check| {
            let stored = self.live(check.key.as_bytes(), now).map(|stored| stored.versionstamp);
            stored == check.versionstamp
        };
        let failed: Vec<_> = (0..write.checks.len()).filter(|i| !holds(&write.checks[*i])).collect();
        if !failed.is_empty() {
            return Ok((Commit::Conflict { failed }, Touched::new()));
        }
        let versionstamp = Versionstamp::from_version(self.version + 1);
        let changes = self.changes(write, versionstamp, now)?;
        self.version += 1;
        if let Some(id) = write.id {
            self.commit_ids.retain(|_, (_, at)| now.saturating_sub(*at) <= CommitId::REMEMBERED);
            self.commit_ids.insert(id, (versionstamp, now));
        }
        let touched = changes.keys().cloned().collect();
        changes.into_iter().for_each(|(key, stored)| self.put(key, stored));
        Ok((Commit::Done(versionstamp), touched))
    }

    /// Returns the changes of a write by key, with `None` for a deletion.
    fn changes(&self, write: &AtomicWrite, versionstamp: Versionstamp, now: u64) -> Result<Changes> {
        let mut changes = Changes::new();
        for mutation in &write.mutations {
            let mut key = mutation.key.clone();
            let stored = match &mutation.kind {
                MutationKind::Set { value, expire_at, versionstamped } => {
                    if *versionstamped {
                        key.push_string(&versionstamp.to_string());
                    }
                    Some(Stored {
                        value: value.clone(),
                        versionstamp,
                        expire_at: expire_at.map(|time| time.millis(now)),
                    })
                }
                MutationKind::Delete => None,
                MutationKind::Combine { operand, value } => {
                    let before = self.before(&changes, &key, now);
                    let value = operand.apply(before.map(|stored| stored.value.as_ref()), value)?;
                    Some(Stored { value, versionstamp, expire_at: before.and_then(|stored| stored.expire_at) })
                }
                MutationKind::BoundedSum { value, bounds } => {
                    let before = self.before(&changes, &key, now);
                    let value = bounds.sum(before.map(|stored| stored.value.as_ref()), value)?;
                    Some(Stored { value, versionstamp, expire_at: before.and_then(|stored| stored.expire_at) })
                }
            };
            changes.insert(key.into_bytes(), stored);
        }
        Ok(changes)
    }

    /// Returns what a mutation of a key finds after those before it.
    fn before<'a>(&'a self, changes: &'a Changes, key: &Key, now: u64) -> Option<&'a Stored> {
        match changes.get(key.as_bytes()) {
            Some(change) => change.as_ref().filter(|stored| stored.is_live(now)),
            None => self.live(key.as_bytes(), now),
        }
    }

    fn live(&self, key: &[u8], now: u64) -> Option<&Stored> {
        self.entries.get(key).filter(|stored| stored.is_live(now))
    }

    fn put(&mut self, key: Vec<u8>, stored: Option<Stored>) {
        match stored {
            None => {
                self.entries.remove(&key);
            }
            Some(stored) => {
                self.expiries.extend(stored.expire_at.map(|time| (time, key.clone())));
                self.entries.insert(key, stored);
            }
        }
    }

    /// Returns when the next value may expire.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|(time, _)| *time)
    }

    /// Removes expired values. Returns their keys.
    pub fn sweep(&mut self, now: u64) -> Touched {
        let mut touched = Touched::new();
        while self.next_expiry().is_some_and(|time| time <= now)
            && let Some((_, key)) = self.expiries.pop_first()
        {
            if self.entries.get(&key).is_some_and(|stored| !stored.is_live(now)) {
                self.entries.remove(&key);
                touched.insert(key);
            }
        }
        touched
    }
}

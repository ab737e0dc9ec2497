//! What a group of writes knows of the stored keys, and the changes that it makes: the writes are evaluated one after the other, in
//! memory. The transaction that commits the group compares everything that was known.

use std::collections::{BTreeMap, BTreeSet};

use openkv_engine::{Key, Result, Versionstamp};

use crate::client::proto::{self, Compare, CompareResult, KeyValue, RequestOp};
use crate::layout::{self, Keys, Part, Stored};

/// What is known of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    /// It was read. A missing key has revision 0.
    Read { revision: i64, value: Vec<u8> },
    /// It is assumed not to exist.
    Absent,
    /// It is assumed to be live, with a revision and index.
    Live { revision: i64, index: u16 },
}

impl Known {
    /// Returns what is known of a key that was read.
    pub fn of(found: Option<KeyValue>) -> Self {
        found.map_or(Self::Read { revision: 0, value: Vec::new() }, |kv| Self::Read {
            revision: kv.mod_revision,
            value: kv.value,
        })
    }
}

/// A change of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Put { value: Vec<u8>, lease: i64 },
    Delete,
}

/// The knowledge and the changes of a group of writes.
pub(crate) struct View<'k> {
    pub keys: &'k Keys,
    /// The time of the evaluation, in milliseconds since the Unix epoch.
    pub now: u64,
    /// What is added to revisions.
    base: u64,
    /// The version of the group, if it was determined before the commit.
    version: Option<u64>,
    /// The lease of commit ids.
    pub id_lease: i64,
    /// The index of the write that is evaluated.
    pub index: u16,
    known: BTreeMap<Vec<u8>, Known>,
    /// The keys that must be read.
    needed: BTreeSet<Vec<u8>>,
    /// Changed entries by their keys in the database, with `None` for deleted ones.
    entries: BTreeMap<Vec<u8>, Option<Stored>>,
    /// Other changes.
    changes: BTreeMap<Vec<u8>, Change>,
}

/// What a write finds under a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// The key must be read first.
    Unknown,
    /// The live entry, if any. An entry that an earlier write of the group stores has no versionstamp yet.
    Entry(Option<(Stored, Option<Versionstamp>)>),
}

impl<'k> View<'k> {
    pub fn new(keys: &'k Keys, now: u64, base: u64, version: Option<u64>, known: BTreeMap<Vec<u8>, Known>) -> Self {
        Self {
            keys,
            now,
            base,
            version,
            id_lease: 0,
            index: 0,
            known,
            needed: BTreeSet::new(),
            entries: BTreeMap::new(),
            changes: BTreeMap::new(),
        }
    }

    /// Returns the versionstamp of the write that is evaluated, if it was determined before the commit.
    pub fn own_versionstamp(&self) -> Option<Versionstamp> {
        self.version.map(|version| layout::versionstamp(0, version, self.index))
    }

    /// Returns what is added to revisions.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Returns the live entry of a key.
    ///
    /// # Errors
    /// The stored entry is corrupt.
    pub fn entry(&mut self, key: &[u8]) -> Result<Found> {
        if let Some(entry) = self.entries.get(key) {
            let live = entry.as_ref().filter(|stored| stored.is_live(self.now));
            return Ok(Found::Entry(live.map(|stored| (stored.clone(), None))));
        }
        let raw = self.keys.entry(key);
        match self.known.get(&raw) {
            None | Some(Known::Live { .. }) => {
                self.needed.insert(raw);
                Ok(Found::Unknown)
            }
            Some(Known::Absent | Known::Read { revision: 0, .. }) => Ok(Found::Entry(None)),
            Some(Known::Read { revision, value }) => {
                let stored = Stored::decode(value)?;
                let versionstamp = stored.versionstamp(*revision, self.base);
                Ok(Found::Entry(stored.is_live(self.now).then_some((stored, Some(versionstamp)))))
            }
        }
    }

    /// Returns whether a check holds, or `None` if the key must be read first. Assumes that it holds if nothing is known.
    ///
    /// # Errors
    /// The stored entry is corrupt.
    pub fn check(&mut self, key: &Key, versionstamp: Option<Versionstamp>) -> Result<Option<bool>> {
        let raw = self.keys.entry(key.as_bytes());
        if !self.entries.contains_key(key.as_bytes()) {
            let assumed = match versionstamp.map(|versionstamp| layout::revision(versionstamp, self.base)) {
                None => Some(Known::Absent),
                Some(assumed) => assumed.map(|(revision, index)| Known::Live { revision, index }),
            };
            if let Some(assumed) = assumed
                && *self.known.entry(raw).or_insert_with(|| assumed.clone()) == assumed
            {
                return Ok(Some(true));
            }
        }
        Ok(match self.entry(key.as_bytes())? {
            Found::Unknown => None,
            Found::Entry(None) => Some(versionstamp.is_none()),
            Found::Entry(Some((_, found))) => Some(versionstamp.is_some() && found == versionstamp),
        })
    }

    /// Changes an entry.
    pub fn set_entry(&mut self, key: Vec<u8>, stored: Option<Stored>) {
        self.entries.insert(key, stored);
    }

    /// Returns the revision and value of a key that is not an entry, or `None` if it must be read first. A missing key has
    /// revision 0.
    pub fn raw(&mut self, key: &[u8]) -> Option<(i64, Vec<u8>)> {
        match self.known.get(key) {
            Some(Known::Read { revision, value }) => Some((*revision, value.clone())),
            Some(Known::Absent) => Some((0, Vec::new())),
            Some(Known::Live { .. }) | None => {
                self.needed.insert(key.to_vec());
                None
            }
        }
    }

    /// Assumes that a key has a revision and a value, if nothing is known of it.
    pub fn assume(&mut self, key: Vec<u8>, revision: i64, value: &[u8]) {
        self.known.entry(key).or_insert_with(|| Known::Read { revision, value: value.to_vec() });
    }

    /// Returns the revision and value of a key like [`View::raw`], and assumes that it does not exist if nothing is known.
    pub fn raw_or_absent(&mut self, key: &[u8]) -> Option<(i64, Vec<u8>)> {
        self.known.entry(key.to_vec()).or_insert(Known::Absent);
        self.raw(key)
    }

    /// Changes a key that is not an entry.
    pub fn change(&mut self, key: Vec<u8>, change: Change) {
        self.changes.insert(key, change);
    }

    /// Returns the keys to read before the writes can be evaluated, with those that are known, so that all are of one snapshot.
    /// With `verify`, keys of assumptions are read, too.
    pub fn to_read(&self, verify: bool) -> Option<Vec<Vec<u8>>> {
        let is_assumed = |known: &Known| !matches!(known, Known::Read { .. });
        let must_read = !self.needed.is_empty() || verify && self.known.values().any(is_assumed);
        must_read.then(|| self.known.keys().chain(&self.needed).cloned().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Returns what is known, and the changes as operations. With `is_exclusive`, entries are not compared: no other process can
    /// have changed them since they were read.
    pub fn finish(self, is_exclusive: bool) -> Plan {
        let mut plan = Plan { changes_entries: !self.entries.is_empty(), ..Plan::default() };
        for (key, stored) in self.entries {
            let is_split = layout::is_split(&key);
            match stored {
                Some(mut stored) => {
                    if let Some(version) = self.version {
                        stored.versionstamp = Some(layout::versionstamp(0, version, stored.index));
                    }
                    if let Some(time) = stored.expire_at {
                        plan.operations.push(proto::put(self.keys.expiry(time, &key), Vec::new(), 0));
                    }
                    plan.operations.push(proto::put(self.keys.entry(&key), stored.encode(), 0));
                    if is_split {
                        plan.operations.push(proto::put(self.keys.key(Part::Splits, &key), Vec::new(), 0));
                        plan.splits.push((key, true));
                    }
                }
                None => {
                    plan.operations.push(proto::delete(self.keys.entry(&key), Vec::new()));
                    if is_split {
                        plan.operations.push(proto::delete(self.keys.key(Part::Splits, &key), Vec::new()));
                        plan.splits.push((key, false));
                    }
                }
            }
        }
        for (key, change) in self.changes {
            plan.operations.push(match change {
                Change::Put { value, lease } => proto::put(key, value, lease),
                Change::Delete => proto::delete(key, Vec::new()),
            });
        }
        let (entries, _) = self.keys.part(Part::Entries);
        for (key, known) in self.known.iter().filter(|(key, _)| !(is_exclusive && key.starts_with(&entries))) {
            plan.compares.extend(compares(key, known, self.now));
        }
        plan.reads = self.known.into_keys().collect();
        plan
    }
}

/// A transaction that commits a group of writes.
#[derive(Default)]
pub(crate) struct Plan {
    pub compares: Vec<Compare>,
    pub operations: Vec<RequestOp>,
    /// The keys to read if a comparison fails.
    pub reads: Vec<Vec<u8>>,
    pub changes_entries: bool,
    /// The changes of the index of split keys: those that exist afterwards, and those that do not.
    pub splits: Vec<(Vec<u8>, bool)>,
}

/// Returns the comparisons that fail if a key is not as it is known.
fn compares(key: &[u8], known: &Known, now: u64) -> Vec<Compare> {
    let key = key.to_vec();
    match *known {
        Known::Absent => vec![proto::unchanged_since(key, 0)],
        Known::Read { revision, .. } => vec![proto::unchanged_since(key, revision)],
        Known::Live { revision, index } => {
            let live = proto::compare_value(key.clone(), CompareResult::Greater, layout::live_from(index, now));
            let same_index = index
                .checked_add(1)
                .map(|next| proto::compare_value(key.clone(), CompareResult::Less, next.to_be_bytes().to_vec()));
            let unchanged = proto::unchanged_since(key, revision);
            [unchanged, live].into_iter().chain(same_index).collect()
        }
    }
}

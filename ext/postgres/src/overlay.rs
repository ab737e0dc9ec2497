//! Applies the writes of a batch, in order, to the stored entries that they depend on.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use openkv_engine::{AtomicWrite, Commit, CommitId, Enqueue, Key, Mutation, MutationKind, Result, Value, Versionstamp};

use crate::row::{self, millis};

/// A stored entry.
pub(crate) struct Stored {
    pub version: i64,
    pub expires_at: Option<i64>,
    /// `None` if only the version was read, for a check.
    pub value: Option<Value>,
}

/// A new entry.
#[derive(Clone)]
pub(crate) struct New<'w> {
    pub value: Cow<'w, Value>,
    pub version: i64,
    pub expires_at: Option<i64>,
}

/// What becomes of keys: `None` for those that are deleted.
type Changes<'w> = BTreeMap<Cow<'w, [u8]>, Option<New<'w>>>;

/// The effect of the writes so far.
pub(crate) struct Overlay<'w> {
    /// The time of the transaction.
    now: i64,
    stored: HashMap<Vec<u8>, Stored>,
    /// The ids of earlier commits, and of writes so far.
    ids: HashMap<CommitId, i64>,
    /// The last version.
    pub version: i64,
    pub changes: Changes<'w>,
    pub new_ids: Vec<(CommitId, i64)>,
    pub enqueues: Vec<&'w Enqueue>,
    /// Whether a result is that of an earlier commit.
    pub has_repeated: bool,
}

impl<'w> Overlay<'w> {
    /// Returns an overlay without writes. Versions after `version` are free.
    pub fn new(now: i64, version: i64, stored: HashMap<Vec<u8>, Stored>, ids: HashMap<CommitId, i64>) -> Self {
        let (changes, new_ids, enqueues) = (Changes::new(), Vec::new(), Vec::new());
        Self { now, stored, ids, version, changes, new_ids, enqueues, has_repeated: false }
    }

    /// Applies a write.
    ///
    /// # Errors
    /// A mutation is not possible with the stored value: the write has no effect.
    pub fn apply(&mut self, write: &'w AtomicWrite) -> Result<Commit> {
        if let Some(version) = write.id.and_then(|id| self.ids.get(&id)) {
            self.has_repeated = true;
            return Ok(Commit::Done(row::versionstamp(*version)));
        }
        let holds = |check: &openkv_engine::Check| self.version_of(&check.key) == check.versionstamp;
        let failed: Vec<_> = (0..write.checks.len()).filter(|i| !holds(&write.checks[*i])).collect();
        if !failed.is_empty() {
            return Ok(Commit::Conflict { failed });
        }
        let version = self.version + 1;
        let mut changes = Changes::new();
        for Mutation { key, kind } in &write.mutations {
            let mut changed = Cow::Borrowed(key.as_bytes());
            let change = match kind {
                MutationKind::Set { value, expire_at, versionstamped } => {
                    if *versionstamped {
                        let mut key = key.clone();
                        key.push_string(&row::versionstamp(version).to_string());
                        changed = Cow::Owned(key.into_bytes());
                    }
                    // All times of a write that a backend receives are absolute.
                    let expires_at = expire_at.map(|time| millis(time.millis(0)));
                    Some(New { value: Cow::Borrowed(value), version, expires_at })
                }
                MutationKind::Delete => None,
                MutationKind::Combine { operand, value } => {
                    let (before, expires_at) = self.before(&changes, key);
                    let value = operand.apply(before.map(Value::as_ref), value)?;
                    Some(New { value: Cow::Owned(value), version, expires_at })
                }
                MutationKind::BoundedSum { value, bounds } => {
                    let (before, expires_at) = self.before(&changes, key);
                    let value = bounds.sum(before.map(Value::as_ref), value)?;
                    Some(New { value: Cow::Owned(value), version, expires_at })
                }
            };
            changes.insert(changed, change);
        }
        self.version = version;
        self.changes.extend(changes);
        self.enqueues.extend(&write.enqueues);
        if let Some(id) = write.id {
            self.ids.insert(id, version);
            self.new_ids.push((id, version));
        }
        Ok(Commit::Done(row::versionstamp(version)))
    }

    /// Returns whether all changes are of entries that are stored.
    pub fn only_puts(&self) -> bool {
        self.new_ids.is_empty() && self.enqueues.is_empty() && self.changes.values().all(Option::is_some)
    }

    fn is_live(&self, expires_at: Option<i64>) -> bool {
        expires_at.is_none_or(|time| time > self.now)
    }

    fn version_of(&self, key: &Key) -> Option<Versionstamp> {
        let (version, expires_at) = match self.changes.get(key.as_bytes()) {
            Some(change) => change.as_ref().map(|new| (new.version, new.expires_at))?,
            None => self.stored.get(key.as_bytes()).map(|stored| (stored.version, stored.expires_at))?,
        };
        self.is_live(expires_at).then(|| row::versionstamp(version))
    }

    /// Returns the value and the expiry that a mutation finds after those before it.
    fn before<'s>(&'s self, changes: &'s Changes<'w>, key: &Key) -> (Option<&'s Value>, Option<i64>) {
        let (value, expires_at) = match changes.get(key.as_bytes()).or_else(|| self.changes.get(key.as_bytes())) {
            Some(None) => (None, None),
            Some(Some(new)) => (Some(&*new.value), new.expires_at),
            None => match self.stored.get(key.as_bytes()) {
                Some(stored) => (stored.value.as_ref(), stored.expires_at),
                None => (None, None),
            },
        };
        if self.is_live(expires_at) { (value, expires_at) } else { (None, None) }
    }
}

/// Returns whether a write has the same effect whatever is stored, up to its version.
pub(crate) fn is_independent(write: &AtomicWrite) -> bool {
    let is_independent = |mutation: &Mutation| match &mutation.kind {
        MutationKind::Set { versionstamped, .. } => !versionstamped,
        MutationKind::Delete => true,
        MutationKind::Combine { .. } | MutationKind::BoundedSum { .. } => false,
    };
    write.id.is_none() && write.checks.is_empty() && write.mutations.iter().all(is_independent)
}

/// Returns the keys whose versions the writes check.
pub(crate) fn checked<'w>(writes: impl Iterator<Item = &'w AtomicWrite>) -> Vec<&'w [u8]> {
    writes.flat_map(|write| &write.checks).map(|check| check.key.as_bytes()).collect()
}

/// Returns the keys whose values the writes combine.
pub(crate) fn combined<'w>(writes: impl Iterator<Item = &'w AtomicWrite>) -> Vec<&'w [u8]> {
    let combines =
        |mutation: &&Mutation| matches!(mutation.kind, MutationKind::Combine { .. } | MutationKind::BoundedSum { .. });
    writes.flat_map(|write| &write.mutations).filter(combines).map(|mutation| mutation.key.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use openkv_engine::{Check, Time};

    use super::*;

    fn key(name: &str) -> Key {
        Key::from([name])
    }

    fn stored(entries: &[(&str, u64, Option<i64>)]) -> HashMap<Vec<u8>, Stored> {
        let entries = entries.iter().map(|(name, number, expires_at)| {
            let stored = Stored { version: 5, expires_at: *expires_at, value: Some(Value::U64(*number)) };
            (key(name).into_bytes(), stored)
        });
        entries.collect()
    }

    fn number(overlay: &Overlay<'_>, name: &str) -> Option<u64> {
        match &*overlay.changes[key(name).as_bytes()].as_ref()?.value {
            Value::U64(number) => Some(*number),
            value => panic!("{value:?}"),
        }
    }

    #[test]
    fn writes_see_those_before_them() {
        let check = |version| Check { key: key("a"), versionstamp: Some(row::versionstamp(version)) };
        let sum = AtomicWrite::new().check(check(5)).mutate(Mutation::sum(key("a"), 1));
        let outdated = sum.clone();
        let next = AtomicWrite::new().check(check(8)).mutate(Mutation::sum(key("a"), 2));
        let deletion = AtomicWrite::new().mutate(Mutation::delete(key("a"))).mutate(Mutation::sum(key("a"), 4));
        let mut overlay = Overlay::new(100, 7, stored(&[("a", 10, None)]), HashMap::new());
        assert_eq!(overlay.apply(&sum).unwrap(), Commit::Done(row::versionstamp(8)));
        assert_eq!(overlay.apply(&outdated).unwrap(), Commit::Conflict { failed: vec![0] });
        assert_eq!(overlay.apply(&next).unwrap(), Commit::Done(row::versionstamp(9)));
        assert_eq!(number(&overlay, "a"), Some(13));
        assert_eq!(overlay.apply(&deletion).unwrap(), Commit::Done(row::versionstamp(10)));
        assert_eq!(number(&overlay, "a"), Some(4));
    }

    #[test]
    fn failed_write_has_no_effect() {
        let text = Value::V8(b"\xff\x0f\"\x01a".to_vec());
        let set = AtomicWrite::new().mutate(Mutation::set(key("b"), text));
        let failing = AtomicWrite::new().mutate(Mutation::sum(key("a"), 1)).mutate(Mutation::sum(key("b"), 1));
        let mut overlay = Overlay::new(100, 0, HashMap::new(), HashMap::new());
        assert!(overlay.apply(&set).is_ok());
        assert!(overlay.apply(&failing).is_err());
        assert_eq!((overlay.version, overlay.changes.len()), (1, 1));
    }

    #[test]
    fn expired_entries_are_absent_and_live_ones_keep_their_expiry() {
        let stored = stored(&[("old", 10, Some(100)), ("new", 10, Some(101))]);
        let write = AtomicWrite::new()
            .check(Check::absent(key("old")))
            .mutate(Mutation::sum(key("old"), 1))
            .mutate(Mutation::max(key("new"), 20));
        let mut overlay = Overlay::new(100, 0, stored, HashMap::new());
        assert!(matches!(overlay.apply(&write).unwrap(), Commit::Done(_)));
        assert_eq!((number(&overlay, "old"), number(&overlay, "new")), (Some(1), Some(20)));
        let expiry = |name: &str| overlay.changes[key(name).as_bytes()].as_ref().unwrap().expires_at;
        assert_eq!((expiry("old"), expiry("new")), (None, Some(101)));
    }

    #[test]
    fn write_with_a_known_id_is_not_repeated() {
        let [known, new] = [CommitId([1; 16]), CommitId([2; 16])];
        let sum = |id| AtomicWrite::new().mutate(Mutation::sum(key("a"), 1)).id(id);
        let writes = [sum(known), sum(new), sum(new)];
        let mut overlay = Overlay::new(100, 7, HashMap::new(), HashMap::from([(known, 3)]));
        let results: Vec<_> = writes.iter().map(|write| overlay.apply(write).unwrap().versionstamp()).collect();
        assert_eq!(results, [3, 8, 8].map(|version| Some(row::versionstamp(version))));
        assert_eq!((overlay.new_ids.len(), number(&overlay, "a")), (1, Some(1)));
    }

    #[test]
    fn versionstamped_key_has_the_version_of_its_commit() {
        let kind =
            MutationKind::Set { value: Value::U64(1), expire_at: Some(Time::At(u64::MAX)), versionstamped: true };
        let write = AtomicWrite::new().mutate(Mutation { key: key("a"), kind });
        let mut overlay = Overlay::new(100, 0xfe, HashMap::new(), HashMap::new());
        assert!(overlay.apply(&write).is_ok());
        let (key, new) = overlay.changes.first_key_value().unwrap();
        assert_eq!(Key::from_encoded(key.to_vec()), Key::from(["a", "00000000000000ff0000"]));
        assert_eq!(new.as_ref().unwrap().expires_at, Some(i64::MAX));
    }
}

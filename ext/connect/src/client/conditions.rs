use std::sync::Arc;

use openkv_engine::{AtomicWrite, Flight, InFlight, Key, Mutation, MutationKind, Operand, Read, Value};

/// What the writes of a batch that may be rejected check and change.
#[derive(Default)]
pub(crate) struct Conditions {
    checked: Vec<Key>,
    changed: Vec<Key>,
    summed: Vec<Key>,
    /// Tracks what `changed` names, with what the versionstamped keys may become.
    changes: Arc<InFlight>,
    flights: Vec<Flight>,
}

impl Conditions {
    /// Adds a write, if it may be rejected.
    pub fn add(&mut self, write: &AtomicWrite) {
        let is_unconditional = |mutation: &Mutation| match mutation.kind {
            MutationKind::Set { .. } | MutationKind::Delete => true,
            MutationKind::Combine { .. } | MutationKind::BoundedSum { .. } => false,
        };
        if write.checks.is_empty() && write.mutations.iter().all(is_unconditional) {
            return;
        }
        self.checked.extend(write.checks.iter().map(|check| check.key.clone()));
        let changes = changes(write);
        self.changed.extend(changes.mutations.iter().map(|mutation| mutation.key.clone()));
        self.summed.extend(sums(write).cloned());
        self.flights.push(self.changes.write(&changes));
    }

    /// Returns whether a write has the same effect before and after those that were added.
    pub fn commute_with(&self, write: &AtomicWrite) -> bool {
        if self.flights.is_empty() {
            return true;
        }
        let changes = changes(write);
        let checked = || write.checks.iter().map(|check| &check.key);
        let alone = Arc::<InFlight>::default();
        let _flight = alone.write(&changes);
        let ours: Vec<_> = self.checked.iter().chain(&self.changed).chain(&self.summed).map(Read::Key).collect();
        let changed = changes.mutations.iter().map(|mutation| &mutation.key);
        let its: Vec<_> = checked().chain(changed).chain(sums(write)).map(Read::Key).collect();
        !alone.touches(&ours)
            && !self.changes.touches(&its)
            && !sums(write).any(|key| self.checked.contains(key))
            && !checked().any(|key| self.summed.contains(key))
    }
}

/// Returns the keys of the sums of 64-bit integers. Several of one key may be in any order: if one of them is rejected for its
/// entry, all are.
fn sums(write: &AtomicWrite) -> impl Iterator<Item = &Key> {
    write.mutations.iter().filter(|mutation| is_sum(mutation)).map(|mutation| &mutation.key)
}

/// Returns a write that changes the same keys, except for those of [`sums`], and has no values.
fn changes(write: &AtomicWrite) -> AtomicWrite {
    let others = write.mutations.iter().filter(|mutation| !is_sum(mutation));
    let without_value = |mutation: &Mutation| match mutation.kind {
        MutationKind::Set { versionstamped: true, .. } => Mutation {
            key: mutation.key.clone(),
            kind: MutationKind::Set { value: Value::Bytes(Vec::new()), expire_at: None, versionstamped: true },
        },
        _ => Mutation::delete(mutation.key.clone()),
    };
    AtomicWrite { mutations: others.map(without_value).collect(), ..AtomicWrite::new() }
}

fn is_sum(mutation: &Mutation) -> bool {
    matches!(mutation.kind, MutationKind::Combine { operand: Operand::Sum, value: Value::U64(_) })
}

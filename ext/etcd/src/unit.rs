use openkv_engine::{AtomicWrite, Commit, CommitId, Enqueue, MutationKind, Result, Turn, Value, Versionstamp};
use tokio::sync::oneshot;

use crate::layout::{Part, Stored};
use crate::message::Message;
use crate::view::{Change, Found, View};

/// A part of a group that is committed in one transaction.
pub(crate) trait Unit: Send {
    /// Returns the approximate size of its part of the transaction.
    fn size(&self) -> Size;

    /// Returns whether its keys contain the versionstamp of the commit, which must then be determined before.
    fn is_versionstamped(&self) -> bool {
        false
    }

    /// Returns the commit id that it stores.
    fn id(&self) -> Option<CommitId> {
        None
    }

    /// Returns its place in the order of the calls.
    fn turn(&mut self) -> Option<&mut Turn> {
        None
    }

    /// Evaluates the unit after the earlier ones of its group. Called again when more is known.
    fn evaluate(&mut self, view: &mut View<'_>) -> Verdict;

    /// Passes on the result: the versionstamp of the unit, or `None` if it was rejected.
    fn complete(self: Box<Self>, result: Result<Option<Versionstamp>>);
}

/// The size of a part of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub compares: usize,
    pub operations: usize,
    pub bytes: usize,
}

/// The result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Keys must be read first.
    Unknown,
    /// Its changes are to be committed.
    Accepted,
    /// It has no changes.
    Rejected,
}

/// A write.
pub(crate) struct WriteUnit {
    pub turn: Turn,
    pub write: AtomicWrite,
    /// The keys of its messages, the same in each evaluation.
    pub message_ids: Vec<[u8; 16]>,
    pub reply: oneshot::Sender<Result<Commit>>,
    /// The result, if it is rejected.
    pub rejected: Option<Result<Commit>>,
}

impl Unit for WriteUnit {
    fn size(&self) -> Size {
        let AtomicWrite { checks, mutations, enqueues, .. } = &self.write;
        let checked = checks.iter().map(|check| check.key.as_bytes().len());
        let mutated = mutations
            .iter()
            .map(|mutation| mutation.key.as_bytes().len() + mutation.kind.value().map_or(0, Value::len));
        let enqueued = enqueues.iter().map(|enqueue| enqueue.message.len());
        let operations = checks.len() + mutations.len() + enqueues.len();
        let is_combined =
            |kind: &MutationKind| matches!(kind, MutationKind::Combine { .. } | MutationKind::BoundedSum { .. });
        let combined = mutations.iter().filter(|mutation| is_combined(&mutation.kind)).count();
        Size {
            compares: 3 * checks.len() + combined + usize::from(self.write.id.is_some()),
            operations,
            bytes: checked.chain(mutated).chain(enqueued).sum::<usize>() + 64 * operations,
        }
    }

    fn is_versionstamped(&self) -> bool {
        let is_versionstamped = |kind: &MutationKind| matches!(kind, MutationKind::Set { versionstamped: true, .. });
        self.write.mutations.iter().any(|mutation| is_versionstamped(&mutation.kind))
    }

    fn id(&self) -> Option<CommitId> {
        self.write.id
    }

    fn turn(&mut self) -> Option<&mut Turn> {
        Some(&mut self.turn)
    }

    fn evaluate(&mut self, view: &mut View<'_>) -> Verdict {
        self.rejected = None;
        match evaluate(&self.write, &self.message_ids, view) {
            Ok(Evaluated::Unknown) => Verdict::Unknown,
            Ok(Evaluated::Accepted) => Verdict::Accepted,
            Ok(Evaluated::Rejected(commit)) => self.reject(Ok(commit)),
            Err(error) => self.reject(Err(error)),
        }
    }

    fn complete(self: Box<Self>, result: Result<Option<Versionstamp>>) {
        let Self { turn, reply, rejected, .. } = *self;
        // A write is no longer in flight when its future is done. The caller may have dropped it.
        drop(turn);
        let result = match (result, rejected) {
            (Ok(Some(versionstamp)), _) => Ok(Commit::Done(versionstamp)),
            (Ok(None), Some(rejected)) => rejected,
            (Ok(None), None) => Ok(Commit::Conflict { failed: Vec::new() }),
            (Err(error), _) => Err(error),
        };
        let _ = reply.send(result);
    }
}

impl WriteUnit {
    fn reject(&mut self, result: Result<Commit>) -> Verdict {
        self.rejected = Some(result);
        Verdict::Rejected
    }
}

enum Evaluated {
    Unknown,
    Accepted,
    Rejected(Commit),
}

/// Evaluates a write, and adds its changes to the view if it is accepted.
fn evaluate(write: &AtomicWrite, message_ids: &[[u8; 16]], view: &mut View<'_>) -> Result<Evaluated> {
    let mut is_unknown = false;
    let id = write.id.map(|id| view.keys.commit_id(id));
    if let Some(id) = &id {
        match view.raw_or_absent(id) {
            Some((0, _)) => {}
            Some((revision, value)) => {
                let first = Stored::decode(&value)?.versionstamp(revision, view.base());
                return Ok(Evaluated::Rejected(Commit::Done(first)));
            }
            None => is_unknown = true,
        }
    }
    let mut failed = Vec::new();
    for (i, check) in write.checks.iter().enumerate() {
        match view.check(&check.key, check.versionstamp)? {
            Some(true) => {}
            Some(false) => failed.push(i),
            None => is_unknown = true,
        }
    }
    if is_unknown {
        return Ok(Evaluated::Unknown);
    }
    if !failed.is_empty() {
        return Ok(Evaluated::Rejected(Commit::Conflict { failed }));
    }
    let mut staged = Staged { view, entries: Vec::new(), is_unknown: false };
    staged.mutate(write)?;
    let Staged { entries, is_unknown, .. } = staged;
    if is_unknown {
        return Ok(Evaluated::Unknown);
    }
    for (key, stored) in entries {
        view.set_entry(key, stored);
    }
    for (enqueue, id) in write.enqueues.iter().zip(message_ids) {
        add_message(view, enqueue, id);
    }
    if let Some(id) = id {
        let value = Value::Bytes(Vec::new());
        let stored = Stored { index: view.index, expire_at: None, versionstamp: view.own_versionstamp(), value };
        view.change(id, Change::Put { value: stored.encode(), lease: view.id_lease });
    }
    Ok(Evaluated::Accepted)
}

fn add_message(view: &mut View<'_>, enqueue: &Enqueue, id: &[u8; 16]) {
    let due = enqueue.deliver_at.millis(view.now).max(view.now);
    let key = view.keys.key(Part::Messages, &Message::position(due, id));
    view.change(key, Change::Put { value: Message::new(enqueue).encode(), lease: 0 });
}

/// The changes of one write, which are discarded if one of them is not possible.
struct Staged<'v, 'k> {
    view: &'v mut View<'k>,
    entries: Vec<(Vec<u8>, Option<Stored>)>,
    is_unknown: bool,
}

impl Staged<'_, '_> {
    fn mutate(&mut self, write: &AtomicWrite) -> Result<()> {
        let index = self.view.index;
        for mutation in &write.mutations {
            let mut key = mutation.key.clone();
            let stored = match &mutation.kind {
                MutationKind::Set { value, expire_at, versionstamped } => {
                    if *versionstamped && let Some(versionstamp) = self.view.own_versionstamp() {
                        key.push_string(&versionstamp.to_string());
                    }
                    let expire_at = expire_at.map(|time| time.millis(self.view.now));
                    Some(Stored { index, expire_at, versionstamp: None, value: value.clone() })
                }
                MutationKind::Delete => None,
                MutationKind::Combine { operand, value } => {
                    let Some(found) = self.find(key.as_bytes())? else { continue };
                    let stored = found.as_ref().map(|stored| stored.value.as_ref());
                    let value = operand.apply(stored, value)?;
                    let expire_at = found.and_then(|stored| stored.expire_at);
                    Some(Stored { index, expire_at, versionstamp: None, value })
                }
                MutationKind::BoundedSum { value, bounds } => {
                    let Some(found) = self.find(key.as_bytes())? else { continue };
                    let value = bounds.sum(found.as_ref().map(|stored| stored.value.as_ref()), value)?;
                    let expire_at = found.and_then(|stored| stored.expire_at);
                    Some(Stored { index, expire_at, versionstamp: None, value })
                }
            };
            self.entries.push((key.into_bytes(), stored));
        }
        Ok(())
    }

    /// Returns the live entry of a key after the earlier mutations, or `None` if it must be read first.
    fn find(&mut self, key: &[u8]) -> Result<Option<Option<Stored>>> {
        if let Some((_, staged)) = self.entries.iter().rev().find(|(staged, _)| staged == key) {
            return Ok(Some(staged.clone().filter(|stored| stored.is_live(self.view.now))));
        }
        Ok(match self.view.entry(key)? {
            Found::Entry(found) => Some(found.map(|(stored, _)| stored)),
            Found::Unknown => {
                self.is_unknown = true;
                None
            }
        })
    }
}

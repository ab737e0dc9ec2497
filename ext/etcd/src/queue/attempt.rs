use openkv_engine::{Result, Value, Versionstamp};
use tokio::sync::oneshot;

use super::candidate::Candidate;
use crate::EtcdError;
use crate::layout::{Part, Stored};
use crate::message::Message;
use crate::unit::{Size, Unit, Verdict};
use crate::view::{Change, View};

/// A claimed message.
#[derive(Clone)]
pub(super) struct Claimed {
    pub candidate: Candidate,
    /// The value of the claim's key, which no other claim has.
    pub token: Vec<u8>,
    /// The revision of the claim.
    pub revision: i64,
}

/// Claims messages.
pub(super) struct ClaimUnit {
    pub candidates: Vec<Candidate>,
    pub token: Vec<u8>,
    pub lease: i64,
    /// The revision of the listener's key, which exists as long as its lease.
    pub listener: i64,
    /// Whether the lease has expired.
    pub is_expired: bool,
    /// The indices of the candidates that were claimed.
    pub claimed: Vec<usize>,
    /// Receives `None` if the lease has expired.
    pub reply: oneshot::Sender<Result<Option<Vec<Claimed>>>>,
    /// What is added to revisions.
    pub base: u64,
}

impl Unit for ClaimUnit {
    fn size(&self) -> Size {
        let count = self.candidates.len();
        Size { compares: 3 * count + 1, operations: 4 * count, bytes: 256 * count }
    }

    fn evaluate(&mut self, view: &mut View<'_>) -> Verdict {
        self.claimed.clear();
        // The cluster rejects a transaction with a lease that has expired.
        let listener = view.keys.key(Part::Listeners, &self.lease.to_be_bytes());
        view.assume(listener.clone(), self.listener, &[]);
        let Some((listener, _)) = view.raw(&listener) else { return Verdict::Unknown };
        self.is_expired = listener == 0;
        if self.is_expired {
            return Verdict::Rejected;
        }
        let mut is_unknown = false;
        let mut verdict = Verdict::Rejected;
        for (i, candidate) in self.candidates.iter().enumerate() {
            let claim = view.keys.key(Part::Claims, candidate.id());
            let started = view.keys.key(Part::Started, candidate.id());
            view.assume(view.keys.key(Part::Messages, &candidate.position), candidate.revision, &[]);
            view.assume(started.clone(), candidate.started, &[]);
            let message = view.raw(&view.keys.key(Part::Messages, &candidate.position));
            let found = (message, view.raw_or_absent(&claim), view.raw(&started));
            let (Some((revision, _)), Some((claimed, _)), Some((started, _))) = found else {
                is_unknown = true;
                continue;
            };
            if revision != candidate.revision || claimed != 0 {
                continue;
            }
            verdict = Verdict::Accepted;
            if started == 0 {
                view.change(claim, Change::Put { value: self.token.clone(), lease: self.lease });
                self.claimed.push(i);
            } else {
                // Its listener has stopped after the handler was called.
                fail(view, candidate);
            }
        }
        if is_unknown { Verdict::Unknown } else { verdict }
    }

    fn complete(self: Box<Self>, result: Result<Option<Versionstamp>>) {
        let Self { candidates, token, is_expired, claimed, reply, base, .. } = *self;
        let claimed = result.map(|versionstamp| {
            let revision = versionstamp.and_then(|versionstamp| crate::layout::revision(versionstamp, base));
            let revision = revision.map_or(0, |(revision, _)| revision);
            let claim = |i: usize| Claimed { candidate: candidates[i].clone(), token: token.clone(), revision };
            (!is_expired).then(|| claimed.into_iter().map(claim).collect())
        });
        // If the listener has ended, its lease does.
        let _ = reply.send(claimed);
    }
}

/// What happens to a claimed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its handler is called.
    Start,
    /// It was handled.
    Done,
    /// It was not handled.
    Fail,
    /// It was not started.
    Release,
}

/// Changes the state of a claimed message.
pub(super) struct StepUnit {
    pub claimed: Claimed,
    pub step: Step,
    pub is_lost: bool,
    pub reply: Option<oneshot::Sender<Result<()>>>,
}

impl Unit for StepUnit {
    fn size(&self) -> Size {
        Size { compares: 2, operations: 4, bytes: 512 + self.claimed.candidate.message.payload.len() }
    }

    fn evaluate(&mut self, view: &mut View<'_>) -> Verdict {
        self.is_lost = false;
        let Claimed { candidate, token, revision } = &self.claimed;
        let claim = view.keys.key(Part::Claims, candidate.id());
        let started = view.keys.key(Part::Started, candidate.id());
        let message = view.keys.key(Part::Messages, &candidate.position);
        view.assume(claim.clone(), *revision, token);
        let Some((_, holder)) = view.raw(&claim) else { return Verdict::Unknown };
        if holder != *token {
            let Some((revision, _)) = view.raw(&message) else { return Verdict::Unknown };
            // A message that no longer exists was finished, unless another listener has its claim: then it was requeued.
            self.is_lost = revision != 0 || !holder.is_empty();
            return Verdict::Rejected;
        }
        match self.step {
            Step::Start => view.change(started, Change::Put { value: Vec::new(), lease: 0 }),
            Step::Release => view.change(claim, Change::Delete),
            Step::Done => [message, claim, started].into_iter().for_each(|key| view.change(key, Change::Delete)),
            Step::Fail => {
                view.change(claim, Change::Delete);
                fail(view, candidate);
            }
        }
        Verdict::Accepted
    }

    fn complete(self: Box<Self>, result: Result<Option<Versionstamp>>) {
        let Self { is_lost, reply, .. } = *self;
        let result = match result {
            Ok(None) if is_lost => Err(EtcdError::ClaimLost.into()),
            result => result.map(drop),
        };
        if let Some(reply) = reply {
            let _ = reply.send(result);
        }
    }
}

/// Requeues a message according to its schedule, or stores it under its keys after the last attempt.
fn fail(view: &mut View<'_>, candidate: &Candidate) {
    let Candidate { position, message, .. } = candidate;
    view.change(view.keys.key(Part::Messages, position), Change::Delete);
    view.change(view.keys.key(Part::Started, candidate.id()), Change::Delete);
    if let Some((delay, rest)) = message.schedule.split_first() {
        let later = Message { schedule: rest.to_vec(), ..(**message).clone() };
        let due = view.now.saturating_add(u64::from(*delay));
        let mut position = position.clone();
        position[..8].copy_from_slice(&due.to_be_bytes());
        view.change(view.keys.key(Part::Messages, &position), Change::Put { value: later.encode(), lease: 0 });
        return;
    }
    for key in message.keys() {
        let value = Value::V8(message.payload.clone());
        let stored = Stored { index: view.index, expire_at: None, versionstamp: None, value };
        view.set_entry(key.into_bytes(), Some(stored));
    }
}

use std::sync::Arc;

use openkv_engine::{AtomicWrite, Commit, Result, Turn};
use tokio::sync::{mpsc, oneshot};

use super::batch::Batch;
use super::call::{Call, Decoded, Repeat};
use super::session::Session;
use crate::wire::openkv::{DeleteRange, DeleteRangeOutput};
use crate::wire::{Message, paths};

/// A write in flight.
pub(crate) struct Job {
    pub turn: Turn,
    pub kind: Kind,
}

pub(crate) enum Kind {
    Write { write: AtomicWrite, reply: oneshot::Sender<Result<Commit>> },
    DeleteRange { range: DeleteRange, reply: oneshot::Sender<Result<u64>> },
}

/// Executes writes in order until the channel closes. Writes that are queued while others are sent share the next request.
pub(crate) async fn run(session: Arc<Session>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut next = None;
    loop {
        let job = match next.take() {
            Some(job) => Some(job),
            None => jobs.recv().await,
        };
        let Some(Job { mut turn, kind }) = job else { return };
        turn.wait().await;
        match kind {
            Kind::Write { write, reply } => {
                let mut batch = Batch::default();
                batch.push(&session, turn, write, reply);
                if session.has_extension() {
                    next = fill(&mut batch, &session, &mut jobs);
                }
                batch.commit(&session).await;
            }
            Kind::DeleteRange { range, reply } => {
                let result = delete_range(&session, &range).await;
                // It is no longer in flight when its future is done. The caller may have dropped it.
                drop(turn);
                let _ = reply.send(result);
            }
        }
    }
}

/// Adds queued writes to a batch, up to the first that has to wait for it. Returns that one.
fn fill(batch: &mut Batch, session: &Session, jobs: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
    let now = session.options.clock.now();
    loop {
        match jobs.try_recv().ok()? {
            Job { turn, kind: Kind::Write { write, reply } } if turn.has_come() && batch.admits(&write, now) => {
                batch.push(session, turn, write, reply);
            }
            job => return Some(job),
        }
    }
}

async fn delete_range(session: &Arc<Session>, range: &DeleteRange) -> Result<u64> {
    // A retry would delete and count the entries after those.
    let call = Call { repeat: Repeat::Never, ..Call::new(paths::DELETE_RANGE, range) };
    session.call(&call, |body| Ok(Decoded::Value(DeleteRangeOutput::decode(body)?.deleted))).await
}

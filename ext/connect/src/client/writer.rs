use std::sync::Arc;

use openkv_engine::{AtomicWrite, Commit, CommitId, Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::call::{Call, Decoded, Repeat};
use super::order::Turn;
use super::session::Session;
use crate::wire::openkv::{DeleteRange, DeleteRangeOutput};
use crate::wire::write::{self, WriteOutcome};
use crate::wire::{Message, datapath, paths};

/// A write in flight.
pub(crate) struct Job {
    pub turn: Turn,
    pub kind: Kind,
}

pub(crate) enum Kind {
    Write { write: AtomicWrite, reply: oneshot::Sender<Result<Commit>> },
    DeleteRange { range: DeleteRange, reply: oneshot::Sender<Result<u64>> },
}

/// Executes writes one after the other until the channel closes.
pub(crate) async fn run(session: Arc<Session>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(Job { mut turn, kind }) = jobs.recv().await {
        turn.wait().await;
        // The turn ends before the future resolves. The caller may have dropped the future.
        match kind {
            Kind::Write { write, reply } => {
                let result = commit(&session, write).await;
                drop(turn);
                let _ = reply.send(result);
            }
            Kind::DeleteRange { range, reply } => {
                let result = delete_range(&session, &range).await;
                drop(turn);
                let _ = reply.send(result);
            }
        }
    }
}

async fn commit(session: &Arc<Session>, write: AtomicWrite) -> Result<Commit> {
    let id = write.id.unwrap_or_else(|| CommitId::new(&*session.options.random));
    let message = write::encode(&write, session.options.clock.now());
    let has_extension = session.has_extension();
    let call = Call {
        header: has_extension.then(|| write::encode_id(id)),
        repeat: if has_extension { Repeat::WithExtension } else { Repeat::Never },
        ..Call::new(paths::ATOMIC_WRITE, &message)
    };
    let outcome = session.call(&call, |body| {
        let output = datapath::AtomicWriteOutput::decode(body)?;
        write::decode_outcome(&output).map(Decoded::Value)
    });
    match outcome.await? {
        WriteOutcome::Commit(commit) => Ok(commit),
        WriteOutcome::Disabled => Err(Error::ReadOnly),
    }
}

async fn delete_range(session: &Arc<Session>, range: &DeleteRange) -> Result<u64> {
    // A retry would delete and count the entries after those.
    let call = Call { repeat: Repeat::Never, ..Call::new(paths::DELETE_RANGE, range) };
    session.call(&call, |body| Ok(Decoded::Value(DeleteRangeOutput::decode(body)?.deleted))).await
}

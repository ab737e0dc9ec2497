use std::sync::Arc;

use bytes::Bytes;
use openkv_engine::{AtomicWrite, Commit, CommitId, Error, Result, Turn};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::call::{Call, Decoded, RESPONSE_PARTS, Repeat};
use super::conditions::Conditions;
use super::session::Session;
use crate::wire::openkv::{Writes, WritesOutput};
use crate::wire::write::{self, WriteOutcome};
use crate::wire::{Message, datapath, parts, paths, writes};

/// The limit of a batch in bytes of encoded writes. Servers limit the size of a request.
const MAX_SIZE: usize = 1024 * 1024;

/// The limit of a batch in checks, mutations and messages. Reads are sent and processed between batches, so that larger ones would
/// delay them.
const MAX_PARTS: usize = 100;

/// Writes that are sent in one request, in their order, so that they share a round trip and a commit.
///
/// If the response is lost, the batch is sent again: the server recognizes the writes that it has committed, and attempts those
/// that it has rejected once more. These may then be committed after writes that follow them, which must make no difference.
#[derive(Default)]
pub(crate) struct Batch {
    writes: Vec<Pending>,
    size: usize,
    parts: usize,
    conditions: Conditions,
    /// When the last of the writes was called.
    since: Option<Instant>,
}

struct Pending {
    turn: Turn,
    id: CommitId,
    encoded: Vec<u8>,
    reply: oneshot::Sender<Result<Commit>>,
}

impl Batch {
    /// Returns whether there is room for a write, and it may be committed before those of the batch that are rejected.
    pub fn admits(&self, write: &AtomicWrite, now: u64) -> bool {
        self.parts + count_parts(write) <= MAX_PARTS
            && self.size + write::encode(write, now).encoded_len() <= MAX_SIZE
            && self.conditions.commute_with(write)
    }

    /// Adds a write whose turn it is, and which was called at `since`.
    pub fn push(
        &mut self,
        session: &Session,
        since: Instant,
        turn: Turn,
        write: AtomicWrite,
        reply: oneshot::Sender<Result<Commit>>,
    ) {
        self.since = Some(since);
        let id = write.id.unwrap_or_else(|| CommitId::new(&*session.options.random));
        let encoded = write::encode(&write, session.options.clock.now()).encode_to_vec();
        self.size += encoded.len();
        self.parts += count_parts(&write);
        self.conditions.add(&write);
        self.writes.push(Pending { turn, id, encoded, reply });
    }

    /// Sends the writes, and passes their outcomes to those who wait for them.
    pub async fn commit(mut self, session: &Arc<Session>) {
        let since = self.since.unwrap_or_else(Instant::now);
        let results = if let [write] = &mut self.writes[..] {
            vec![commit_one(session, since, write.id, std::mem::take(&mut write.encoded)).await]
        } else {
            self.commit_all(session, since).await
        };
        for (Pending { turn, reply, .. }, result) in self.writes.into_iter().zip(results) {
            // A write is no longer in flight when its future is done. The caller may have dropped it.
            drop(turn);
            let _ = reply.send(result.and_then(|outcome| match outcome {
                WriteOutcome::Commit(commit) => Ok(commit),
                WriteOutcome::Disabled => Err(Error::ReadOnly),
            }));
        }
    }

    async fn commit_all(&mut self, session: &Arc<Session>, since: Instant) -> Vec<Result<WriteOutcome>> {
        let count = self.writes.len();
        let named = |write: &mut Pending| writes::encode(write.id, std::mem::take(&mut write.encoded));
        let request = Writes { writes: self.writes.iter_mut().map(named).collect() };
        let call = Call { repeat: Repeat::WithExtension, since, ..Call::new(paths::WRITE, &request) };
        let decode = |body| {
            let output: WritesOutput = parts::decode(body, RESPONSE_PARTS)?;
            writes::decode_results(&output, count).map(Decoded::Value)
        };
        let results = session.call(&call, decode).await;
        results.unwrap_or_else(|error| vec![Err(error); count])
    }
}

async fn commit_one(session: &Arc<Session>, since: Instant, id: CommitId, encoded: Vec<u8>) -> Result<WriteOutcome> {
    let has_extension = session.has_extension();
    let call = Call {
        header: has_extension.then(|| write::encode_id(id)),
        repeat: if has_extension { Repeat::WithExtension } else { Repeat::Never },
        since,
        ..Call::with_body(paths::ATOMIC_WRITE, Bytes::from(encoded))
    };
    let outcome = session.call(&call, |body| {
        let output: datapath::AtomicWriteOutput = parts::decode(body, RESPONSE_PARTS)?;
        write::decode_outcome(&output).map(Decoded::Value)
    });
    outcome.await
}

fn count_parts(write: &AtomicWrite) -> usize {
    write.checks.len() + write.mutations.len() + write.enqueues.len()
}

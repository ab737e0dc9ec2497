//! The unary calls: reads, writes, and the delivery of messages.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use openkv_engine::{Commit, Error, ReadEntry, ReadOptions, Selector};
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use super::batches::NotClaimed;
use super::body::{self, Body};
use super::failure::Failure;
use super::hosted::Hosted;
use super::peer::Peer;
use super::shared::Shared;
use crate::wire::openkv::{BatchId, Count, CountOutput, DeleteRange, DeleteRangeOutput, Finish, Start};
use crate::wire::write::WriteOutcome;
use crate::wire::{Malformed, datapath, headers, openkv, read, write};

/// Reads ranges.
pub(crate) async fn snapshot_read(hosted: &Hosted, body: Bytes) -> Result<datapath::SnapshotReadOutput, Failure> {
    let message: datapath::SnapshotRead = decode(hosted, body)?;
    let lists = hosted.database.read(&read::decode(&message)?, ReadOptions::default()).await?;
    Ok(output(&lists))
}

/// Reads ranges, optionally without values or up to a number of bytes.
pub(crate) async fn openkv_read(hosted: &Hosted, body: Bytes) -> Result<datapath::SnapshotReadOutput, Failure> {
    let message: openkv::Read = decode(hosted, body)?;
    let lists = {
        let (reads, max_bytes) = read::decode_openkv(&message);
        hosted.database.read(&reads, ReadOptions::default().max_bytes(max_bytes))
    };
    Ok(output(&lists.await?))
}

fn output(lists: &[Vec<ReadEntry>]) -> datapath::SnapshotReadOutput {
    read::encode_output(lists)
}

/// Commits a write.
pub(crate) async fn atomic_write(
    shared: &Shared,
    hosted: &Hosted,
    head: &HeaderMap,
    body: Bytes,
) -> Result<datapath::AtomicWriteOutput, Failure> {
    let id = write::decode_id(head)?;
    let mut atomic_write = write::decode(decode(hosted, body)?)?;
    atomic_write.id = id;
    let outcome = match hosted.database.write(atomic_write).await {
        Ok(commit) => {
            let is_done = matches!(commit, Commit::Done(_));
            if is_done { &shared.metrics.commits } else { &shared.metrics.conflicts }.increment();
            WriteOutcome::Commit(commit)
        }
        Err(Error::ReadOnly) => WriteOutcome::Disabled,
        Err(error) => return Err(error.into()),
    };
    Ok(write::encode_outcome(&outcome))
}

/// Counts the entries of a range.
pub(crate) async fn count(hosted: &Hosted, body: Bytes) -> Result<CountOutput, Failure> {
    let Count { start, end } = decode(hosted, body)?;
    let count = hosted.database.count(&Selector::encoded(start, end)?).await?;
    Ok(CountOutput { count })
}

/// Deletes the first entries of a range.
pub(crate) async fn delete_range(hosted: &Hosted, body: Bytes) -> Result<DeleteRangeOutput, Failure> {
    let DeleteRange { start, end, limit } = decode(hosted, body)?;
    let deleted = hosted.database.delete_first(&Selector::encoded(start, end)?, limit).await?;
    Ok(DeleteRangeOutput { deleted })
}

/// Marks a message as being handled.
pub(crate) fn start(shared: &Shared, hosted: &Hosted, body: Bytes) -> Result<(), Failure> {
    let Start { batch, index } = decode(hosted, body)?;
    Ok(shared.batches.start(hosted.id, BatchId::try_from(&batch[..])?, index)?)
}

/// Finishes the delivery of a message.
pub(crate) async fn finish(shared: &Shared, hosted: &Hosted, body: Bytes) -> Result<(), Failure> {
    let Finish { batch, index, success } = decode(hosted, body)?;
    let finish = shared.batches.finish(hosted.id, BatchId::try_from(&batch[..])?, index, success)?;
    Ok(finish.await?)
}

impl From<NotClaimed> for Failure {
    fn from(error: NotClaimed) -> Self {
        Self::new(StatusCode::GONE, error.to_string())
    }
}

/// Decodes a message, unless it has far more parts than the limits of the database allow: a part of two bytes can take a hundred
/// bytes in memory.
///
/// # Errors
/// The message is malformed or has too many parts.
pub(crate) fn decode<M: Message + Default>(hosted: &Hosted, body: Bytes) -> Result<M, Failure> {
    let limits = hosted.database.limits();
    let parts = [limits.read_ranges, limits.checks, limits.mutations, limits.watched_keys].into_iter().sum::<usize>();
    let max = parts.saturating_mul(4);
    let mut rest = body.clone();
    for _ in 0..max {
        if rest.is_empty() {
            return Ok(M::decode(body).map_err(Malformed::from)?);
        }
        let (tag, wire_type) = decode_key(&mut rest).map_err(Malformed::from)?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(Malformed::from)?;
    }
    Err(Failure::new(StatusCode::BAD_REQUEST, format!("the message has more than {max} parts")))
}

/// Returns a response with a message.
///
/// # Errors
/// The memory for responses is exhausted.
pub(crate) fn respond(shared: &Shared, peer: &Arc<Peer>, message: &impl Message) -> Result<Response<Body>, Failure> {
    let bytes = shared.send(peer, message.encode_to_vec()).ok_or_else(|| Failure::busy("responses"))?;
    Ok(body::response(headers::PROTOBUF, body::full(bytes)))
}

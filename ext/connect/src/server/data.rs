//! The unary calls: reads, writes, and the delivery of messages.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
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
use crate::wire::{Malformed, datapath, headers, openkv, read, write, writes};

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
    let outcome = outcome(shared, hosted.database.write(atomic_write).await)?;
    Ok(write::encode_outcome(&outcome))
}

/// Commits several writes, in their order.
pub(crate) async fn write(shared: &Shared, hosted: &Hosted, body: Bytes) -> Result<openkv::WritesOutput, Failure> {
    let message: openkv::Writes = decode(hosted, body)?;
    let mut parts = max_parts(hosted);
    let decoded = message.writes.into_iter().map(|openkv::NamedWrite { id, write }| {
        let mut atomic_write = write::decode(decode_within(&mut parts, write.into())?)?;
        atomic_write.id = Some(writes::decode_id(&id)?);
        Ok(atomic_write)
    });
    let decoded = decoded.collect::<Result<Vec<_>, Failure>>()?;
    // All are begun before the first is waited for, so that they share a commit.
    let commits: Vec<_> = decoded.into_iter().map(|write| hosted.database.write(write)).collect();
    let results: Vec<_> = join_all(commits).await.into_iter().map(|result| outcome(shared, result)).collect();
    if let Some(failure) = transient_failure(&results) {
        return Err(failure);
    }
    Ok(openkv::WritesOutput { outcomes: results.iter().map(writes::encode_result).collect() })
}

/// Returns the failure of a request if its writes failed from one on for a reason that may pass. The client sends the request again,
/// and the writes before that one are recognized. If a later one was committed, sending it again would change the order.
fn transient_failure(results: &[Result<WriteOutcome, Error>]) -> Option<Failure> {
    let is_transient = |result: &_| matches!(result, Err(Error::Busy | Error::Closed | Error::Storage(_)));
    let first = results.iter().position(is_transient)?;
    if !results[first..].iter().all(is_transient) {
        return None;
    }
    let mut failure = Failure::from(results[first].as_ref().err()?.clone());
    if first > 0 {
        // The server processed a part of the request, which the status of the failure would deny.
        failure.status = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Some(failure)
}

/// Counts the outcome of a write.
fn outcome(shared: &Shared, result: Result<Commit, Error>) -> Result<WriteOutcome, Error> {
    match result {
        Ok(commit) => {
            let is_done = matches!(commit, Commit::Done(_));
            if is_done { &shared.metrics.commits } else { &shared.metrics.conflicts }.increment();
            Ok(WriteOutcome::Commit(commit))
        }
        Err(Error::ReadOnly) => Ok(WriteOutcome::Disabled),
        Err(error) => Err(error),
    }
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
    decode_within(&mut max_parts(hosted), body)
}

/// Returns how many parts the messages of a request may have.
fn max_parts(hosted: &Hosted) -> usize {
    let limits = hosted.database.limits();
    let parts = [limits.read_ranges, limits.checks, limits.mutations, limits.watched_keys].into_iter().sum::<usize>();
    parts.saturating_mul(4)
}

/// Decodes a message that has at most as many parts as are left.
fn decode_within<M: Message + Default>(left: &mut usize, body: Bytes) -> Result<M, Failure> {
    let mut rest = body.clone();
    while !rest.is_empty() {
        *left = left.checked_sub(1).ok_or_else(|| {
            Failure::new(StatusCode::BAD_REQUEST, "the message has more parts than any that the database takes")
        })?;
        let (tag, wire_type) = decode_key(&mut rest).map_err(Malformed::from)?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(Malformed::from)?;
    }
    Ok(M::decode(body).map_err(Malformed::from)?)
}

/// Returns a response with a message.
///
/// # Errors
/// The memory for responses is exhausted.
pub(crate) fn respond(shared: &Shared, peer: &Arc<Peer>, message: &impl Message) -> Result<Response<Body>, Failure> {
    let bytes = shared.send(peer, message.encode_to_vec()).ok_or_else(|| Failure::busy("responses"))?;
    Ok(body::response(headers::PROTOBUF, body::full(bytes)))
}

#[cfg(test)]
mod tests {
    use openkv_engine::Versionstamp;

    use super::*;

    #[test]
    fn writes_that_failed_at_the_end_are_sent_again() {
        let done = || Ok(WriteOutcome::Commit(Commit::Done(Versionstamp::from_version(1))));
        let conflict = || Ok(WriteOutcome::Commit(Commit::Conflict { failed: vec![0] }));
        let status =
            |results: &[Result<WriteOutcome, Error>]| transient_failure(results).map(|failure| failure.status.as_u16());
        assert_eq!(status(&[]), None);
        assert_eq!(status(&[done(), Err(Error::EmptyKey)]), None);
        assert_eq!(status(&[Err(Error::Busy), Err(Error::Closed)]), Some(503), "nothing was done");
        assert_eq!(status(&[conflict(), Err(Error::Closed)]), Some(500));
        for end in [None, Some(Err(Error::Closed))] {
            let results: Vec<_> = [Err(Error::Busy), done()].into_iter().chain(end).collect();
            assert_eq!(status(&results), None, "the order would be another");
        }
    }
}

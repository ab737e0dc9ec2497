//! The unary calls: reads, writes, and the delivery of messages.

use std::sync::Arc;

use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};
use openkv_engine::{Commit, Error, Read, ReadOptions, Selector};
use prost::Message;

use super::batches::NotClaimed;
use super::body::{self, Body};
use super::failure::Failure;
use super::hosted::Hosted;
use super::peer::Peer;
use super::request::Received;
use super::shared::Shared;
use crate::wire::openkv::{BatchId, Count, CountOutput, DeleteRange, DeleteRangeOutput, Finish, Start};
use crate::wire::write::WriteOutcome;
use crate::wire::{datapath, expiry, headers, openkv, read, write, writes};

/// Reads ranges.
///
/// # Errors
/// The message or the read fails, or there is no memory for the response.
pub(crate) async fn snapshot_read(
    shared: &Shared,
    peer: &Arc<Peer>,
    hosted: &Hosted,
    mut request: Received,
) -> Result<Response<Body>, Failure> {
    let message: datapath::SnapshotRead = request.decode(hosted.database.limits())?;
    respond_read(shared, peer, hosted, &read::decode(&message)?, ReadOptions::default()).await
}

/// Reads ranges, optionally without values or up to a number of bytes.
///
/// # Errors
/// The message or the read fails, or there is no memory for the response.
pub(crate) async fn openkv_read(
    shared: &Shared,
    peer: &Arc<Peer>,
    hosted: &Hosted,
    mut request: Received,
) -> Result<Response<Body>, Failure> {
    let message: openkv::Read = request.decode(hosted.database.limits())?;
    let (reads, max_bytes) = read::decode_openkv(&message);
    respond_read(shared, peer, hosted, &reads, ReadOptions::default().max_bytes(max_bytes)).await
}

/// Reads once there is memory for it, and responds with the entries.
async fn respond_read(
    shared: &Shared,
    peer: &Arc<Peer>,
    hosted: &Hosted,
    reads: &[Read<'_>],
    options: ReadOptions,
) -> Result<Response<Body>, Failure> {
    let _permit = shared.memory.begin_read(max_memory(hosted, reads, options.max_bytes)).await;
    let lists = hosted.database.read(reads, options).await?;
    respond(shared, peer, &read::encode_output(lists))
}

/// Returns how much memory a read and its response may take, in bytes.
fn max_memory(hosted: &Hosted, reads: &[Read<'_>], max_bytes: usize) -> usize {
    let limits = hosted.database.limits();
    let entries = |read: &Read<'_>| match read {
        Read::Key(_) => 1,
        Read::Range { limit, .. } => (*limit as usize).min(limits.read_entries),
    };
    let entries = reads.iter().map(entries).fold(0, usize::saturating_add).min(limits.read_entries);
    let values = entries.saturating_mul(limits.value_size).min(max_bytes.saturating_add(limits.value_size));
    // The entries, and the encoded response.
    values.saturating_add(entries.saturating_mul(limits.read_key_size)).saturating_mul(2)
}

/// Commits a write.
pub(crate) async fn atomic_write(
    shared: &Shared,
    hosted: &Hosted,
    head: &HeaderMap,
    mut request: Received,
) -> Result<datapath::AtomicWriteOutput, Failure> {
    let id = write::decode_id(head)?;
    let mut atomic_write = write::decode(request.decode(hosted.database.limits())?)?;
    atomic_write.id = id;
    let outcome = outcome(shared, hosted.database.write(atomic_write).await)?;
    Ok(write::encode_outcome(&outcome))
}

/// Commits several writes, in their order.
pub(crate) async fn write(
    shared: &Shared,
    hosted: &Hosted,
    mut request: Received,
) -> Result<openkv::WritesOutput, Failure> {
    let body = request.body.clone();
    let mut decoder = request.decoder(hosted.database.limits());
    let message: openkv::Writes = decoder.decode(body)?;
    let decoded = message.writes.into_iter().map(|openkv::NamedWrite { id, write }| {
        let mut atomic_write = write::decode(decoder.decode(write.into())?)?;
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

/// Reads when entries expire.
pub(crate) async fn expiries(hosted: &Hosted, mut request: Received) -> Result<openkv::ExpiriesOutput, Failure> {
    let keys = expiry::decode(request.decode(hosted.database.limits())?)?;
    Ok(expiry::encode_output(&hosted.database.expiries(&keys).await?))
}

/// Counts the entries of a range.
pub(crate) async fn count(hosted: &Hosted, mut request: Received) -> Result<CountOutput, Failure> {
    let Count { start, end } = request.decode(hosted.database.limits())?;
    let count = hosted.database.count(&Selector::encoded(start, end)?).await?;
    Ok(CountOutput { count })
}

/// Deletes the first entries of a range.
pub(crate) async fn delete_range(
    shared: &Shared,
    hosted: &Hosted,
    head: &HeaderMap,
    mut request: Received,
) -> Result<DeleteRangeOutput, Failure> {
    let DeleteRange { start, end, limit } = request.decode(hosted.database.limits())?;
    let selector = Selector::encoded(start, end)?;
    let delete = || hosted.database.delete_first(&selector, limit);
    let deleted = match write::decode_id(head)? {
        Some(id) => shared.deletions.run((hosted.id, id), head.contains_key(headers::RETRY), delete).await?,
        None => delete().await?,
    };
    Ok(DeleteRangeOutput { deleted })
}

/// Marks a message as being handled.
pub(crate) fn start(shared: &Shared, hosted: &Hosted, mut request: Received) -> Result<(), Failure> {
    let Start { batch, index } = request.decode(hosted.database.limits())?;
    Ok(shared.batches.start(hosted.id, BatchId::try_from(&batch[..])?, index)?)
}

/// Finishes the delivery of a message.
pub(crate) async fn finish(shared: &Shared, hosted: &Hosted, mut request: Received) -> Result<(), Failure> {
    let Finish { batch, index, success } = request.decode(hosted.database.limits())?;
    let finish = shared.batches.finish(hosted.id, BatchId::try_from(&batch[..])?, index, success)?;
    Ok(finish.await?)
}

impl From<NotClaimed> for Failure {
    fn from(error: NotClaimed) -> Self {
        Self::new(StatusCode::GONE, error.to_string())
    }
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

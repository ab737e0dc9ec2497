use std::sync::Arc;

use openkv_engine::{Consistency, Error, Expiry, Key, OwnedRead, ReadEntry, ReadOptions, Result};

use super::call::{Call, Decoded, RESPONSE_PARTS};
use super::error::CallError;
use super::session::Session;
use crate::wire::openkv::{Count, CountOutput};
use crate::wire::read::{self, ReadOutcome, Shape};
use crate::wire::{datapath, expiry, frame, parts, paths};

/// The maximum length of an entry in a response, in bytes: the limits of key and value, and their framing.
const ENTRY_LEN: usize = 2048 + 64 * 1024 + 64;

/// Reads keys and ranges.
pub(crate) async fn read(
    session: Arc<Session>,
    reads: Vec<OwnedRead>,
    options: ReadOptions,
) -> Result<Vec<Vec<ReadEntry>>> {
    let reads: Vec<_> = reads.iter().map(OwnedRead::as_read).collect();
    let shapes: Vec<_> = reads.iter().map(Shape::from).collect();
    let is_plain = options.max_bytes == usize::MAX && shapes.iter().all(|shape| shape.values);
    let call = if is_plain || !session.has_extension() {
        Call::new(paths::SNAPSHOT_READ, &read::encode(&reads))
    } else {
        Call::new(paths::READ, &read::encode_openkv(&reads, options.max_bytes))
    };
    let entries = shapes.iter().map(|shape| shape.limit as usize).fold(0, usize::saturating_add);
    let max_parts = entries.saturating_add(RESPONSE_PARTS);
    let max_len = entries.saturating_mul(ENTRY_LEN).max(frame::MAX_LEN);
    let call = Call { consistency: options.consistency, max_len, ..call };
    let lists = session.call(&call, |body| {
        let output: datapath::SnapshotReadOutput = parts::decode(body, max_parts)?;
        Ok(match read::decode_output(output, &shapes)? {
            ReadOutcome::Disabled => Decoded::Elsewhere(CallError::ReadsDisabled),
            ReadOutcome::Entries { is_strong: false, .. } if options.consistency == Consistency::Strong => {
                Decoded::Elsewhere(CallError::NotStrong)
            }
            ReadOutcome::Entries { lists, .. } => Decoded::Value(lists),
        })
    });
    let mut lists = lists.await?;
    truncate(&mut lists, options.max_bytes);
    Ok(lists)
}

/// Drops entries after `max_bytes` bytes of values, as servers with the extension do.
fn truncate(lists: &mut [Vec<ReadEntry>], max_bytes: usize) {
    let mut bytes = 0;
    for list in lists {
        let fits = |entry: &ReadEntry| {
            let fits = bytes < max_bytes;
            bytes += entry.value.as_ref().map_or(0, openkv_engine::Value::len);
            fits
        };
        let len = list.iter().map(fits).take_while(|fits| *fits).count();
        list.truncate(len);
    }
}

/// The error of servers other than OpenKV.
pub(crate) const NO_EXPIRIES: Error =
    Error::Unsupported { backend: "the server of this database", what: "tell when entries expire" };

/// Reads when the entries of keys expire.
pub(crate) async fn expiries(session: Arc<Session>, keys: Vec<Key>) -> Result<Vec<Option<Expiry>>> {
    let call = Call::new(paths::EXPIRIES, &expiry::encode(&keys));
    let decode = |body| Ok(Decoded::Value(expiry::decode_output(parts::decode(body, RESPONSE_PARTS)?, keys.len())?));
    session.call(&call, decode).await
}

/// Counts the entries of a range.
pub(crate) async fn count(session: Arc<Session>, range: Count) -> Result<u64> {
    let call = Call::new(paths::COUNT, &range);
    let count = |body| {
        let output: CountOutput = parts::decode(body, RESPONSE_PARTS)?;
        Ok(Decoded::Value(output.count))
    };
    session.call(&call, count).await
}

//! Reads of keys and ranges, in one snapshot.

use std::sync::Arc;

use openkv_engine::{Consistency, Entry, Expiry, Key, OwnedRead, ReadEntry, ReadOptions, Result};
use tokio::time::Instant;

use crate::EtcdError;
use crate::client::proto::{self, KeyValue, RangeRequest, SortOrder};
use crate::core::Core;
use crate::error::Failure;
use crate::layout::{Part, Stored};

/// The maximum number of entries to request at a time: from a range, and from all ranges.
const PAGE: usize = 500;
const PAGES: usize = 1000;

/// The maximum number of keys of expired entries to read at a time.
const EXPIRED: i64 = 10_000;

/// Repeats a read while its snapshot is compacted, for as long as calls are retried.
pub(crate) async fn restart<T, F>(core: &Core, read: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let start = Instant::now();
    loop {
        match read().await {
            Err(Failure { error: EtcdError::Compacted, .. }) if start.elapsed() < core.options.retry_for => {}
            result => return result,
        }
    }
}

/// Reads in one snapshot.
pub(crate) async fn read(core: Arc<Core>, reads: Vec<OwnedRead>, options: ReadOptions) -> Result<Vec<Vec<ReadEntry>>> {
    let has_range = reads.iter().any(|read| matches!(read, OwnedRead::Range { .. }));
    if has_range {
        core.splits.load(&core.client, &core.keys).await.map_err(Failure::of_read)?;
    }
    restart(&core, || try_read(&core, &reads, options)).await.map_err(Failure::of_read)?
}

async fn try_read(
    core: &Arc<Core>,
    reads: &[OwnedRead],
    options: ReadOptions,
) -> Result<Result<Vec<Vec<ReadEntry>>>, Failure> {
    let now = core.now();
    let mut serializable = options.consistency == Consistency::Eventual;
    let mut cursors: Vec<_> = reads.iter().map(Cursor::new).collect();
    let mut revision = 0;
    let mut bytes = 0;
    loop {
        let pending: Vec<_> = cursors.iter_mut().filter(|cursor| !cursor.is_done()).collect();
        if pending.is_empty() || bytes >= options.max_bytes {
            break;
        }
        let page = PAGE.min(PAGES / pending.len()).max(1);
        let mut requests = Vec::new();
        let mut parts = Vec::new();
        for cursor in &pending {
            let (request, part) = cursor.request(core, page);
            requests.push(RangeRequest { revision, serializable, ..request });
            parts.push(part);
        }
        let results = match &requests[..] {
            [request] => core.client.range(request.clone()).await.map(|found| (found.revision(), vec![found])),
            _ => core.client.read_txn(requests).await,
        };
        let (current, results) = match results {
            Ok(results) => results,
            // The node is behind the one that the read began with.
            Err(Failure { error: EtcdError::Rejected(reason), .. })
                if serializable && reason.contains("future revision") =>
            {
                serializable = false;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        revision = if revision == 0 { current } else { revision };
        for ((cursor, part), found) in pending.into_iter().zip(parts).zip(results) {
            refresh_splits(core, cursor, &part, found.count);
            match cursor.accept(core, now, part, found.kvs, found.more) {
                Ok(len) => bytes += len,
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    Ok(Ok(truncated(cursors.into_iter().map(|cursor| cursor.entries), options.max_bytes)))
}

/// Keeps the entries up to the limit, in the order of the reads.
fn truncated(lists: impl Iterator<Item = Vec<ReadEntry>>, max_bytes: usize) -> Vec<Vec<ReadEntry>> {
    let mut bytes = 0;
    let keep = |entry: &ReadEntry| {
        let fits = bytes < max_bytes;
        bytes += entry.value.as_ref().map_or(0, openkv_engine::Value::len);
        fits
    };
    let mut keep = keep;
    lists.map(|list| list.into_iter().take_while(&mut keep).collect()).collect()
}

fn refresh_splits(core: &Arc<Core>, cursor: &Cursor, part: &Bounds, count: i64) {
    if !cursor.is_key && core.splits.is_crowded(u64::try_from(count).unwrap_or_default(), cursor.left) {
        let (core, part) = (core.clone(), part.clone());
        tokio::spawn(async move { core.splits.refresh(&core.client, &core.keys, &part.0, &part.1).await });
    }
}

/// The first key of a range of keys of entries, and the one past the last.
type Bounds = (Vec<u8>, Vec<u8>);

/// The state of one of the reads.
struct Cursor {
    is_key: bool,
    /// The range that is left to read.
    bounds: Bounds,
    /// The number of entries that are left to read.
    left: usize,
    reverse: bool,
    values: bool,
    entries: Vec<ReadEntry>,
}

impl Cursor {
    fn new(read: &OwnedRead) -> Self {
        let (is_key, bounds, left, reverse, values) = match read {
            OwnedRead::Key(key) => {
                let start = key.as_bytes().to_vec();
                let end = [&start[..], &[0]].concat();
                (true, (start, end), 1, false, true)
            }
            OwnedRead::Range { start, end, limit, reverse, values } => {
                (false, (start.clone(), end.clone()), *limit as usize, *reverse, *values)
            }
        };
        Self { is_key, bounds, left, reverse, values, entries: Vec::new() }
    }

    fn is_done(&self) -> bool {
        self.left == 0 || self.bounds.0 >= self.bounds.1
    }

    /// Returns the next request, for up to `page` entries, and the range that it covers.
    fn request(&self, core: &Core, page: usize) -> (RangeRequest, Bounds) {
        let (start, end) = &self.bounds;
        if self.is_key {
            return (proto::range(core.keys.entry(start), Vec::new()), self.bounds.clone());
        }
        let limit = self.left.min(page);
        let part = core.splits.part(start, end, limit, self.reverse);
        let order = if self.reverse { SortOrder::Descend } else { SortOrder::None };
        let request = RangeRequest {
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
            sort_order: order.into(),
            ..proto::range(core.keys.entry(&part.0), core.keys.entry(&part.1))
        };
        (request, part)
    }

    /// Adds the live entries of a response, and continues after them. Returns the size of their values.
    fn accept(&mut self, core: &Core, now: u64, part: Bounds, kvs: Vec<KeyValue>, more: bool) -> Result<usize> {
        let (start, end) = &mut self.bounds;
        match (kvs.last(), more) {
            (Some(last), true) if self.reverse => *end = core.keys.rest(&last.key).to_vec(),
            (Some(last), true) => *start = [core.keys.rest(&last.key), &[0]].concat(),
            _ if self.reverse => *end = part.0,
            _ => *start = part.1,
        }
        let mut bytes = 0;
        for kv in kvs {
            let stored = Stored::decode(&kv.value)?;
            if self.left == 0 || !stored.is_live(now) {
                continue;
            }
            let key = Key::from_encoded(core.keys.rest(&kv.key).to_vec());
            let versionstamp = stored.versionstamp(kv.mod_revision, core.base());
            let value = self.values.then_some(stored.value);
            bytes += value.as_ref().map_or(0, openkv_engine::Value::len);
            self.entries.push(ReadEntry { key, value, versionstamp });
            self.left -= 1;
        }
        Ok(bytes)
    }
}

/// The entries of keys at a revision, with the earliest time at which one of them expires.
pub(crate) struct Snapshot {
    pub revision: i64,
    pub entries: Vec<Option<Entry>>,
    pub expires: Option<u64>,
}

/// Reads the entries of keys, at a revision or, if that is 0, at the latest.
pub(crate) async fn snapshot(core: &Core, keys: &[Key], revision: i64) -> Result<Result<Snapshot>, Failure> {
    let range = |key: &Key| RangeRequest {
        revision,
        serializable: revision != 0,
        ..proto::range(core.keys.entry(key.as_bytes()), Vec::new())
    };
    let (current, found) = core.client.read_txn(keys.iter().map(range).collect()).await?;
    let now = core.now();
    let mut snapshot =
        Snapshot { revision: if revision == 0 { current } else { revision }, entries: Vec::new(), expires: None };
    for (key, found) in keys.iter().zip(found) {
        let entry = match found.kvs.first() {
            None => None,
            Some(kv) => match Stored::decode(&kv.value) {
                Err(error) => return Ok(Err(error)),
                Ok(stored) if stored.is_live(now) => {
                    snapshot.expires = snapshot.expires.into_iter().chain(stored.expire_at).min();
                    let versionstamp = stored.versionstamp(kv.mod_revision, core.base());
                    Some(Entry { key: key.clone(), value: stored.value, versionstamp })
                }
                Ok(_) => None,
            },
        };
        snapshot.entries.push(entry);
    }
    Ok(Ok(snapshot))
}

/// Reads when the entries of keys expire.
pub(crate) async fn expiries(core: Arc<Core>, keys: Vec<Key>) -> Result<Vec<Option<Expiry>>> {
    let ranges: Vec<_> = keys.iter().map(|key| proto::range(core.keys.entry(key.as_bytes()), Vec::new())).collect();
    let found = restart(&core, || core.client.read_keys(&ranges, 0)).await.map_err(Failure::of_read)?;
    let now = core.now();
    let expiry = |kv: &KeyValue| {
        let stored = Stored::decode(&kv.value)?;
        let versionstamp = stored.versionstamp(kv.mod_revision, core.base());
        Ok(stored.is_live(now).then_some(Expiry { versionstamp, expires_at: stored.expire_at }))
    };
    found.iter().map(|found| found.kvs.first().map_or(Ok(None), expiry)).collect()
}

/// Counts the live entries of a range.
pub(crate) async fn count(core: Arc<Core>, start: Vec<u8>, end: Vec<u8>) -> Result<u64> {
    if start >= end {
        return Ok(0);
    }
    restart(&core, || try_count(&core, &start, &end)).await.map_err(Failure::of_read)?
}

async fn try_count(core: &Core, start: &[u8], end: &[u8]) -> Result<Result<u64>, Failure> {
    let now = core.now();
    let all = RangeRequest { count_only: true, ..proto::range(core.keys.entry(start), core.keys.entry(end)) };
    let (first, _) = core.keys.part(Part::Expiries);
    let due = core.keys.key(Part::Expiries, &now.saturating_add(1).to_be_bytes());
    let expired = |first, revision| RangeRequest {
        limit: EXPIRED,
        revision,
        keys_only: true,
        ..proto::range(first, due.clone())
    };
    let (revision, mut found) = core.client.read_txn(vec![all, expired(first, 0)]).await?;
    let (Some(mut page), Some(all)) = (found.pop(), found.pop()) else {
        return Err(EtcdError::Malformed("ranges are missing").into());
    };
    // Entries that have expired, and are not deleted yet.
    let mut keys = std::collections::BTreeSet::new();
    loop {
        let found = page.kvs.iter().filter_map(|kv| core.keys.rest(&kv.key).get(8..));
        keys.extend(found.filter(|key| (start..end).contains(key)).map(<[u8]>::to_vec));
        let Some(last) = page.kvs.last().filter(|_| page.more) else { break };
        page = core.client.range(expired([&last.key[..], &[0]].concat(), revision)).await?;
    }
    let ranges: Vec<_> = keys.iter().map(|key| proto::range(core.keys.entry(key), Vec::new())).collect();
    let stored = core.client.read_keys(&ranges, revision).await?;
    let mut dead = 0;
    for kv in stored.iter().filter_map(|found| found.kvs.first()) {
        match Stored::decode(&kv.value) {
            Ok(stored) => dead += u64::from(!stored.is_live(now)),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(u64::try_from(all.count).unwrap_or_default().saturating_sub(dead)))
}

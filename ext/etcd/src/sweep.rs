use std::sync::Weak;
use std::time::Duration;

use crate::client::proto::{self, KeyValue, RangeRequest, Request, TxnRequest};
use crate::core::Core;
use crate::error::Failure;
use crate::layout::{self, Part, Stored};

/// The number of entries to delete at a time.
const BATCH: i64 = 30;

/// Deletes expired entries from time to time, until the database is closed. One process does so at a time.
pub(crate) async fn run(core: Weak<Core>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(core) = core.upgrade() else { return };
        if let Err(failure) = sweep(&core, interval).await {
            tracing::debug!(error = %failure.error, "expired entries could not be deleted, trying again later");
        }
    }
}

async fn sweep(core: &Core, interval: Duration) -> Result<(), Failure> {
    if expired(core).await?.is_empty() || !acquire(core, interval).await? {
        return Ok(());
    }
    loop {
        let due = expired(core).await?;
        if due.is_empty() {
            return Ok(());
        }
        delete(core, due).await?;
    }
}

/// Returns the first keys of the index whose time has come.
async fn expired(core: &Core) -> Result<Vec<KeyValue>, Failure> {
    let (start, _) = core.keys.part(Part::Expiries);
    let end = core.keys.key(Part::Expiries, &core.now().saturating_add(1).to_be_bytes());
    let request = RangeRequest { limit: BATCH, keys_only: true, ..proto::range(start, end) };
    Ok(core.client.range(request).await?.kvs)
}

/// Acquires the right to sweep for an interval.
async fn acquire(core: &Core, interval: Duration) -> Result<bool, Failure> {
    let key = core.keys.sweeper();
    let found = core.client.range(proto::range(key.clone(), Vec::new())).await?;
    let (revision, until) = found
        .kvs
        .first()
        .map_or((0, 0), |kv| (kv.mod_revision, kv.value.first_chunk().map_or(0, |until| u64::from_be_bytes(*until))));
    let now = core.now();
    if until > now {
        return Ok(false);
    }
    let until = now.saturating_add(u64::try_from(interval.as_millis() / 2).unwrap_or(u64::MAX));
    let request = TxnRequest {
        compare: vec![proto::unchanged_since(key.clone(), revision)],
        success: vec![proto::put(key, until.to_be_bytes().to_vec(), 0)],
        failure: Vec::new(),
    };
    Ok(core.client.txn(request).await?.0.succeeded)
}

/// Deletes entries that have expired, and keys of the index.
async fn delete(core: &Core, due: Vec<KeyValue>) -> Result<(), Failure> {
    let now = core.now();
    let key = |kv: &KeyValue| core.keys.rest(&kv.key).get(8..).unwrap_or_default().to_vec();
    let entries: Vec<_> = due.iter().map(key).collect();
    let ranges: Vec<_> = entries.iter().map(|key| proto::range(core.keys.entry(key), Vec::new())).collect();
    let found = core.client.read_keys(&ranges, 0).await?;
    let mut success = Vec::new();
    let mut deleted = std::collections::BTreeSet::new();
    for ((kv, key), found) in due.into_iter().zip(&entries).zip(found) {
        success.push(proto::delete(kv.key, Vec::new()));
        let is_dead = |kv: &KeyValue| Stored::decode(&kv.value).is_ok_and(|stored| !stored.is_live(now));
        // The index may have several times of a key.
        let Some(entry) = found.kvs.first().filter(|kv| is_dead(kv)).filter(|_| deleted.insert(key)) else { continue };
        let mut deletions = vec![proto::delete(entry.key.clone(), Vec::new())];
        if layout::is_split(key) {
            deletions.push(proto::delete(core.keys.key(Part::Splits, key), Vec::new()));
        }
        let unchanged = proto::unchanged_since(entry.key.clone(), entry.mod_revision);
        let transaction = TxnRequest { compare: vec![unchanged], success: deletions, failure: Vec::new() };
        success.push(Request::Txn(transaction).into());
    }
    core.client.txn(TxnRequest { success, ..TxnRequest::default() }).await.map(drop)
}

//! Reads all that a database stores, page by page. Pages are no snapshot together.

use std::sync::Arc;

use openkv_engine::{
    Enqueue, Entry, Error, Key, LastCommit, Page, Result, StoredEntry, StoredMessage, Time, Versionstamp,
};

use crate::Options;
use crate::client::proto::{self, RangeRequest};
use crate::core::Core;
use crate::description::Description;
use crate::error::Failure;
use crate::layout::{self, Part, Stored};
use crate::message::Message;

/// The maximum number of keys to request at a time.
const REQUESTED: u32 = 500;

/// Reads a page of live entries.
pub(crate) async fn entries(core: Arc<Core>, after: Vec<u8>, page: Page) -> Result<Vec<StoredEntry>> {
    core.splits.load(&core.client, &core.keys).await.map_err(Failure::of_read)?;
    let end = vec![u8::MAX];
    let mut start = if after.is_empty() { after } else { next(&after) };
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while start < end && entries.len() < page.items as usize && bytes < page.bytes {
        let limit = REQUESTED.min(page.items - entries.len() as u32);
        let part = core.splits.part(&start, &end, limit as usize, false);
        let range = proto::range(core.keys.entry(&part.0), core.keys.entry(&part.1));
        let found = core.client.range(RangeRequest { limit: limit.into(), ..range }).await.map_err(Failure::of_read)?;
        start = match found.kvs.last() {
            Some(last) if found.more => next(core.keys.rest(&last.key)),
            _ => part.1,
        };
        let now = core.now();
        for kv in found.kvs {
            let stored = Stored::decode(&kv.value)?;
            if bytes >= page.bytes || !stored.is_live(now) {
                continue;
            }
            let entry = Entry {
                key: Key::from_encoded(core.keys.rest(&kv.key).to_vec()),
                versionstamp: stored.versionstamp(kv.mod_revision, core.base()),
                value: stored.value,
            };
            bytes += entry.value.len();
            entries.push(StoredEntry { entry, expires_at: stored.expire_at });
        }
    }
    Ok(entries)
}

/// Reads a page of messages, in the order in which they are due.
pub(crate) async fn messages(core: Arc<Core>, after: Vec<u8>, page: Page) -> Result<Vec<StoredMessage>> {
    let (first, end) = core.keys.part(Part::Messages);
    let start = if after.is_empty() { first } else { core.keys.key(Part::Messages, &next(&after)) };
    let limit = REQUESTED.min(page.items).into();
    let found = core.client.range(RangeRequest { limit, ..proto::range(start, end) }).await;
    let found = found.map_err(Failure::of_read)?.kvs;
    // The id of a message follows the time at which it is due.
    let started = |position: &[u8]| {
        let id = position.get(8..).unwrap_or_default();
        proto::range(core.keys.key(Part::Started, id), Vec::new())
    };
    let started: Vec<_> = found.iter().map(|kv| started(core.keys.rest(&kv.key))).collect();
    let started = core.client.read_keys(&started, 0).await.map_err(Failure::of_read)?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for (kv, started) in found.iter().zip(started) {
        if bytes >= page.bytes {
            break;
        }
        let position = core.keys.rest(&kv.key).to_vec();
        let due = position.first_chunk::<8>().map_or(0, |due| u64::from_be_bytes(*due));
        let message = Message::from_encoded(&kv.value);
        bytes += message.payload.len();
        // As if the attempt had failed, but without the delay.
        let schedule = message.schedule.iter().skip(usize::from(!started.kvs.is_empty()));
        let enqueue = Enqueue {
            deliver_at: Time::At(due),
            backoff_schedule: Some(schedule.copied().collect()),
            keys_if_undelivered: message.keys().collect(),
            message: message.payload,
        };
        messages.push(StoredMessage { position, enqueue });
    }
    Ok(messages)
}

/// Returns the key that follows a key.
fn next(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Reads the revision of the cluster: transactions of other databases raise it, too.
pub(crate) async fn last_commit(core: Arc<Core>) -> Result<LastCommit> {
    let found = core.client.range(proto::range(core.keys.description(), Vec::new())).await.map_err(Failure::of_read)?;
    let revision = found.header.map_or(0, |header| header.revision);
    Ok(LastCommit { versionstamp: layout::versionstamp(revision, core.base(), u16::MAX), is_exact: false })
}

/// Makes all later commits have greater versionstamps.
pub(crate) async fn raise_version(core: Arc<Core>, versionstamp: Versionstamp) -> Result<()> {
    let min_version = versionstamp.to_version();
    if min_version > i64::MAX as u64 {
        return Err(Error::NoVersionLeft);
    }
    let options = Options { min_version, ..core.options.clone() };
    let description = Description::open(&core.client, &core.keys, &core.url, &options).await?;
    *core.description.lock() = description;
    Ok(())
}

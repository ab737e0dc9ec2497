//! The operations on entries within a transaction: an atomic write, and the deletion of a range.

use rusqlite::OptionalExtension;

use crate::sqlite::file::schema::live;
use crate::sqlite::read::row::blob;
use crate::sqlite::write::commit_ids;
use crate::sqlite::write::transaction::Transaction;
use crate::{AtomicWrite, Check, Commit, Enqueue, Key, Mutation, MutationKind, Result, Value, ValueRef, Versionstamp};

const LIVE_VERSION: &str = concat!("select version from kv where k = ?1 and ", live!("?2"));
const LIVE_VALUE: &str = concat!("select v, v_encoding, expiration_ms from kv where k = ?1 and ", live!("?2"));
const SET_EXPIRY: &str = "update kv set v = ?2, v_encoding = ?3, version = ?4, expiration_ms = ?5 where k = ?1";
const DELETE: &str = "delete from kv where k = ?1";
const DELETE_RANGE: &str = concat!(
    "delete from kv where k in (select k from kv where k >= ?1 and k < ?2 and ",
    live!("?3"),
    " order by k limit ?4) returning k"
);
/// Adds a message to deliver.
const ENQUEUE: &str =
    "insert or ignore into queue (ts, id, data, backoff_schedule, keys_if_undelivered) values (?1, ?2, ?3, ?4, ?5)";

/// The `expiration_ms` of a value that does not expire.
const NEVER: i64 = -1;

/// Applies an atomic write: its checks, then its mutations, then its messages. A write whose id was committed before is not
/// applied again.
pub(crate) fn write(transaction: &Transaction<'_>, write: &AtomicWrite) -> Result<Commit> {
    if let Some(id) = write.id
        && let Some(versionstamp) = commit_ids::find(transaction, id)?
    {
        return Ok(Commit::Done(versionstamp));
    }
    let mut failed = Vec::new();
    for (i, check) in write.checks.iter().enumerate() {
        if !holds(transaction, check)? {
            failed.push(i);
        }
    }
    if !failed.is_empty() {
        return Ok(Commit::Conflict { failed });
    }
    let version = transaction.next_version()?;
    write.mutations.iter().try_for_each(|mutation| mutate(transaction, mutation, version))?;
    for (i, message) in write.enqueues.iter().enumerate() {
        enqueue(transaction, message, message_id(transaction, version, i))?;
    }
    if let Some(id) = write.id {
        commit_ids::store(transaction, id, version)?;
    }
    Ok(Commit::Done(Versionstamp::from_version(version as u64)))
}

fn holds(transaction: &Transaction<'_>, check: &Check) -> Result<bool> {
    let mut statement = transaction.connection().prepare_cached(LIVE_VERSION)?;
    let key = check.key.as_bytes();
    let version: Option<i64> = statement.query_row((key, transaction.now as i64), |row| row.get(0)).optional()?;
    Ok(version.map(|version| Versionstamp::from_version(version as u64)) == check.versionstamp)
}

fn mutate(transaction: &Transaction<'_>, mutation: &Mutation, version: i64) -> Result<()> {
    match &mutation.kind {
        MutationKind::Set { value, expire_at, versionstamped } => {
            let time = expire_at.map(|time| time.millis(transaction.now));
            let expiry = time.map_or(NEVER, |time| i64::try_from(time).unwrap_or(i64::MAX));
            if let Some(time) = time {
                transaction.expires(time);
            }
            if *versionstamped {
                let mut key = mutation.key.clone();
                key.push_string(&Versionstamp::from_version(version as u64).to_string());
                set(transaction, &key, value.as_ref(), version, expiry)
            } else {
                set(transaction, &mutation.key, value.as_ref(), version, expiry)
            }
        }
        MutationKind::Delete => {
            let key = mutation.key.as_bytes();
            transaction.connection().prepare_cached(DELETE)?.execute([key])?;
            transaction.touch(key);
            Ok(())
        }
        MutationKind::Combine { operand, value } => {
            combine(transaction, &mutation.key, version, |stored| operand.apply(stored, value))
        }
        MutationKind::BoundedSum { value, bounds } => {
            combine(transaction, &mutation.key, version, |stored| bounds.sum(stored, value))
        }
    }
}

fn set(transaction: &Transaction<'_>, key: &Key, value: ValueRef<'_>, version: i64, expiry: i64) -> Result<()> {
    let number;
    let bytes = match value {
        ValueRef::V8(bytes) | ValueRef::Bytes(bytes) => bytes,
        ValueRef::U64(value) => {
            number = value.to_le_bytes();
            &number
        }
    };
    let parameters = (key.as_bytes(), bytes, value.encoding() as i64, version, expiry);
    // A statement that could change the expiry writes the page of its index as well: one page in three of most commits.
    if transaction.set(parameters)? == 0 {
        transaction.connection().prepare_cached(SET_EXPIRY)?.execute(parameters)?;
    }
    transaction.touch(key.as_bytes());
    Ok(())
}

fn combine(
    transaction: &Transaction<'_>,
    key: &Key,
    version: i64,
    with: impl FnOnce(Option<ValueRef<'_>>) -> Result<Value>,
) -> Result<()> {
    let mut statement = transaction.connection().prepare_cached(LIVE_VALUE)?;
    let mut rows = statement.query((key.as_bytes(), transaction.now as i64))?;
    let (stored, expiry) = match rows.next()? {
        None => (None, NEVER),
        Some(row) => (Some(ValueRef::from_encoded(blob(row, 0)?, row.get(1)?)?), row.get(2)?),
    };
    let combined = with(stored)?;
    drop(rows);
    set(transaction, key, combined.as_ref(), version, expiry)
}

/// Returns a UUID for a message. UUIDs sort by commit and, within a commit, by message: messages due in the same millisecond are
/// delivered in the order of their ids.
fn message_id(transaction: &Transaction<'_>, version: i64, i: usize) -> String {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&version.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&(i as u16).to_be_bytes());
    transaction.random.fill(&mut bytes[8..]);
    // UUID version 8 has custom contents except for the version and variant bits. The version takes four of the 16 bits of the
    // index: a write has far fewer than 4096 messages.
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// Returns a UUID for a message without a valid id.
pub(crate) fn new_message_id(transaction: &Transaction<'_>) -> String {
    message_id(transaction, transaction.version(), usize::from(u16::MAX))
}

fn enqueue(transaction: &Transaction<'_>, enqueue: &Enqueue, id: String) -> Result<()> {
    let backoff = json(enqueue.schedule())?;
    let keys: Vec<&[u8]> = enqueue.keys_if_undelivered.iter().map(Key::as_bytes).collect();
    let deliver_at = i64::try_from(enqueue.deliver_at.millis(transaction.now)).unwrap_or(i64::MAX);
    requeue(transaction, deliver_at, id, &enqueue.message, &backoff, &json(&keys)?)
}

/// Adds a message to deliver at a time, with its schedule and keys as JSON. A duplicate id, which only a corrupt file has, is
/// replaced.
pub(crate) fn requeue(
    transaction: &Transaction<'_>,
    time: i64,
    id: String,
    message: &[u8],
    schedule: &str,
    keys: &str,
) -> Result<()> {
    let mut statement = transaction.connection().prepare_cached(ENQUEUE)?;
    let mut id = id;
    while statement.execute((time, &id, message, schedule, keys))? == 0 {
        id = new_message_id(transaction);
    }
    transaction.enqueued();
    Ok(())
}

/// Stores a message that could not be delivered under its keys.
pub(crate) fn set_undelivered(transaction: &Transaction<'_>, keys: Vec<Vec<u8>>, message: &[u8]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let version = transaction.next_version()?;
    keys.into_iter()
        .try_for_each(|key| set(transaction, &Key::from_encoded(key), ValueRef::V8(message), version, NEVER))
}

/// Deletes the first entries of a range. Returns their number.
pub(crate) fn delete_range(transaction: &Transaction<'_>, start: &[u8], end: &[u8], limit: u32) -> Result<u64> {
    let mut statement = transaction.connection().prepare_cached(DELETE_RANGE)?;
    let mut rows = statement.query((start, end, transaction.now as i64, limit))?;
    let mut deleted = 0;
    while let Some(row) = rows.next()? {
        transaction.touch(row.get_ref(0)?.as_blob().unwrap_or_default());
        deleted += 1;
    }
    if deleted > 0 {
        transaction.next_version()?;
    }
    Ok(deleted)
}

/// Encodes a value as JSON, for a column.
pub(crate) fn json(value: impl serde::Serialize) -> Result<String> {
    serde_json::to_string(&value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()).into())
}

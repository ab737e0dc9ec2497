//! Converts entries from and to the columns of their table.

use openkv_engine::{
    Enqueue, Entry, Error, Expiry, Key, ReadEntry, Result, StoredEntry, StoredMessage, Time, Value, Versionstamp,
};
use tokio_postgres::Row;

/// The encoding of a value: the column `encoding`. The numbers are those of the file format of Deno KV.
const V8: i16 = 1;
const U64: i16 = 2;
const BYTES: i16 = 3;

/// Returns the encoding of a value.
pub(crate) fn encoding(value: &Value) -> i16 {
    match value {
        Value::V8(_) => V8,
        Value::U64(_) => U64,
        Value::Bytes(_) => BYTES,
    }
}

/// Decodes a value.
///
/// # Errors
/// [`Error::CorruptValue`].
pub(crate) fn value(bytes: &[u8], encoding: i16) -> Result<Value> {
    let corrupt = || Error::CorruptValue { encoding: encoding.into(), len: bytes.len() };
    match encoding {
        V8 => Ok(Value::V8(bytes.to_vec())),
        U64 => Ok(Value::U64(u64::from_le_bytes(bytes.try_into().map_err(|_| corrupt())?))),
        BYTES => Ok(Value::Bytes(bytes.to_vec())),
        _ => Err(corrupt()),
    }
}

/// Decodes a versionstamp.
pub(crate) fn versionstamp(version: i64) -> Versionstamp {
    Versionstamp::from_version(version.max(0) as u64)
}

/// Decodes an entry from the columns key, version, value and encoding.
///
/// # Errors
/// [`Error::CorruptValue`].
pub(crate) fn entry(row: &Row) -> Result<ReadEntry> {
    let key = Key::from_encoded(row.get::<_, &[u8]>(0).to_vec());
    let value = row.get::<_, Option<&[u8]>>(2).map(|bytes| value(bytes, row.get(3))).transpose()?;
    Ok(ReadEntry { key, value, versionstamp: versionstamp(row.get(1)) })
}

/// Decodes an entry from the columns key, version, value, encoding and expires_at.
///
/// # Errors
/// [`Error::CorruptValue`].
pub(crate) fn stored_entry(row: &Row) -> Result<StoredEntry> {
    let entry = Entry {
        key: Key::from_encoded(row.get::<_, &[u8]>(0).to_vec()),
        value: value(row.get(2), row.get(3))?,
        versionstamp: versionstamp(row.get(1)),
    };
    Ok(StoredEntry { entry, expires_at: row.get::<_, Option<i64>>(4).map(time) })
}

/// Decodes an expiry from the columns key, version and expires_at.
pub(crate) fn expiry(row: &Row) -> Expiry {
    Expiry { versionstamp: versionstamp(row.get(1)), expires_at: row.get::<_, Option<i64>>(2).map(time) }
}

/// Decodes a message from the columns id, due, message, schedule, undelivered, and whether it is in flight.
pub(crate) fn stored_message(row: &Row) -> StoredMessage {
    let (id, schedule, keys): (i64, Vec<i64>, Vec<Vec<u8>>) = (row.get(0), row.get(3), row.get(4));
    // As if the attempt had failed, but without the delay.
    let delays = schedule.into_iter().skip(usize::from(row.get::<_, bool>(5)));
    let enqueue = Enqueue {
        message: row.get(2),
        deliver_at: Time::At(time(row.get(1))),
        backoff_schedule: Some(delays.map(|delay| u32::try_from(delay).unwrap_or(u32::MAX)).collect()),
        keys_if_undelivered: keys.into_iter().map(Key::from_encoded).collect(),
    };
    StoredMessage { position: id.to_be_bytes().to_vec(), enqueue }
}

fn time(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or_default()
}

/// Converts a time to that of a column.
pub(crate) fn millis(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

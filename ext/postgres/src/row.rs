//! Converts entries from and to the columns of their table.

use openkv_engine::{Error, Key, ReadEntry, Result, Value, Versionstamp};
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

/// Converts a time to that of a column.
pub(crate) fn millis(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

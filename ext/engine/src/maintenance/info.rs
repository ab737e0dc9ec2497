use std::path::Path;

use rusqlite::Connection;

use super::compact::Size;
use super::tables::COMMIT_IDS;
use super::{backup, source};
use crate::sqlite::pinned::Pinned;
use crate::sqlite::schema::{self, live};
use crate::value::Encoding;
use crate::{Result, Versionstamp};

const ENTRIES: &str = concat!(
    "select v_encoding, count(*), sum(length(k)), sum(length(v)) from kv where ",
    live!("?1"),
    " group by v_encoding"
);
const EXPIRED: &str = "select count(*) from kv where expiration_ms >= 0 and expiration_ms <= ?1";
const NEXT_EXPIRY: &str = "select min(expiration_ms) from kv where expiration_ms > ?1";
const WAITING: &str = "select count(*), count(*) filter (where ts <= ?1) from queue";
const RUNNING: &str = "select count(*) from queue_running";
const COUNT_COMMIT_IDS: &str = "select count(*) from openkv_commit_ids";

/// The contents and size of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The version of the format.
    pub format: i64,
    /// The size of the file and its WAL.
    pub size: Size,
    /// The size of a page in bytes.
    pub page_size: u64,
    /// The number of pages in the database.
    pub pages: u64,
    /// The number of free pages, which are reused for new entries.
    pub free_pages: u64,
    /// The number of entries that have not expired.
    pub entries: u64,
    /// The number of these entries by encoding.
    pub encodings: Encodings,
    /// The total size of their encoded keys, in bytes.
    pub key_bytes: u64,
    /// The total size of their values, in bytes.
    pub value_bytes: u64,
    /// The number of entries that have expired, but are not removed yet.
    pub expired: u64,
    /// When the next entry expires, in milliseconds since the Unix epoch.
    pub next_expiry: Option<u64>,
    /// The number of messages that wait for delivery.
    pub waiting: u64,
    /// The number of these messages that are due now.
    pub ready: u64,
    /// The number of messages in flight.
    pub running: u64,
    /// The number of stored commit ids: see [`AtomicWrite::id`](crate::AtomicWrite::id).
    pub commit_ids: u64,
    /// The versionstamp of the last commit.
    pub last_versionstamp: Versionstamp,
}

/// The number of entries by encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encodings {
    /// See [`Value::V8`](crate::Value::V8).
    pub v8: u64,
    /// See [`Value::U64`](crate::Value::U64).
    pub u64: u64,
    /// See [`Value::Bytes`](crate::Value::Bytes).
    pub bytes: u64,
    /// Entries of an unknown encoding.
    pub unknown: u64,
}

/// Returns information about a database, as of a time in milliseconds since the Unix epoch. Reads all of its keys. Changes neither
/// the file nor its WAL, and does not block writers.
///
/// # Errors
/// [`Error::File`](crate::Error::File), [`Error::NewerFormat`](crate::Error::NewerFormat),
/// [`Error::Busy`](crate::Error::Busy) or [`Error::Storage`](crate::Error::Storage).
pub fn info(file: &Path, now: u64) -> Result<Info> {
    let file = source::find(file)?;
    let connection = source::open_reader(&file)?;
    read(&connection, &file, now).map_err(|error| error.of(file.path()))
}

fn read(connection: &Connection, file: &Pinned, now: u64) -> Result<Info> {
    let snapshot = source::snapshot(connection)?;
    source::require_current(&snapshot, file.path())?;
    let now = now as i64;
    let pragma = |name| snapshot.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(|value| value as u64);
    let count = |sql| snapshot.query_row(sql, [now], |row| row.get::<_, i64>(0)).map(|count| count as u64);

    let mut encodings = Encodings::default();
    let (mut entries, mut key_bytes, mut value_bytes) = (0, 0, 0);
    let mut statement = snapshot.prepare(ENTRIES)?;
    let mut rows = statement.query([now])?;
    while let Some(row) = rows.next()? {
        let (encoding, count, keys, values): (rusqlite::types::Value, i64, i64, i64) = row.try_into()?;
        let group = match encoding {
            rusqlite::types::Value::Integer(e) if e == Encoding::V8 as i64 => &mut encodings.v8,
            rusqlite::types::Value::Integer(e) if e == Encoding::U64 as i64 => &mut encodings.u64,
            rusqlite::types::Value::Integer(e) if e == Encoding::Bytes as i64 => &mut encodings.bytes,
            _ => &mut encodings.unknown,
        };
        *group += count as u64;
        entries += count as u64;
        key_bytes += keys as u64;
        value_bytes += values as u64;
    }
    let (waiting, ready) = snapshot.query_row(WAITING, [now], |row| <(i64, i64)>::try_from(row))?;
    let next_expiry: Option<i64> = snapshot.query_row(NEXT_EXPIRY, [now], |row| row.get(0))?;
    Ok(Info {
        format: schema::KNOWN,
        size: Size::of(file),
        page_size: pragma("page_size")?,
        pages: pragma("page_count")?,
        free_pages: pragma("freelist_count")?,
        entries,
        encodings,
        key_bytes,
        value_bytes,
        expired: count(EXPIRED)?,
        next_expiry: next_expiry.map(|time| time as u64),
        waiting: waiting as u64,
        ready: ready as u64,
        running: snapshot.query_row(RUNNING, [], |row| row.get::<_, i64>(0))? as u64,
        commit_ids: if COMMIT_IDS.is_in(&snapshot)? {
            snapshot.query_row(COUNT_COMMIT_IDS, [], |row| row.get::<_, i64>(0))? as u64
        } else {
            0
        },
        last_versionstamp: Versionstamp::from_version(backup::last_version(&snapshot)? as u64),
    })
}

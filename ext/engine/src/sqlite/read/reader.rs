use std::ops::ControlFlow;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

use crate::sqlite::file::connection::FileConnection;
use crate::sqlite::file::schema::live;
use crate::sqlite::read::row::blob;
use crate::{EntryRef, Error, Expiry, Key, OwnedRead, Read, ReadEntry, Result, ValueRef, Versionstamp, Visitor};

/// A query for the entries in a range of keys that are live at a time.
macro_rules! scan {
    ($columns:literal, $rest:literal) => {
        concat!("select ", $columns, " from kv where k >= ?1 and k < ?2 and ", live!("?3"), " ", $rest)
    };
}

const GET: &str = concat!("select k, v, v_encoding, version from kv where k = ?1 and ", live!("?2"));
const EXPIRY: &str = concat!("select version, expiration_ms from kv where k = ?1 and ", live!("?2"));
const SCAN: &str = scan!("k, v, v_encoding, version", "order by k limit ?4");
const SCAN_REVERSE: &str = scan!("k, v, v_encoding, version", "order by k desc limit ?4");
const SCAN_KEYS: &str = scan!("k, null, 0, version", "order by k limit ?4");
const SCAN_KEYS_REVERSE: &str = scan!("k, null, 0, version", "order by k desc limit ?4");
const COUNT: &str = scan!("count(*)", "");

/// Reads in one snapshot. See [`Database::read`](crate::Database::read).
pub(crate) fn read(connection: &Connection, now: u64, reads: &[Read<'_>], visit: &mut Visitor<'_>) -> Result<()> {
    let _snapshot = snapshot(connection, reads.len())?;
    // Reads of many keys look the statement up once.
    let mut last: Option<(&str, CachedStatement<'_>)> = None;
    for (i, read) in reads.iter().enumerate() {
        let sql = match read {
            Read::Key(_) => GET,
            Read::Range { reverse: false, values: true, .. } => SCAN,
            Read::Range { reverse: true, values: true, .. } => SCAN_REVERSE,
            Read::Range { reverse: false, values: false, .. } => SCAN_KEYS,
            Read::Range { reverse: true, values: false, .. } => SCAN_KEYS_REVERSE,
        };
        let statement = match &mut last {
            Some((last_sql, statement)) if *last_sql == sql => statement,
            last => &mut last.insert((sql, connection.prepare_cached(sql)?)).1,
        };
        let mut rows = match *read {
            Read::Key(key) => statement.query((key.as_bytes(), now as i64))?,
            Read::Range { start, end, limit, .. } => statement.query((start, end, now as i64, limit))?,
        };
        let values = !matches!(read, Read::Range { values: false, .. });
        while let Some(row) = rows.next()? {
            let entry = entry(row, values)?;
            check_order(*read, entry.key)?;
            if let ControlFlow::Break(()) = visit(i, entry) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Makes a number of statements read one snapshot. A single one does so by itself; several need a transaction. A nested read, from
/// within a visit, is part of the outer snapshot.
fn snapshot(connection: &Connection, statements: usize) -> Result<Option<Transaction<'_>>> {
    if statements > 1 && connection.is_autocommit() {
        return Ok(Some(Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?));
    }
    Ok(None)
}

/// Checks that an entry is not before the start of its range, which is possible in a corrupt file: a listing that continues
/// after such an entry would read it again, and never finish. The query itself stops at the end of the range.
fn check_order(read: Read<'_>, key: &[u8]) -> Result<()> {
    match read {
        Read::Range { start, reverse: false, .. } if key < start => Err(out_of_order()),
        Read::Range { end, reverse: true, .. } if key >= end => Err(out_of_order()),
        _ => Ok(()),
    }
}

fn out_of_order() -> Error {
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(corrupt, Some("its entries are out of order".into())).into()
}

/// Reads in one snapshot, and copies the entries, up to `max_bytes` of values. Returns one list per read.
pub(crate) fn read_entries(
    connection: &Connection,
    now: u64,
    reads: &[OwnedRead],
    max_bytes: usize,
) -> Result<Vec<Vec<ReadEntry>>> {
    let reads: Vec<_> = reads.iter().map(OwnedRead::as_read).collect();
    let mut lists = vec![Vec::new(); reads.len()];
    let mut bytes = 0;
    read(connection, now, &reads, &mut |i, entry| {
        bytes += entry.value.map_or(0, ValueRef::len);
        lists[i].push(entry.to_owned());
        if bytes < max_bytes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(lists)
}

/// Begins a read transaction. The connection then reads one snapshot, regardless of later commits.
pub(crate) fn begin_snapshot(connection: FileConnection) -> Result<FileConnection> {
    connection.execute_batch("begin")?;
    connection.query_row("select version from data_version where k = 0", [], |_| Ok(()))?;
    Ok(connection)
}

/// Reads when the entries of keys expire. See [`Database::expiries`](crate::Database::expiries).
pub(crate) fn expiries(connection: &Connection, now: u64, keys: &[Key]) -> Result<Vec<Option<Expiry>>> {
    let _snapshot = snapshot(connection, keys.len())?;
    let mut statement = connection.prepare_cached(EXPIRY)?;
    let expiry = |row: &Row<'_>| {
        let versionstamp = Versionstamp::from_version(row.get::<_, i64>(0)? as u64);
        Ok(Expiry { versionstamp, expires_at: u64::try_from(row.get::<_, i64>(1)?).ok() })
    };
    keys.iter().map(|key| Ok(statement.query_row((key.as_bytes(), now as i64), expiry).optional()?)).collect()
}

/// Counts the entries of a range. See [`Database::count`](crate::Database::count).
pub(crate) fn count(connection: &Connection, now: u64, start: &[u8], end: &[u8]) -> Result<u64> {
    Ok(connection.query_row(COUNT, (start, end, now as i64), |row| row.get::<_, i64>(0))? as u64)
}

fn entry<'a>(row: &'a Row<'_>, values: bool) -> Result<EntryRef<'a>> {
    let value = if values { Some(ValueRef::from_encoded(blob(row, 1)?, row.get(2)?)?) } else { None };
    let versionstamp = Versionstamp::from_version(row.get::<_, i64>(3)? as u64);
    Ok(EntryRef { key: blob(row, 0)?, value, versionstamp })
}

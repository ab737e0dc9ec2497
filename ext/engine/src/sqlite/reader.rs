use rusqlite::{Connection, Row, Rows, Transaction, TransactionBehavior};

use crate::{EntryRef, Read, Result, ValueRef, Versionstamp};

// An entry that has expired is absent, whether or not the sweep has removed it yet. `expiration_ms` is -1 for never.
const GET: &str = "select k, v, v_encoding, version from kv where k = ?1 and (expiration_ms < 0 or expiration_ms > ?2)";
const SCAN: &str = "select k, v, v_encoding, version from kv
    where k >= ?1 and k < ?2 and (expiration_ms < 0 or expiration_ms > ?3) order by k limit ?4";
const SCAN_REVERSE: &str = "select k, v, v_encoding, version from kv
    where k >= ?1 and k < ?2 and (expiration_ms < 0 or expiration_ms > ?3) order by k desc limit ?4";

/// Reads in one snapshot. See [`Database::read`](crate::Database::read).
pub(super) fn read(
    connection: &Connection,
    now: u64,
    reads: &[Read<'_>],
    visit: &mut dyn FnMut(usize, EntryRef<'_>) -> Result<()>,
) -> Result<()> {
    // One statement is a snapshot by itself; several need a transaction around them.
    let _snapshot = match reads {
        [] | [_] => None,
        _ => Some(Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?),
    };
    for (i, read) in reads.iter().enumerate() {
        match *read {
            Read::Key(key) => {
                let mut statement = connection.prepare_cached(GET)?;
                each(statement.query((key.as_bytes(), now as i64))?, i, visit)?;
            }
            Read::Range { start, end, limit, reverse } => {
                let mut statement = connection.prepare_cached(if reverse { SCAN_REVERSE } else { SCAN })?;
                each(statement.query((start, end, now as i64, limit))?, i, visit)?;
            }
        }
    }
    Ok(())
}

fn each(mut rows: Rows<'_>, i: usize, visit: &mut dyn FnMut(usize, EntryRef<'_>) -> Result<()>) -> Result<()> {
    while let Some(row) = rows.next()? {
        visit(i, entry(row)?)?;
    }
    Ok(())
}

fn entry<'a>(row: &'a Row<'_>) -> Result<EntryRef<'a>> {
    Ok(EntryRef {
        key: blob(row, 0)?,
        value: ValueRef::from_stored(blob(row, 1)?, row.get(2)?)?,
        versionstamp: Versionstamp::from_version(row.get::<_, i64>(3)? as u64),
    })
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8]> {
    let value = row.get_ref(column)?;
    value.as_blob().map_err(|_| {
        rusqlite::Error::InvalidColumnType(
            column,
            row.as_ref().column_name(column).unwrap_or("?").into(),
            value.data_type(),
        )
        .into()
    })
}

//! Reads all that a file stores. See [`Transfer`](crate::Transfer).

use rusqlite::{Connection, Row};

use crate::sqlite::file::schema::live;
use crate::sqlite::read::row::blob;
use crate::{
    Enqueue, Entry, Key, LastCommit, Page, Result, StoredEntry, StoredMessage, Time, Value, ValueRef, Versionstamp,
};

const ENTRIES: &str = concat!(
    "select k, v, v_encoding, version, expiration_ms from kv where k > ?1 and ",
    live!("?2"),
    " order by k limit ?3"
);
/// Rows have the order in which messages were added. It does not change while the claims of messages are renewed.
const WAITING: &str = "select rowid, ts, data, backoff_schedule, keys_if_undelivered from queue
    where rowid > ?1 order by rowid limit ?2";
const RUNNING: &str = "select rowid, deadline, data, backoff_schedule, keys_if_undelivered from queue_running
    where rowid > ?1 order by rowid limit ?2";
const VERSION: &str = "select version from data_version where k = 0";

/// Reads a page of entries that are live at a time.
pub(crate) fn entries(connection: &Connection, now: u64, after: &[u8], page: Page) -> Result<Vec<StoredEntry>> {
    let mut statement = connection.prepare_cached(ENTRIES)?;
    let mut rows = statement.query((after, now as i64, page.items))?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while bytes < page.bytes
        && let Some(row) = rows.next()?
    {
        let value: Value = ValueRef::from_encoded(blob(row, 1)?, row.get(2)?)?.to_owned();
        bytes += value.len();
        let entry = Entry {
            key: Key::from_encoded(blob(row, 0)?.to_vec()),
            value,
            versionstamp: Versionstamp::from_version(row.get::<_, i64>(3)? as u64),
        };
        entries.push(StoredEntry { entry, expires_at: u64::try_from(row.get::<_, i64>(4)?).ok() });
    }
    Ok(entries)
}

/// Reads a page of messages: first those that wait, then those in flight.
pub(crate) fn messages(connection: &Connection, after: &[u8], page: Page) -> Result<Vec<StoredMessage>> {
    let (is_running, row) = decode_position(after);
    let mut messages = Vec::new();
    if !is_running {
        read(connection, false, row, page, &mut messages)?;
    }
    if messages.is_empty() {
        read(connection, true, if is_running { row } else { i64::MIN }, page, &mut messages)?;
    }
    Ok(messages)
}

fn read(
    connection: &Connection,
    is_running: bool,
    after: i64,
    page: Page,
    messages: &mut Vec<StoredMessage>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(if is_running { RUNNING } else { WAITING })?;
    let mut rows = statement.query((after, page.items))?;
    let mut bytes = 0;
    while bytes < page.bytes
        && let Some(row) = rows.next()?
    {
        let enqueue = message(row, is_running)?;
        bytes += enqueue.message.len();
        messages.push(StoredMessage { position: encode_position(is_running, row.get(0)?), enqueue });
    }
    Ok(())
}

/// Decodes a message. Like its delivery, this takes a corrupt schedule or key for none.
fn message(row: &Row<'_>, is_running: bool) -> Result<Enqueue> {
    let schedule: Option<Vec<u64>> = serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default();
    let keys = row.get_ref(4)?.as_bytes().ok().and_then(|keys| serde_json::from_slice::<Vec<Vec<u8>>>(keys).ok());
    // A message in flight is requeued after the first delay: see the module `queue`.
    let delays = schedule.unwrap_or_default().into_iter().skip(usize::from(is_running));
    Ok(Enqueue {
        message: blob(row, 2)?.to_vec(),
        deliver_at: Time::At(u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default()),
        backoff_schedule: Some(delays.map(|delay| u32::try_from(delay).unwrap_or(u32::MAX)).collect()),
        keys_if_undelivered: keys.unwrap_or_default().into_iter().map(Key::from_encoded).collect(),
    })
}

/// Reads the version of the last commit.
pub(crate) fn last_commit(connection: &Connection) -> Result<LastCommit> {
    let version: i64 = connection.query_row(VERSION, [], |row| row.get(0))?;
    Ok(LastCommit { versionstamp: Versionstamp::from_version(version as u64), is_exact: true })
}

/// Encodes the position of a message: whether it is in flight, and the number of its row.
fn encode_position(is_running: bool, row: i64) -> Vec<u8> {
    [&[u8::from(is_running)][..], &row.to_be_bytes()].concat()
}

fn decode_position(position: &[u8]) -> (bool, i64) {
    match position.split_first() {
        Some((is_running, row)) => (*is_running == 1, row.try_into().map_or(i64::MIN, i64::from_be_bytes)),
        None => (false, i64::MIN),
    }
}

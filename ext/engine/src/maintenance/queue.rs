use std::path::Path;

use rusqlite::{Connection, Row};

use super::{backup, source};
use crate::sqlite::message;
use crate::{Key, Result, Versionstamp};

const WAITING: &str = "select ts, data, backoff_schedule, keys_if_undelivered from queue order by ts, id limit ?1";
const IN_FLIGHT: &str =
    "select deadline, data, backoff_schedule, keys_if_undelivered from queue_running order by deadline, id limit ?1";

/// The messages of a database, those in flight first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// The first messages that handlers have received, and have not finished.
    pub in_flight: Vec<QueuedMessage>,
    /// The first messages that wait for delivery, in the order in which they become due.
    pub waiting: Vec<QueuedMessage>,
    /// The versionstamp of the last commit of an entry.
    pub last_versionstamp: Versionstamp,
}

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueuedMessage {
    /// When it is due or, in flight, until when it counts as being handled. In milliseconds since the Unix epoch, 0 if it is
    /// corrupt.
    pub time: u64,
    /// The message, in V8's serialization format.
    pub message: Vec<u8>,
    /// The delays before further attempts, in milliseconds.
    pub backoff_schedule: Vec<u64>,
    /// The keys to store it under if its last delivery fails.
    pub keys_if_undelivered: Vec<Key>,
}

/// Returns up to a number of messages in flight, and of those that wait. Changes neither the file nor its WAL, and does not block
/// writers.
///
/// # Errors
/// As [`info`](super::info).
pub fn queue(file: &Path, limit: u32) -> Result<Queue> {
    let file = source::find(file)?;
    let connection = source::open_reader(&file)?;
    read(&connection, file.path(), limit).map_err(|error| error.of(file.path()))
}

fn read(connection: &Connection, path: &Path, limit: u32) -> Result<Queue> {
    let snapshot = source::snapshot(connection)?;
    source::require_current(&snapshot, path)?;
    let messages = |sql| snapshot.prepare(sql)?.query_and_then([limit], read_message)?.collect::<Result<Vec<_>>>();
    Ok(Queue {
        in_flight: messages(IN_FLIGHT)?,
        waiting: messages(WAITING)?,
        last_versionstamp: Versionstamp::from_version(backup::last_version(&snapshot)? as u64),
    })
}

fn read_message(row: &Row<'_>) -> Result<QueuedMessage> {
    let keys = message::keys(message::text(row, 3)?);
    Ok(QueuedMessage {
        time: row.get_ref(0)?.as_i64().ok().and_then(|time| u64::try_from(time).ok()).unwrap_or(0),
        message: message::bytes(row, 1)?,
        backoff_schedule: message::schedule(message::text(row, 2)?),
        keys_if_undelivered: keys.into_iter().map(Key::from_encoded).collect(),
    })
}

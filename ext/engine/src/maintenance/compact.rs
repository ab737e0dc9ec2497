use std::path::Path;

use rusqlite::Connection;

use super::tables::COMMIT_IDS;
use super::{OnProgress, Progress, source};
use crate::sqlite::pinned::Pinned;
use crate::{CommitId, Error, Result};

const DELETE_EXPIRED: &str = "delete from kv where expiration_ms >= 0 and expiration_ms <= ?1";
const DELETE_COMMIT_IDS: &str = "delete from openkv_commit_ids where committed_at not between ?1 and ?2";

/// The size of a database on disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Size {
    /// The size of the file.
    pub file: u64,
    /// The size of its WAL.
    pub wal: u64,
}

impl Size {
    pub(super) fn of(file: &Pinned) -> Self {
        let size = |suffix| file.status(suffix).map_or(0, |status| status.size);
        Self { file: size(""), wal: size("-wal") }
    }
}

/// The result of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compaction {
    /// The size before.
    pub before: Size,
    /// The size after.
    pub after: Size,
    /// The number of expired entries that were removed.
    pub expired: u64,
    /// Whether the WAL was checkpointed and truncated. False if other processes were reading from it.
    pub checkpointed: bool,
}

/// Removes expired entries and commit ids, as of a time in milliseconds since the Unix epoch, and rebuilds the file without free
/// pages. Other processes may have the file open: their reads continue, their writes wait. Needs additional space of the size of
/// the file both in the directory for temporary files and in the WAL.
///
/// # Errors
/// [`Error::File`], [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn compact(file: &Path, now: u64, progress: &mut OnProgress<'_>) -> Result<Compaction> {
    let file = source::find(file)?;
    let connection = source::open_writer(&file)?;
    let before = Size::of(&file);
    let path = file.path();
    let (expired, checkpointed) = run(&connection, path, now, progress).map_err(|error| error.of(path))?;
    Ok(Compaction { before, after: Size::of(&file), expired, checkpointed })
}

fn run(connection: &Connection, file: &Path, now: u64, progress: &mut OnProgress<'_>) -> Result<(u64, bool)> {
    source::require_current(connection, file)?;
    progress(Progress { doing: "removing expired entries", done: 0, total: 0 });
    let expired = connection.execute(DELETE_EXPIRED, [now as i64])?;
    if COMMIT_IDS.is_in(connection)? {
        let bounds = [now.saturating_sub(CommitId::REMEMBERED), now.saturating_add(CommitId::REMEMBERED)];
        connection.execute(DELETE_COMMIT_IDS, bounds.map(|time| i64::try_from(time).unwrap_or(i64::MAX)))?;
    }
    progress(Progress { doing: "laying out pages", done: 0, total: 0 });
    connection.execute_batch("vacuum")?;
    progress(Progress { doing: "checkpointing the WAL", done: 0, total: 0 });
    // Waits for readers of older snapshots.
    let busy = connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get::<_, bool>(0));
    let checkpointed = match busy.map_err(Error::from) {
        Ok(busy) => !busy,
        Err(Error::Busy) => false,
        Err(error) => return Err(error),
    };
    Ok((expired as u64, checkpointed))
}

use std::path::Path;
use std::sync::Arc;

use rusqlite::backup::StepResult;
use rusqlite::{Connection, OpenFlags};

use super::stage::Stage;
use super::{OnProgress, Progress, source, target};
use crate::sqlite::connection;
use crate::sqlite::pinned::Pinned;
use crate::{Error, Result};

/// The number of pages to copy between two progress reports.
const STEP: i32 = 1000;

/// The result of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The size of the new file in bytes.
    pub size: u64,
}

/// Copies a snapshot of a database into a new file, while other processes continue to write. The new file is created atomically,
/// synced to disk, and has no WAL. Free pages are copied, too.
///
/// # Errors
/// [`Error::File`] of either file, [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn backup(file: &Path, to: &Path, overwrite: bool, progress: &mut OnProgress<'_>) -> Result<Backup> {
    let (file, to) = (&source::find(file)?, &source::resolve(to)?);
    source::require_one_name(file)?;
    target::require_free(to, file, overwrite)?;
    let connection = source::open_reader(file)?;
    // SQLite copies page by page, and starts over when another process has written meanwhile, so that it would never finish under
    // constant writes. With a read transaction around it, the copy is a snapshot. Writers are not blocked; only the WAL grows until
    // the copy is done.
    let snapshot = source::snapshot(&connection).map_err(|error| error.of(file.path()))?;
    source::require_current(&snapshot, file.path()).map_err(|error| error.of(file.path()))?;
    let stage = Stage::new(to)?;
    copy(&snapshot, &stage.file(), progress).map_err(|error| error.of(to.path()))?;
    Ok(Backup { size: stage.put(file, overwrite)? })
}

/// Copies the snapshot of a connection into a new, private file.
pub(super) fn copy(from: &Connection, to: &Arc<Pinned>, progress: &mut OnProgress<'_>) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = connection::connect(to, flags)?;
    // The file is synced once it is complete, and discarded on a failure.
    connection.execute_batch("pragma journal_mode = off; pragma synchronous = off")?;
    copy_into(from, &mut connection, progress)?;
    Ok(connection.close()?)
}

/// Replaces the database of a connection by the snapshot of another, in one transaction.
pub(super) fn copy_into(from: &Connection, to: &mut Connection, progress: &mut OnProgress<'_>) -> Result<()> {
    let copy = rusqlite::backup::Backup::new(from, to)?;
    loop {
        let result = copy.step(STEP)?;
        let pages = copy.progress();
        let (total, left) = (pages.pagecount as u64, pages.remaining as u64);
        progress(Progress { doing: "copying pages", done: total - left, total });
        match result {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => return Err(Error::Busy),
        }
    }
}

/// Returns the version of the last commit.
pub(super) fn last_version(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("select version from data_version where k = 0", [], |row| row.get(0))?)
}

use std::path::Path;
use std::sync::Arc;

use rusqlite::backup::StepResult;
use rusqlite::{Connection, OpenFlags};

use super::stage::Stage;
use super::{OnProgress, Progress, source, target};
use crate::sqlite::connection;
use crate::sqlite::pinned::Pinned;
use crate::{Error, Result};

/// How many pages to copy at once.
const STEP: i32 = 1000;

/// What a backup made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The size of the new file in bytes.
    pub size: u64,
}

/// Copies a database into a new file, as it is at one moment, while others go on writing. The new file is there as a whole,
/// on the disk, or not at all, and has no WAL. Free pages are copied, too.
///
/// # Errors
/// [`Error::File`] of either file, [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn backup(file: &Path, to: &Path, overwrite: bool, progress: &mut OnProgress<'_>) -> Result<Backup> {
    let (file, to) = (&source::find(file)?, &source::resolve(to)?);
    source::require_one_name(file)?;
    target::require_free(to, file, overwrite)?;
    let connection = source::open_reader(file)?;
    // SQLite copies page by page, and would be reset whenever it finds that another process wrote meanwhile: with
    // constant writers, for ever. A read transaction around all of the copy keeps its pages as they were when it began.
    // Writers are not kept waiting; only their WAL grows until the copy is done.
    let snapshot = source::snapshot(&connection).map_err(|error| error.of(file.path()))?;
    source::require_present(&snapshot, file.path()).map_err(|error| error.of(file.path()))?;
    let stage = Stage::beside(to)?;
    copy(&snapshot, &stage.file(), progress).map_err(|error| error.of(to.path()))?;
    Ok(Backup { size: stage.put(file, overwrite)? })
}

/// Copies the snapshot of a connection into a file of which nobody else knows.
pub(super) fn copy(from: &Connection, to: &Arc<Pinned>, progress: &mut OnProgress<'_>) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = connection::connect(to, flags)?;
    // The whole file is synced once it is complete, and thrown away where it does not come to that.
    connection.execute_batch("pragma journal_mode = off; pragma synchronous = off")?;
    copy_into(from, &mut connection, progress)?;
    Ok(connection.close()?)
}

/// Copies the snapshot of a connection over the database of another, in one transaction.
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

/// The number of the last commit.
pub(super) fn last_version(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("select version from data_version where k = 0", [], |row| row.get(0))?)
}

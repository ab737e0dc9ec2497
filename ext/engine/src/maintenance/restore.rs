use std::path::Path;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::stage::Stage;
use super::{OnProgress, backup, check, source, target};
use crate::sqlite::connection::{self, FileConnection};
use crate::sqlite::pinned::Pinned;
use crate::{Error, FileProblem, Result, Versionstamp};

const RAISE_VERSION: &str = "update data_version set version = max(version, ?1) where k = 0";

/// The result of a restoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restoration {
    /// The size of the file in bytes.
    pub size: u64,
    /// The last versionstamp, which the next commit exceeds: that of the backup or of the replaced file, whichever is greater.
    pub last_versionstamp: Versionstamp,
    /// Whether the last versionstamp of the replaced file could not be read. New commits may then reuse its versionstamps.
    pub forgot_versionstamps: bool,
}

/// Replaces a file by a backup, atomically.
///
/// # Errors
/// [`Error::File`] of either file: the backup must pass [`check()`](super::check()), and no other process must have the file open.
/// [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn restore(from: &Path, file: &Path, overwrite: bool, progress: &mut OnProgress<'_>) -> Result<Restoration> {
    let (from, file) = (&source::find(from)?, &source::resolve(file)?);
    target::require_other(file, from)?;
    let replaced = if file.status("").is_err() {
        target::require_free(file, from, overwrite)?;
        None
    } else if overwrite {
        // The file is not replaced by a rename. SQLite's locks belong to the file, not to its name: a process that waits for the
        // lock of the old file would continue to use it, and the old WAL would be applied to the new file. So the contents are
        // replaced in a transaction, which is atomic for other processes.
        Some(open_locked(file)?)
    } else {
        return Err(FileProblem::Exists.of(file.path()));
    };
    let last = replaced.as_ref().and_then(|(_, last)| *last);

    let report = check::run(from, progress)?;
    if let Some(problem) = report.problems.first() {
        let message = format!("problems found: {}, the first: {problem}", report.problems.len());
        return Err(FileProblem::Corrupt(message).of(from.path()));
    }
    let stage = Stage::new(file)?;
    let version = stage_backup(from, &stage, last, progress).map_err(|error| error.of(file.path()))?;
    let forgot_versionstamps = replaced.is_some() && last.is_none();
    let size = match replaced {
        None => stage.put(from, overwrite)?,
        Some((connection, _)) => replace(connection, &stage, progress)
            .map_err(|error| error.of(file.path()))
            .and_then(|()| Ok(file.status("").map_err(FileProblem::io(file.path()))?.size))?,
    };
    Ok(Restoration { size, last_versionstamp: Versionstamp::from_version(version as u64), forgot_versionstamps })
}

/// Copies a backup to the stage, and raises its version to `last`, so that new versionstamps exceed those of the replaced file.
/// Returns the version of the last commit.
fn stage_backup(from: &Arc<Pinned>, stage: &Stage, last: Option<i64>, progress: &mut OnProgress<'_>) -> Result<i64> {
    let connection = source::open_reader(from)?;
    backup::copy(&*source::snapshot(&connection)?, &stage.file(), progress)?;
    let staged = connection::connect(&stage.file(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    staged.execute(RAISE_VERSION, [last.unwrap_or_default()])?;
    staged.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    let version = backup::last_version(&staged)?;
    staged.close()?;
    Ok(version)
}

/// Opens a file that no other process has open, and locks it exclusively, even if it is corrupt. Returns the version of its last
/// commit, if that can be read.
fn open_locked(file: &Arc<Pinned>) -> Result<(FileConnection, Option<i64>)> {
    let connection = source::open_writer(file)?;
    connection.busy_handler(None)?;
    let lock = || -> Result<Option<i64>> {
        // In this mode, the connection keeps its lock. Every process that has a database in WAL mode open holds a shared lock,
        // even while it is idle.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        ignore_content(&connection, true)?;
        // With another journal mode, the empty transaction would leave a journal.
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        connection.execute_batch(match mode.as_str() {
            "wal" => "begin exclusive; rollback",
            _ => "pragma journal_mode = memory; begin exclusive; rollback; pragma journal_mode = delete",
        })?;
        ignore_content(&connection, false)?;
        // With this, SQLite reads a truncated file.
        connection.pragma_update(None, "writable_schema", true)?;
        let last = backup::last_version(&connection).ok();
        // Checkpoints the WAL, if it can be read. In WAL mode, the page size could not be changed.
        let _ = connection.pragma_update(None, "journal_mode", "delete");
        Ok(last)
    };
    match lock() {
        Ok(last) => Ok((connection, last)),
        Err(Error::Busy) => Err(FileProblem::InUse.of(file.path())),
        Err(error) => Err(error.of(file.path())),
    }
}

fn replace(mut connection: FileConnection, stage: &Stage, progress: &mut OnProgress<'_>) -> Result<()> {
    ignore_content(&connection, true)?;
    let staged = connection::connect(&stage.file(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    backup::copy_into(&staged, &mut connection, progress)?;
    Ok(connection.close()?)
}

/// Makes SQLite treat the file as empty, so that corrupt contents do not prevent writes.
fn ignore_content(connection: &Connection, on: bool) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, on)?;
    Ok(())
}

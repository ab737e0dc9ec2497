use std::path::Path;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::stage::Stage;
use super::{OnProgress, backup, check, source, target};
use crate::sqlite::connection::{self, FileConnection};
use crate::sqlite::pinned::Pinned;
use crate::{Error, FileProblem, Result, Versionstamp};

const RAISE: &str = "update data_version set version = max(version, ?1) where k = 0";

/// What a restoration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restoration {
    /// The size of the file in bytes.
    pub size: u64,
    /// The versionstamp that the next commit exceeds: the last one of the backup or of the file that was replaced,
    /// whichever is greater.
    pub last_versionstamp: Versionstamp,
    /// Whether there was a file whose last versionstamp could not be read. Its versionstamps may be given again.
    pub forgot_versionstamps: bool,
}

/// Puts a backup in the place of a file, which is the old one or the new one as a whole at any time.
///
/// # Errors
/// [`Error::File`] of either file: the backup must pass [`check()`](super::check()), and no other process may have the
/// file open. [`Error::NewerFormat`], [`Error::Busy`] or [`Error::Storage`].
pub fn restore(from: &Path, file: &Path, overwrite: bool, progress: &mut OnProgress<'_>) -> Result<Restoration> {
    let (from, file) = (&source::find(from)?, &source::resolve(file)?);
    target::require_other(file, from)?;
    let replaced = match file.status("").is_ok() {
        false => {
            target::require_free(file, from, overwrite)?;
            None
        }
        true if !overwrite => return Err(FileProblem::Exists.of(file.path())),
        // A new file under the old name would not do. SQLite's locks belong to the file and not to its name: a process
        // that waits for the old one would go on with it unseen, and the old WAL would be taken for that of the new file.
        // So the contents are replaced, in a transaction: others see all of it or nothing.
        true => Some(take(file)?),
    };
    let last = replaced.as_ref().and_then(|(_, last)| *last);

    let report = check::run(from, progress)?;
    if let Some(problem) = report.problems.first() {
        let text = format!("problems found: {}, the first: {problem}", report.problems.len());
        return Err(FileProblem::Corrupt(text).of(from.path()));
    }
    let stage = Stage::beside(file)?;
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

/// Copies a backup to where it is made ready. Its versionstamps go on after those that scripts have seen. Returns the
/// number of the last commit.
fn stage_backup(from: &Arc<Pinned>, stage: &Stage, last: Option<i64>, progress: &mut OnProgress<'_>) -> Result<i64> {
    let connection = source::open_reader(from)?;
    backup::copy(&*source::snapshot(&connection)?, &stage.file(), progress)?;
    let staged = connection::connect(&stage.file(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    staged.execute(RAISE, [last.unwrap_or_default()])?;
    staged.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    let version = backup::last_version(&staged)?;
    staged.close()?;
    Ok(version)
}

/// Opens a file that no other process has open, and keeps it from being opened, whether it is a database or damaged. Returns
/// the number of its last commit, where that can be read.
fn take(file: &Arc<Pinned>) -> Result<(FileConnection, Option<i64>)> {
    let connection = source::open_writer(file)?;
    connection.busy_handler(None)?;
    let lock = || -> Result<Option<i64>> {
        // In this mode, a connection keeps its lock. Every process that has a database with a WAL open has a lock on it,
        // even while it does nothing.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        with_any_content(&connection, true)?;
        // A transaction that changes nothing would leave a journal.
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        connection.execute_batch(match mode.as_str() {
            "wal" => "begin exclusive; rollback",
            _ => "pragma journal_mode = memory; begin exclusive; rollback; pragma journal_mode = delete",
        })?;
        with_any_content(&connection, false)?;
        // With this, SQLite reads a file that lacks pages.
        connection.pragma_update(None, "writable_schema", true)?;
        let last = backup::last_version(&connection).ok();
        // Checkpoints the WAL, where it can be read. A file with a WAL takes no pages of another size.
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
    with_any_content(&connection, true)?;
    let staged = connection::connect(&stage.file(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    backup::copy_into(&staged, &mut connection, progress)?;
    Ok(connection.close()?)
}

/// Lets SQLite take the file for an empty one, so that nothing in it, however damaged, is in the way of what is written.
fn with_any_content(connection: &Connection, on: bool) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, on)?;
    Ok(())
}

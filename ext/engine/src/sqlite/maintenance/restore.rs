use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::{OnProgress, backup, check, source, target};
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
    source::require_file(from)?;
    target::require_other(file, from)?;
    let replaced = match fs::exists(file).map_err(FileProblem::io(file))? {
        false => {
            target::require_free(file, from, overwrite)?;
            None
        }
        true if !overwrite => return Err(FileProblem::Exists.of(file)),
        // A new file under the old name would not do. SQLite's locks belong to the file and not to its name: a process
        // that waits for the old one would go on with it unseen, and the old log would be taken for that of the new file.
        // So the contents are replaced, in a transaction: others see all of it or nothing.
        true => Some(take(file)?),
    };
    let last = replaced.as_ref().and_then(|(_, last)| *last);

    let report = check(from, progress)?;
    if let Some(problem) = report.problems.first() {
        let text = format!("problems found: {}, the first: {problem}", report.problems.len());
        return Err(FileProblem::Damaged(text).of(from));
    }
    let stage = target::Stage::beside(file)?;
    let version = stage_backup(from, &stage, last, progress).map_err(|error| error.of(file))?;
    let forgot_versionstamps = replaced.is_some() && last.is_none();
    let size = match replaced {
        None => stage.put(file, from, overwrite)?,
        Some((connection, _)) => replace(connection, &stage, progress)
            .map_err(|error| error.of(file))
            .and_then(|()| Ok(fs::metadata(file).map_err(FileProblem::io(file))?.len()))?,
    };
    Ok(Restoration { size, last_versionstamp: Versionstamp::from_version(version as u64), forgot_versionstamps })
}

/// Copies a backup to where it is made ready. Its versionstamps go on behind those that scripts have seen. Answers the
/// number of the last commit.
fn stage_backup(from: &Path, stage: &target::Stage, last: Option<i64>, progress: &mut OnProgress<'_>) -> Result<i64> {
    let connection = source::open_reader(from)?;
    backup::copy(&*source::snapshot(&connection)?, &stage.file(), progress)?;
    let staged = Connection::open(stage.file())?;
    staged.execute(RAISE, [last.unwrap_or_default()])?;
    staged.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    let version = backup::last_version(&staged)?;
    staged.close().map_err(|(_, error)| error)?;
    Ok(version)
}

/// Opens a file that no other process has open, and keeps it from being opened, whether it is a database or damaged. Answers
/// the number of its last commit, where that can be read.
fn take(file: &Path) -> Result<(Connection, Option<i64>)> {
    let connection = source::open_writer(file)?;
    connection.busy_handler(None)?;
    let lock = || -> Result<Option<i64>> {
        // In this mode, a connection keeps its lock. Every process that has a database with a log open has a lock on it,
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
        // Merges the log, where it can be read. A file with a log takes no pages of another size.
        let _ = connection.pragma_update(None, "journal_mode", "delete");
        Ok(last)
    };
    match lock() {
        Ok(last) => Ok((connection, last)),
        Err(Error::Busy) => Err(FileProblem::InUse.of(file)),
        Err(error) => Err(error.of(file)),
    }
}

fn replace(mut connection: Connection, stage: &target::Stage, progress: &mut OnProgress<'_>) -> Result<()> {
    with_any_content(&connection, true)?;
    backup::copy_into(&Connection::open(stage.file())?, &mut connection, progress)?;
    connection.close().map_err(|(_, error)| error.into())
}

/// Lets SQLite take the file for an empty one, so that nothing in it, however damaged, is in the way of what is written.
fn with_any_content(connection: &Connection, on: bool) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, on)?;
    Ok(())
}

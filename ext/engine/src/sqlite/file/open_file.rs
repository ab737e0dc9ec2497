use std::io;
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::sqlite::file::checkpoint;
use crate::sqlite::file::connection;
use crate::sqlite::file::pinned::{FileId, Pinned};
use crate::{Error, FileProblem, Result};

/// A file that a writer has open.
///
/// SQLite goes on with files that were deleted or replaced, and what it writes to them is lost with the process. So they are
/// looked at with every commit. While a connection is open, nobody who goes by SQLite's rules deletes its WAL.
pub(crate) struct OpenFile {
    file: Arc<Pinned>,
    id: FileId,
    /// The WAL and its index in shared memory. None where the file may only be read, or has no WAL.
    beside: Option<[(&'static str, FileId); 2]>,
    /// Why the file takes no more writes.
    failure: Arc<OnceLock<Error>>,
}

impl OpenFile {
    /// The file of a connection that has read from it.
    pub fn new(file: Arc<Pinned>, connection: &Connection, has_wal: bool) -> Result<Self> {
        let moved = || Error::Moved { path: file.path().to_owned() };
        let status = file.status("").map_err(|_| moved())?;
        if connection::has_moved(connection) {
            return Err(moved());
        }
        if status.has_other_names {
            return Err(FileProblem::HardLinks.of(file.path()));
        }
        let id = |suffix| match file.status(suffix) {
            Ok(status) => Ok((suffix, status.id)),
            // SQLite could not create it, or somebody deleted it immediately.
            Err(_) => {
                let beside = file.path_beside(suffix);
                Err(Error::cannot_open(file.path(), &format!("{} is not there: open it again", beside.display())))
            }
        };
        let beside = if has_wal { Some([id("-wal")?, id("-shm")?]) } else { None };
        Ok(Self { id: status.id, beside, failure: Arc::default(), file })
    }

    /// The identity of the file.
    pub fn id(&self) -> &FileId {
        &self.id
    }

    /// Why the file takes no more writes, once it does not.
    pub fn failure(&self) -> &Arc<OnceLock<Error>> {
        &self.failure
    }

    /// The same file, as if nothing had failed.
    #[cfg(test)]
    pub fn without_failure(self) -> Self {
        Self { failure: Arc::default(), ..self }
    }

    /// The name of the file, for more connections to it.
    pub fn name(&self) -> &Arc<Pinned> {
        &self.file
    }

    /// Checks that the file and those beside it are still where they were.
    pub fn verify(&self) -> Result<()> {
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        if self.is_gone("", &self.id) {
            return Err(Error::Moved { path: self.file.path().to_owned() });
        }
        for (suffix, id) in self.beside.iter().flatten() {
            if self.is_gone(suffix, id) {
                return Err(Error::Displaced { path: self.file.path_beside(suffix), is_saved: false });
            }
        }
        Ok(())
    }

    /// Checks, before a transaction of the writer's connection, that what it writes would not be lost. Where the WAL is gone,
    /// saves what it holds.
    ///
    /// # Errors
    /// [`Error::Moved`] or [`Error::Displaced`].
    pub fn check(&self, connection: &Connection) -> Result<()> {
        match self.verify() {
            Err(Error::Displaced { path, is_saved: false }) => {
                let is_saved = self.save(connection);
                Err(Error::Displaced { path, is_saved })
            }
            result => result,
        }
    }

    /// Checks, after a transaction of the writer's connection, that what it wrote is not lost. Where the WAL is gone, what it
    /// holds is saved, and the transaction with it.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`].
    pub fn confirm(&self, connection: &Connection) -> Result<()> {
        match self.check(connection) {
            Ok(()) | Err(Error::Displaced { is_saved: true, .. }) => Ok(()),
            Err(error) => Err(Error::OutcomeUnknown(Arc::new(error))),
        }
    }

    fn is_gone(&self, suffix: &str, id: &FileId) -> bool {
        self.file.status(suffix).map_or(true, |status| status.id != *id)
    }

    /// Saves what a WAL holds that the connection still has open, in the file itself. Returns whether that is all there was.
    fn save(&self, connection: &Connection) -> bool {
        let Some([(wal, wal_id), (index, index_id)]) = &self.beside else { return false };
        let is_wal_gone = self.is_gone(wal, wal_id);
        // Without its index, others read the WAL from the start on, and may have written to it since.
        let is_index_there = match self.file.status(index) {
            Ok(status) => status.id == *index_id,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        // What others wrote to a WAL in its place, they wrote to a file that they took to be complete.
        let is_replaced = self.file.status(wal).is_ok_and(|status| status.id != *wal_id && status.size > 0);
        let may_save = is_index_there && !is_replaced;
        let is_saved = !is_wal_gone || (may_save && checkpoint::run_completely(connection));
        if is_saved || !may_save {
            // What others put in place is left as it is when the connection is closed.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            let gone = if is_wal_gone { wal } else { index };
            let path = self.file.path_beside(gone);
            let _ = self.failure.set(Error::Displaced { path, is_saved });
        }
        is_saved
    }
}

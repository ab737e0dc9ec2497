use std::io;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::sqlite::file::checkpoint;
use crate::sqlite::file::connection;
use crate::sqlite::file::pinned::{FileId, Names, Pinned};
use crate::{Error, FileProblem, Result};

/// A file that a writer has open.
///
/// SQLite continues to use files that were deleted or replaced, and what it writes to them is lost when the process exits. So their
/// identities are checked with every commit, or only the time of the last change of their directory if that tells enough. While a
/// connection is open, no program that follows SQLite's rules deletes its WAL.
pub(crate) struct OpenFile {
    file: Arc<Pinned>,
    id: FileId,
    /// The WAL and its index in shared memory, by suffix. `None` for a read-only file, and for one without a WAL.
    wal_files: Option<[(&'static str, FileId); 2]>,
    /// The state of the directory when all files were last found in place.
    found: Mutex<Option<Names>>,
    /// Why the file accepts no more writes.
    failure: Arc<OnceLock<Error>>,
}

impl OpenFile {
    /// Returns the file of a connection that has read from it.
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
            // SQLite could not create it, or another process has deleted it.
            Err(_) => {
                let missing = file.path_with_suffix(suffix);
                Err(Error::cannot_open(file.path(), &format!("{} does not exist: open it again", missing.display())))
            }
        };
        let wal_files = if has_wal { Some([id("-wal")?, id("-shm")?]) } else { None };
        Ok(Self { id: status.id, wal_files, found: Mutex::default(), failure: Arc::default(), file })
    }

    /// Returns the identity of the file.
    pub fn id(&self) -> &FileId {
        &self.id
    }

    /// Returns the error of further writes, if the file accepts no more.
    pub fn failure(&self) -> &Arc<OnceLock<Error>> {
        &self.failure
    }

    /// Returns the same file without a recorded failure.
    #[cfg(test)]
    pub fn without_failure(self) -> Self {
        Self { failure: Arc::default(), ..self }
    }

    /// Returns the name of the file, for further connections to it.
    pub fn name(&self) -> &Arc<Pinned> {
        &self.file
    }

    /// Checks that the file, its WAL and the index of the WAL were not moved or replaced.
    pub fn verify(&self) -> Result<()> {
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        // First, so that changes during the following checks are found by the next ones.
        let names = self.file.directory().names();
        let mut found = self.found.lock();
        if names.is_some() && *found == names {
            return Ok(());
        }
        *found = None;
        if self.is_gone("", &self.id) {
            return Err(Error::Moved { path: self.file.path().to_owned() });
        }
        for (suffix, id) in self.wal_files.iter().flatten() {
            if self.is_gone(suffix, id) {
                return Err(Error::Displaced { path: self.file.path_with_suffix(suffix), is_saved: false });
            }
        }
        *found = names;
        Ok(())
    }

    /// Checks, before a transaction of the writer's connection, that its changes will not be lost. If the WAL is gone, saves its
    /// contents.
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

    /// Checks, after a transaction of the writer's connection, that its changes are not lost. If the WAL is gone, saves its
    /// contents, including the transaction.
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

    /// Checkpoints a WAL that is gone, but still open by the connection. Returns whether all earlier writes are saved.
    fn save(&self, connection: &Connection) -> bool {
        let Some([(wal, wal_id), (index, index_id)]) = &self.wal_files else { return false };
        let is_wal_gone = self.is_gone(wal, wal_id);
        // Without the index, other processes recover the WAL from its start, and may have written to it since.
        let is_index_there = match self.file.status(index) {
            Ok(status) => status.id == *index_id,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        // Other processes that wrote to a new WAL took the file to be complete: a checkpoint would mix up both.
        let is_replaced = self.file.status(wal).is_ok_and(|status| status.id != *wal_id && status.size > 0);
        let may_save = is_index_there && !is_replaced;
        let is_saved = !is_wal_gone || (may_save && checkpoint::run_completely(connection));
        if is_saved || !may_save {
            // Closing the connection must not checkpoint or delete the WAL of another process.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            let gone = if is_wal_gone { wal } else { index };
            let path = self.file.path_with_suffix(gone);
            let _ = self.failure.set(Error::Displaced { path, is_saved });
        }
        is_saved
    }
}

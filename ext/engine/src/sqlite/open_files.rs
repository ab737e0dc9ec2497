//! The files that this process has open. Databases on one file share its writer, whatever path each was opened by:
//! writers of one process would only wait for each other.

#[cfg(all(test, unix))]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock, Weak};

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::connection::{self, FileConnection};
use super::error::{CONNECTION_FILES, can_open};
use super::pinned::{self, FileId, Pinned};
use super::writer::Writer;
use super::{Options, checkpoint};
use crate::{Error, FileProblem, Result};

/// The open files. Locked only to look into it: opening a file may take as long as another process has it locked.
static OPEN: LazyLock<Mutex<HashMap<FileId, Entry>>> = LazyLock::new(Default::default);

/// How many file descriptors a database takes: two connections, and a journal until there is a WAL.
const DESCRIPTORS: usize = 2 * CONNECTION_FILES + 1;

struct Entry {
    writer: Weak<Writer>,
    /// There as long as a connection is.
    file: Weak<Pinned>,
    failure: Arc<OnceLock<Error>>,
}

/// The writer of a file, started where this process has none.
///
/// The writer keeps the clock and the randomness of the first database opened on the file.
pub(super) fn writer(path: &Path, follow_links: bool, options: &Options) -> Result<Arc<Writer>> {
    let name = options.name.as_deref();
    let file = Pinned::resolve(path, follow_links).map_err(|error| Error::unresolved(name.unwrap_or(path), &error))?;
    let file = Arc::new(file.named(name));
    if let Some(writer) = find(&file)? {
        return Ok(writer);
    }
    let is_new = file.status("").is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if is_new && !can_open(DESCRIPTORS) {
        return Err(Error::too_many_files(file.path()));
    }
    let opened = connection::open_writer(&file)
        .and_then(|(connection, has_wal)| add(file.clone(), connection, has_wal, options));
    if opened.is_err() && is_new {
        file.remove_if_empty();
    }
    opened
}

/// The writer of a file, as [`writer`] returns it, where nothing is to be waited for.
pub(super) fn writer_at_once(path: &Path, follow_links: bool, options: &Options) -> Option<Arc<Writer>> {
    let file = Arc::new(Pinned::resolve(path, follow_links).ok()?.named(options.name.as_deref()));
    if let Some(writer) = find(&file).ok()? {
        return Some(writer);
    }
    let connection = connection::open_writer_at_once(&file)?;
    add(file, connection, true, options).ok()
}

/// The writer that this process has of a file already.
fn find(file: &Pinned) -> Result<Option<Arc<Writer>>> {
    match file.status("") {
        Ok(status) if status.is_link => Err(Error::unresolved(file.path(), &pinned::link())),
        Ok(status) if status.has_other_names => Err(FileProblem::HardLinks.of(file.path())),
        Ok(status) => of_id(&status.id),
        Err(_) => Ok(None),
    }
}

fn of_id(id: &FileId) -> Result<Option<Arc<Writer>>> {
    let (writer, is_open, failure) = {
        let open = OPEN.lock();
        let Some(entry) = open.get(id) else { return Ok(None) };
        (entry.writer.upgrade(), entry.file.strong_count() > 0, entry.failure.clone())
    };
    match writer.filter(|writer| writer.acquire()) {
        Some(writer) => match writer.verify() {
            Ok(()) => Ok(Some(writer)),
            Err(error) => {
                writer.release();
                Err(error)
            }
        },
        // A connection that is still being closed has what is no longer there, and a new one would share it.
        None => match failure.get() {
            Some(failure) if is_open => Err(failure.clone()),
            _ => Ok(None),
        },
    }
}

/// Adds the writer of a file that was just opened. Returns that of another thread, where it was faster.
fn add(file: Arc<Pinned>, connection: FileConnection, has_wal: bool, options: &Options) -> Result<Arc<Writer>> {
    let open_file = OpenFile::new(file, &connection, has_wal)?;
    let (id, file, failure) = (open_file.id.clone(), Arc::downgrade(&open_file.file), open_file.failure.clone());
    let writer = Arc::new(Writer::new(connection, options, Some(Arc::new(open_file))));
    loop {
        // What is not taken is dropped once the lock is given back: closing a connection may take its time.
        let mut open = OPEN.lock();
        let is_used = |entry: &Entry| entry.writer.upgrade().is_some_and(|writer| writer.is_open());
        if !open.get(&id).is_some_and(is_used) {
            open.retain(|_, entry| entry.writer.strong_count() > 0 || entry.file.strong_count() > 0);
            open.insert(id, Entry { writer: Arc::downgrade(&writer), file, failure });
            return Ok(writer);
        }
        drop(open);
        if let Some(writer) = of_id(&id)? {
            return Ok(writer);
        }
    }
}

/// A file that a writer has open.
///
/// SQLite goes on with files that were deleted or replaced, and what it writes to them is lost with the process. So they are
/// looked at with every commit. While a connection is open, nobody who goes by SQLite's rules deletes its WAL.
pub(super) struct OpenFile {
    file: Arc<Pinned>,
    id: FileId,
    /// The WAL and its index in shared memory. None where the file may only be read, or has no WAL.
    beside: Option<[(&'static str, FileId); 2]>,
    /// Why the file takes no more writes.
    failure: Arc<OnceLock<Error>>,
}

impl OpenFile {
    /// The file of a connection that has read from it.
    fn new(file: Arc<Pinned>, connection: &Connection, has_wal: bool) -> Result<Self> {
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
            // SQLite could not create it, or somebody deleted it at once.
            Err(_) => {
                let beside = file.path_beside(suffix);
                Err(Error::cannot_open(file.path(), &format!("{} is not there: open it again", beside.display())))
            }
        };
        let beside = if has_wal { Some([id("-wal")?, id("-shm")?]) } else { None };
        Ok(Self { id: status.id, beside, failure: Arc::default(), file })
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

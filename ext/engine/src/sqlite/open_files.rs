//! The open files of this process. All databases on one file share its writer, regardless of the path by which each was opened:
//! several writers would only wait for each other.

#[cfg(all(test, unix))]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock, Weak};

use crate::sqlite::error::{CONNECTION_FILES, can_open};
use crate::sqlite::file::connection::{self, FileConnection};
use crate::sqlite::file::open_file::OpenFile;
use crate::sqlite::file::pinned::{self, FileId, Pinned};
use crate::sqlite::options::Options;
use crate::sqlite::write::writer::Writer;
use crate::{Error, FileProblem, Result};
use parking_lot::Mutex;

/// The open files. Not locked while a file is opened, which takes as long as another process has it locked.
static OPEN: LazyLock<Mutex<HashMap<FileId, Entry>>> = LazyLock::new(Default::default);

/// The number of file descriptors that opening a database takes: two connections, and a journal until the file is in WAL mode.
const DESCRIPTORS: usize = 2 * CONNECTION_FILES + 1;

struct Entry {
    writer: Weak<Writer>,
    /// Alive as long as a connection is open.
    file: Weak<Pinned>,
    failure: Arc<OnceLock<Error>>,
}

/// Returns the writer of a file, which is created if this process has none.
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

/// Returns the writer of a file like [`writer`], if that takes no waiting.
pub(super) fn try_writer(path: &Path, follow_links: bool, options: &Options) -> Option<Arc<Writer>> {
    let file = Arc::new(Pinned::resolve(path, follow_links).ok()?.named(options.name.as_deref()));
    if let Some(writer) = find(&file).ok()? {
        return Some(writer);
    }
    let connection = connection::try_open_writer(&file)?;
    add(file, connection, true, options).ok()
}

/// Returns the existing writer of a file.
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
        // A new connection would share the deleted WAL with the old one, which is still being closed.
        None => match failure.get() {
            Some(failure) if is_open => Err(failure.clone()),
            _ => Ok(None),
        },
    }
}

/// Adds the writer of a file that was just opened. Returns the writer of another thread if that has added one meanwhile.
fn add(file: Arc<Pinned>, connection: FileConnection, has_wal: bool, options: &Options) -> Result<Arc<Writer>> {
    let open_file = OpenFile::new(file, &connection, has_wal)?;
    let (id, file, failure) = (open_file.id().clone(), Arc::downgrade(open_file.name()), open_file.failure().clone());
    let writer = Arc::new(Writer::new(connection, options, Some(Arc::new(open_file))));
    loop {
        // If unused, the new writer is dropped without the lock: closing a connection may take a while.
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

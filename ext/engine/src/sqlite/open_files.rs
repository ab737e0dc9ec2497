//! The files that this process has open. Databases on one file share its writer, whatever path each was opened by:
//! writers of one process would only wait for each other.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::writer::Writer;
use super::{Options, connection};
use crate::{Error, Result};

type OpenFiles = HashMap<FileId, Weak<Writer>>;

static OPEN: LazyLock<Mutex<OpenFiles>> = LazyLock::new(Default::default);

/// The writer of a file, started where this process has none.
///
/// The writer keeps the clock and the randomness of the first database opened on the file.
pub(super) fn writer(path: &Path, follow_links: bool, options: &Options) -> Result<Arc<Writer>> {
    let mut open = OPEN.lock();
    if let Some(writer) = find(&open, path, follow_links) {
        return Ok(writer);
    }
    let connection = connection::open_writer(path, follow_links)?;
    add(&mut open, path, follow_links, connection, options)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
        .map_err(|source| Error::Open { path: path.to_owned(), source: Arc::new(source) })
}

/// The writers of all files.
pub(super) fn writers() -> Vec<Arc<Writer>> {
    OPEN.lock().values().filter_map(Weak::upgrade).collect()
}

/// The writer of a file, as [`writer`] answers it, where nothing is to be waited for.
pub(super) fn writer_at_once(path: &Path, follow_links: bool, options: &Options) -> Option<Arc<Writer>> {
    let mut open = OPEN.try_lock()?;
    if let Some(writer) = find(&open, path, follow_links) {
        return Some(writer);
    }
    let connection = connection::open_writer_at_once(path, follow_links)?;
    add(&mut open, path, follow_links, connection, options).ok()
}

fn find(open: &OpenFiles, path: &Path, follow_links: bool) -> Option<Arc<Writer>> {
    open.get(&FileId::of(path, follow_links).ok()?)?.upgrade().filter(|writer| writer.acquire())
}

fn add(
    open: &mut OpenFiles,
    path: &Path,
    follow_links: bool,
    connection: Connection,
    options: &Options,
) -> io::Result<Arc<Writer>> {
    let id = FileId::of(path, follow_links)?;
    let file = OpenFile { path: path.to_owned(), follow_links, id: id.clone() };
    let writer = Arc::new(Writer::new(connection, options, Some(Arc::new(file))));
    open.retain(|_, writer| writer.strong_count() > 0);
    open.insert(id, Arc::downgrade(&writer));
    Ok(writer)
}

/// A file that a writer has open.
pub(super) struct OpenFile {
    path: PathBuf,
    follow_links: bool,
    id: FileId,
}

impl OpenFile {
    /// Checks that its path still leads to the file. What is written to one that was deleted is lost.
    pub fn check(&self) -> Result<()> {
        self.check_path(&self.path, self.follow_links)
    }

    /// Checks that a path leads to the file. Another may be in its place.
    pub fn check_path(&self, path: &Path, follow_links: bool) -> Result<()> {
        match FileId::of(path, follow_links) {
            Ok(id) if id == self.id => Ok(()),
            _ => Err(Error::Moved { path: path.to_owned() }),
        }
    }
}

/// What makes two paths one file.
///
/// Found without opening the file: where a process closes any descriptor of a file, POSIX drops all the locks that the
/// process has on it, and SQLite's are among them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
    #[cfg(not(unix))]
    path: std::path::PathBuf,
}

impl FileId {
    #[cfg(unix)]
    pub fn of(path: &Path, follow_links: bool) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = if follow_links { path.metadata()? } else { path.symlink_metadata()? };
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    #[cfg(not(unix))]
    pub fn of(path: &Path, _follow_links: bool) -> io::Result<Self> {
        Ok(Self { path: path.canonicalize()? })
    }
}

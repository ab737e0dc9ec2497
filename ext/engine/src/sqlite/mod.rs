//! The database over one SQLite file, or in memory.
//!
//! All databases that a process opens on one file share one connection for writes, owned by a thread; each has connections
//! of its own for reads. SQLite's write-ahead log gives every read a consistent snapshot beside the writer. Waiting for
//! other processes is the thread's work, not the caller's.

mod backend;
mod error;
mod file;
mod open_files;
mod options;
mod read;
mod shared_memory;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use crate::{Database, Result};
use backend::Sqlite;
pub use backend::{close_all, wait_closed};
use file::connection::shared;
pub(crate) use file::{connection, pinned, schema};
pub use options::{Location, Options};
use write::writer::Writer;

/// Opens a database, or creates it. Waits for the disk, and for another process that is changing the file.
///
/// # Errors
/// [`Error::Open`](crate::Error::Open) where the file is not there to be read and written, or is no database,
/// [`Error::NewerFormat`](crate::Error::NewerFormat), [`Error::Busy`](crate::Error::Busy),
/// [`Error::Storage`](crate::Error::Storage) or [`Error::Thread`](crate::Error::Thread).
pub fn open(location: Location, options: Options) -> Result<Database> {
    let writer = match &location {
        Location::Memory => Arc::new(Writer::new(connection::open_memory()?, &options, None)),
        Location::SharedMemory(name) => shared_memory::writer(name, &options)?,
        Location::File { path, follow_links } => open_files::writer(path, *follow_links, &options)?,
    };
    let reader = writer.memory().map_or_else(|| writer.open_reader().map(shared), Ok);
    Sqlite::with(writer, reader, options)
}

/// Opens a database where nothing is to be waited for: in memory, or a file that is there in the present format, with
/// nobody who has it locked and no WAL that is left to be read. That takes a tenth of a millisecond. None for any other:
/// [`open`] opens it, or says why not.
pub fn try_open(location: &Location, options: &Options) -> Option<Database> {
    let writer = match location {
        Location::Memory => Arc::new(Writer::new(connection::open_memory().ok()?, options, None)),
        Location::SharedMemory(name) => shared_memory::writer(name, options).ok()?,
        Location::File { path, follow_links } => open_files::try_writer(path, *follow_links, options)?,
    };
    let reader = writer.memory().map_or_else(|| writer.try_open_reader().map(shared), Ok);
    Sqlite::with(writer, reader, options.clone()).ok()
}

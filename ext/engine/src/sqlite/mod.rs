//! A database over an SQLite file, or in memory.
//!
//! All databases that a process opens on one file share one write connection, owned by a thread; each has its own read connections.
//! In WAL mode, every read has a consistent snapshot while the writer commits. The thread waits for other processes, not the
//! caller.

mod backend;
mod error;
mod file;
pub(crate) mod message;
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
pub(crate) use file::{connection, lock, pinned, schema};
pub use options::{Location, Options};
use write::writer::Writer;

/// Opens a database, or creates it. Blocks on the disk, and while another process has locked the file.
///
/// # Errors
/// [`Error::Open`](crate::Error::Open) if the file cannot be opened for reads and writes, or is not a database,
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

/// Opens a database if that takes no waiting, within about 0.1 ms: one in memory, or a file that exists in the current format,
/// is not locked, and has no WAL to recover. Returns `None` otherwise: [`open`] then opens it, or returns the error.
pub fn try_open(location: &Location, options: &Options) -> Option<Database> {
    let writer = match location {
        Location::Memory => Arc::new(Writer::new(connection::open_memory().ok()?, options, None)),
        Location::SharedMemory(name) => shared_memory::writer(name, options).ok()?,
        Location::File { path, follow_links } => open_files::try_writer(path, *follow_links, options)?,
    };
    let reader = writer.memory().map_or_else(|| writer.try_open_reader().map(shared), Ok);
    Sqlite::with(writer, reader, options.clone()).ok()
}

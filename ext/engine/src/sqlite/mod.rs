//! The database over one SQLite file, or in memory.
//!
//! All databases that a process opens on one file share one connection for writes, owned by a thread ([`writer`]); each
//! has a connection of its own for reads ([`reader`]). SQLite's write-ahead log gives every read a consistent snapshot
//! beside the writer, and waits for other processes happen here, not in the caller.

mod apply;
mod connection;
mod open_files;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, ReentrantMutex};
use rusqlite::Connection;

use crate::{
    AtomicWrite, Clock, Database, Entry, Error, Limits, Pending, Random, Read, Result, SystemClock, SystemRandom,
    Versionstamp, Visit,
};
use writer::Writer;

/// Where a database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In memory: private, and gone once closed.
    Memory,
    /// In a file, which is created where there is none. Its folder must exist.
    File {
        /// The path of the file.
        path: PathBuf,
        /// Whether a path may have a symbolic link in it. A host that checked who may open the path refuses them.
        follow_links: bool,
    },
}

/// What a database is opened with.
#[derive(Clone)]
pub struct Options {
    /// How much one call may ask for.
    pub limits: Limits,
    /// The time, for expiry and delays.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the ids of messages.
    pub random: Arc<dyn Random>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) }
    }
}

/// A database over SQLite.
pub struct Sqlite {
    options: Options,
    location: Location,
    /// None once closed.
    open: Mutex<Option<Open>>,
}

/// A connection for one thread at a time. The thread that reads may read again from within, as it does where a value
/// runs code of the host when it is decoded.
type SharedConnection = Arc<ReentrantMutex<Connection>>;

struct Open {
    writer: Arc<Writer>,
    /// Opened by the first read.
    reader: Option<SharedConnection>,
}

impl Sqlite {
    /// Opens a database, or creates it. Waits for the disk, and for another process that is changing the file.
    ///
    /// # Errors
    /// [`Error::Open`] where the file is not there to be read and written, or is no database, [`Error::NewerFormat`],
    /// [`Error::Busy`], [`Error::Storage`] or [`Error::Thread`].
    pub fn open(location: Location, options: Options) -> Result<Self> {
        let writer = match &location {
            Location::Memory => {
                let connection = connection::open_memory()?;
                Arc::new(Writer::start(connection, options.random.clone(), options.clock.clone())?)
            }
            Location::File { path, follow_links } => open_files::writer(path, *follow_links, &options)?,
        };
        let shared = Arc::strong_count(&writer) > 1;
        let database = Self { options, location, open: Mutex::new(Some(Open { writer, reader: None })) };
        if shared {
            // This path was not opened yet, only the file: the reader finds out whether its links allow it.
            database.reader()?;
        }
        Ok(database)
    }

    /// Reads as [`Database::read`] does, and copies the entries: one list for each read.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn read_entries(&self, reads: &[Read<'_>]) -> Result<Vec<Vec<Entry>>> {
        let mut lists = vec![Vec::new(); reads.len()];
        self.read(reads, &mut |i, entry| {
            lists[i].push(entry.to_owned());
            ControlFlow::Continue(())
        })?;
        Ok(lists)
    }

    /// Writes as [`Database::write`] does, and waits for the answer. Not for use in asynchronous code.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn write_blocking(&self, write: AtomicWrite) -> Result<Option<Versionstamp>> {
        self.options.limits.check_write(&write)?;
        self.writer()?.write_blocking(write)
    }

    fn writer(&self) -> Result<Arc<Writer>> {
        self.open.lock().as_ref().map(|open| open.writer.clone()).ok_or(Error::Closed)
    }

    fn reader(&self) -> Result<SharedConnection> {
        let mut state = self.open.lock();
        let open = state.as_mut().ok_or(Error::Closed)?;
        if let Some(reader) = &open.reader {
            return Ok(reader.clone());
        }
        let reader = match &self.location {
            // A database in memory is its one connection.
            Location::Memory => open.writer.connection(),
            Location::File { path, follow_links } => {
                Arc::new(ReentrantMutex::new(connection::open_reader(path, *follow_links)?))
            }
        };
        Ok(open.reader.insert(reader).clone())
    }
}

impl Database for Sqlite {
    fn read(&self, reads: &[Read<'_>], visit: &mut Visit<'_>) -> Result<()> {
        self.options.limits.check_reads(reads)?;
        let reader = self.reader()?;
        reader::read(&reader.lock(), self.options.clock.now(), reads, visit)
    }

    fn write(&self, write: AtomicWrite) -> Pending<Option<Versionstamp>> {
        let queued = self.options.limits.check_write(&write).and_then(|()| self.writer());
        match queued {
            Ok(writer) => Box::pin(writer.write(write)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn now(&self) -> u64 {
        self.options.clock.now()
    }

    fn close(&self) {
        self.open.lock().take();
    }
}

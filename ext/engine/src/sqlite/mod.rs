//! The database over one SQLite file, or in memory.
//!
//! All databases that a process opens on one file share one connection for writes, owned by a thread; each has a connection
//! of its own for reads. SQLite's write-ahead log gives every read a consistent snapshot beside the writer. Waiting for
//! other processes is the thread's work, not the caller's.

mod apply;
mod background;
mod checkpoint;
mod connection;
mod delivery;
mod error;
mod in_flight;
mod lifecycle;
pub mod maintenance;
mod open_files;
mod pinned;
mod queue;
mod reader;
mod scan;
mod schema;
mod shared_memory;
mod sweep;
#[cfg(test)]
mod tests;
mod transaction;
#[cfg(unix)]
mod vfs;
mod watchers;
mod worker;
mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use futures_util::stream;
use parking_lot::{Mutex, ReentrantMutex};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    AtomicWrite, Backend, BoxFuture, BoxStream, Clock, Commit, Database, Delivery, Entry, Error, Key, Limits,
    LocalReads, Random, Read, ReadOptions, Result, SystemClock, SystemRandom, Visitor, WatchEvent,
};
use background::Background;
use connection::FileConnection;
use error::{CONNECTION_FILES, can_open};
use in_flight::InFlight;
use scan::Scan;
use watchers::Watcher;
use worker::Closing;
use writer::Writer;

/// Where a database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In memory: private, and gone once closed.
    Memory,
    /// In memory, under a name: shared by all who open it by this name in the process, and gone once the last one has closed it.
    SharedMemory(String),
    /// In a file, which is created where there is none. Its folder must exist.
    File {
        /// The path of the file.
        path: PathBuf,
        /// Whether a path may have a symbolic link in it. A host that checked who may open the path refuses them.
        ///
        /// A path is resolved once, when it is opened. Whatever is put in the place of its directory meanwhile or later, all
        /// files of the database are in the directory that was found. That takes Linux. Elsewhere, SQLite resolves the path
        /// when it opens a file; a file that is not the one it was is refused once it is noticed.
        follow_links: bool,
    },
}

impl Location {
    /// In a file, whose path may have symbolic links in it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Location::File { path: path.into(), follow_links: true }
    }
}

/// What a database is opened with.
///
/// A test brings its own clock:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use openkv_engine::sqlite::{self, Location, Options};
/// use openkv_engine::{AtomicWrite, Clock, Key, Mutation, Value};
///
/// #[derive(Default)]
/// struct TestClock(AtomicU64);
///
/// impl Clock for TestClock {
///     fn now(&self) -> u64 {
///         self.0.load(Ordering::Relaxed)
///     }
/// }
///
/// let clock = Arc::new(TestClock::default());
/// let database = sqlite::open(Location::Memory, Options::default().clock(clock.clone()))?;
///
/// let session = Key::from(["sessions", "alice"]);
/// let set = Mutation::set(session.clone(), Value::U64(1)).expire_at(1000);
/// database.write_blocking(AtomicWrite::new().mutate(set))?;
///
/// clock.0.store(999, Ordering::Relaxed);
/// assert!(database.get_blocking(&session)?.is_some());
/// clock.0.store(1000, Ordering::Relaxed);
/// assert!(database.get_blocking(&session)?.is_none());
/// # Ok::<(), openkv_engine::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
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

impl Options {
    /// Sets the limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sets the randomness.
    #[must_use]
    pub fn random(self, random: Arc<dyn Random>) -> Self {
        Self { random, ..self }
    }
}

/// Waits until the databases that were closed are closed by their threads, but no longer than this. Only one that another process
/// kept from being closed needs it, see [`Database::close`].
pub fn wait_closed(timeout: Duration) {
    close_again(Closing::Finish, timeout);
}

fn close_again(closing: Closing, timeout: Duration) {
    writer::close_again(closing);
    lifecycle::wait_closed(timeout);
}

/// Closes all databases that the process has open, as at its end: messages whose handlers run are requeued. Waits until they
/// are closed, but no longer than this.
pub fn close_all(timeout: Duration) {
    let databases: Vec<_> = OPEN.lock().values().filter_map(Weak::upgrade).collect();
    databases.iter().for_each(|database| database.close());
    close_again(Closing::Abandon, timeout);
}

/// The databases that the process has open, by their addresses.
static OPEN: LazyLock<Mutex<HashMap<usize, Weak<Handle>>>> = LazyLock::new(Default::default);

/// The backend over SQLite. It is closed when it is dropped.
struct Sqlite {
    handle: Arc<Handle>,
}

/// What a database is. [`close_all`] finds it as well.
struct Handle {
    options: Options,
    in_flight: Arc<InFlight>,
    scan: Scan,
    background: Arc<Background>,
    /// None once closed.
    open: Mutex<Option<Open>>,
}

/// A connection for one thread at a time. The thread that reads may read again from within, as it does where a value
/// runs code of the host when it is decoded.
type SharedConnection = Arc<ReentrantMutex<FileConnection>>;

struct Open {
    /// Opened with the database: later, the process may have no file descriptor left. Closed before the writer, which is then the
    /// last one, and empties the WAL.
    reader: SharedConnection,
    writer: Arc<Writer>,
    /// The watches that end when the database is closed.
    watches: Vec<Watcher>,
    /// Dropped when the database is closed, for those that wait for messages.
    closed: watch::Sender<()>,
}

/// Opens a database, or creates it. Waits for the disk, and for another process that is changing the file.
///
/// # Errors
/// [`Error::Open`] where the file is not there to be read and written, or is no database, [`Error::NewerFormat`],
/// [`Error::Busy`], [`Error::Storage`] or [`Error::Thread`].
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
        Location::File { path, follow_links } => open_files::writer_at_once(path, *follow_links, options)?,
    };
    let reader = writer.memory().map_or_else(|| writer.open_reader_at_once().map(shared), Ok);
    Sqlite::with(writer, reader, options.clone()).ok()
}

impl Sqlite {
    /// A database of a writer, which is released where the connection for reads could not be opened.
    fn with(writer: Arc<Writer>, reader: Result<SharedConnection>, options: Options) -> Result<Database> {
        let limits = options.limits.clone();
        Ok(Database::new(Self::of(writer, reader, options)?, limits))
    }

    fn of(writer: Arc<Writer>, reader: Result<SharedConnection>, options: Options) -> Result<Self> {
        let scan = Scan::default();
        let is_file = writer.memory().is_none();
        let reader = reader.and_then(|reader| {
            if is_file {
                scan.watch(&reader.lock())?;
            }
            Ok(reader)
        });
        let reader = reader.inspect_err(|_| writer.release())?;
        let open = Open { reader, watches: Vec::new(), closed: watch::Sender::new(()), writer };
        let handle = Handle {
            options,
            in_flight: Arc::default(),
            scan,
            background: Arc::default(),
            open: Mutex::new(Some(open)),
        };
        let database = Self { handle: Arc::new(handle) };
        OPEN.lock().insert(Arc::as_ptr(&database.handle) as usize, Arc::downgrade(&database.handle));
        Ok(database)
    }
}

/// The writer of an open database.
#[cfg(test)]
fn writer(database: &Database) -> Arc<Writer> {
    let backend = database.backend().local().expect("SQLite reads locally") as *const dyn LocalReads;
    // SAFETY: in the tests of this module, all databases are of this backend.
    unsafe { &*backend.cast::<Sqlite>() }.handle.writer().expect("the database is open")
}

impl Sqlite {
    /// Reads a file as it is now, or after the writes in flight, on a thread of its own.
    fn read_snapshot<T: Send + 'static>(
        &self,
        writer: &Writer,
        is_pending: bool,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<BoxFuture<T>> {
        let connection = match writer.open_reader() {
            Ok(connection) => connection,
            // The writer has its connection already.
            Err(_) if !can_open(CONNECTION_FILES) => return Ok(writer.run(read)),
            Err(error) => return Err(error),
        };
        let (answer, answered) = oneshot::channel();
        let background = self.handle.background.clone();
        let begin = move || match reader::begin_snapshot(connection) {
            Ok(snapshot) => background.read(snapshot, read, answer),
            Err(error) => drop(answer.send(Err(error))),
        };
        if is_pending {
            drop(writer.run(move |_| {
                begin();
                Ok(())
            }));
        } else {
            begin();
        }
        Ok(Box::pin(async move { answered.await.map_err(|_| Error::Closed)? }))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl Handle {
    fn close(self: &Arc<Self>) {
        let Some(Open { reader, writer, watches, closed, .. }) = self.open.lock().take() else { return };
        OPEN.lock().remove(&(Arc::as_ptr(self) as usize));
        if !watches.is_empty() {
            drop(watches);
            writer.watchers.prune();
        }
        drop((reader, closed));
        self.background.close();
        writer.release();
    }

    fn writer(&self) -> Result<Arc<Writer>> {
        self.open.lock().as_ref().map(|open| open.writer.clone()).ok_or(Error::Closed)
    }

    fn reader(&self) -> Result<SharedConnection> {
        self.open.lock().as_ref().map(|open| open.reader.clone()).ok_or(Error::Closed)
    }
}

impl LocalReads for Sqlite {
    fn read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<()> {
        let reader = self.handle.reader()?;
        reader::read(&reader.lock(), self.handle.options.clock.now(), reads, visitor)
    }

    fn try_read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool> {
        let Handle { options, in_flight, scan, .. } = &*self.handle;
        if in_flight.touches(reads) {
            return Ok(false);
        }
        let reader = self.handle.reader()?;
        let connection = reader.lock();
        let _bounded = scan.bound();
        let result = reader::read(&connection, options.clock.now(), reads, &mut |i, entry| {
            scan.found();
            visitor(i, entry)
        });
        match result {
            Err(error) if scan::is_interrupted(&error) => Ok(false),
            result => result.map(|()| true),
        }
    }
}

impl Backend for Sqlite {
    fn read(&self, reads: &[Read<'_>], ReadOptions { max_bytes, .. }: ReadOptions) -> BoxFuture<Vec<Vec<Entry>>> {
        let Handle { options, in_flight, .. } = &*self.handle;
        let now = options.clock.now();
        let begin = || {
            let writer = self.handle.writer()?;
            let owned: Vec<_> = reads.iter().map(|read| read.into_owned()).collect();
            if in_flight.touches(reads) {
                return Ok(writer.read(owned, max_bytes, in_flight));
            }
            match writer.memory() {
                Some(memory) => Ok(ready(reader::read_entries(&memory.lock(), now, &owned, max_bytes))),
                None => self.read_snapshot(&writer, false, move |snapshot| {
                    reader::read_entries(snapshot, now, &owned, max_bytes)
                }),
            }
        };
        begin().unwrap_or_else(|error| ready(Err(error)))
    }

    fn write(&self, write: AtomicWrite) -> BoxFuture<Commit> {
        later(self.handle.writer(), |writer| writer.write(write, &self.handle.in_flight))
    }

    fn count(&self, start: &[u8], end: &[u8]) -> Option<BoxFuture<u64>> {
        let Handle { options, in_flight, .. } = &*self.handle;
        let now = options.clock.now();
        let is_pending = in_flight.touches_range(start, end);
        let begin = || {
            let writer = self.handle.writer()?;
            let (start, end) = (start.to_vec(), end.to_vec());
            let count = move |connection: &Connection| reader::count(connection, now, &start, &end);
            match writer.memory() {
                Some(memory) if !is_pending => Ok(ready(count(&memory.lock()))),
                Some(_) => Ok(writer.run(count)),
                // A connection of its own: the reads of this database do not wait for a count.
                None => self.read_snapshot(&writer, is_pending, count),
            }
        };
        Some(begin().unwrap_or_else(|error| ready(Err(error))))
    }

    fn delete_range(&self, start: &[u8], end: &[u8], limit: u32) -> Option<BoxFuture<u64>> {
        let delete =
            |writer: Arc<Writer>| writer.delete_range(start.to_vec(), end.to_vec(), limit, &self.handle.in_flight);
        Some(later(self.handle.writer(), delete))
    }

    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>> {
        let mut state = self.handle.open.lock();
        let open = state.as_mut().ok_or(Error::Closed)?;
        let (watcher, changes) = mpsc::channel(1);
        let watcher = Arc::new(watcher);
        let registration = open.writer.watchers.add(keys.iter().map(|key| key.as_bytes().to_vec()).collect(), &watcher);
        open.writer.wake()?;
        open.watches.retain(|watch| !watch.is_closed());
        open.watches.push(watcher);
        Ok(Box::pin(stream::unfold((changes, registration), |(mut changes, registration)| async move {
            changes.recv().await?;
            Some((Ok(WatchEvent::Changed), (changes, registration)))
        })))
    }

    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        delivery::dequeue(&self.handle, limit)
    }

    fn now(&self) -> u64 {
        self.handle.options.clock.now()
    }

    fn close(&self) {
        self.handle.close();
    }

    fn local(&self) -> Option<&dyn LocalReads> {
        Some(self)
    }
}

fn shared(connection: FileConnection) -> SharedConnection {
    Arc::new(ReentrantMutex::new(connection))
}

fn ready<T: Send + 'static>(answer: Result<T>) -> BoxFuture<T> {
    Box::pin(std::future::ready(answer))
}

/// The answer to what was checked already, or the error that was found.
fn later<T: Send + 'static>(
    checked: Result<Arc<Writer>>,
    ask: impl FnOnce(Arc<Writer>) -> BoxFuture<T>,
) -> BoxFuture<T> {
    checked.map_or_else(|error| ready(Err(error)), ask)
}

//! The database over one SQLite file, or in memory.
//!
//! All databases that a process opens on one file share one connection for writes, owned by a thread; each has a connection
//! of its own for reads. SQLite's write-ahead log gives every read a consistent snapshot beside the writer. Waiting for
//! other processes is the thread's work, not the caller's.

mod apply;
mod checkpoint;
mod connection;
mod list;
pub mod maintenance;
mod open_files;
mod pinned;
mod queue;
mod reader;
mod schema;
mod sum;
mod sweep;
#[cfg(test)]
mod tests;
mod transaction;
#[cfg(unix)]
mod vfs;
mod watchers;
mod worker;
mod writer;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use parking_lot::{Mutex, ReentrantMutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::{
    AtomicWrite, Clock, Commit, Database, Delivery, Entry, Error, Key, Limits, Mutation, Pending, Random, Read, Result,
    Selector, SystemClock, SystemRandom, Value, Visit, Watch,
};
use connection::FileConnection;
pub use list::List;
pub(crate) use pinned::is_link;
use queue::Taken;
use watchers::Watcher;
use writer::Writer;

/// Where a database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In memory: private, and gone once closed.
    Memory,
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
/// use openkv_engine::sqlite::{Location, Options, Sqlite};
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
/// let database = Sqlite::open(Location::Memory, Options::default().clock(clock.clone()))?;
///
/// let session = Key::from(["sessions", "alice"]);
/// let set = Mutation::set(session.clone(), Value::U64(1)).expire_at(1000);
/// database.write_blocking(AtomicWrite::new().mutate(set))?;
///
/// clock.0.store(999, Ordering::Relaxed);
/// assert!(database.get(&session)?.is_some());
/// clock.0.store(1000, Ordering::Relaxed);
/// assert!(database.get(&session)?.is_none());
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

/// Waits until the databases that were closed have been left, but no longer than this. A program that ends at once leaves
/// the log of a database beside its file: nothing is lost, but the file alone is not the database.
pub fn wait_closed(patience: Duration) {
    writer::wait_closed(patience);
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
type SharedConnection = Arc<ReentrantMutex<FileConnection>>;

struct Open {
    /// Opened by the first read. Closed before the writer, which has the time that the last one to close may need.
    reader: Option<SharedConnection>,
    writer: Arc<Writer>,
    /// The watches that end when the database is closed.
    watches: Vec<Watcher>,
    /// As many permits as messages may still be delivered.
    room: Arc<Semaphore>,
    /// Dropped when the database is closed, for those that wait for messages.
    closed: watch::Sender<()>,
}

/// How many messages to take from the queue at once. More would leave less to other listeners.
const DELIVERY_BATCH: usize = 16;

impl Sqlite {
    /// Opens a database, or creates it. Waits for the disk, and for another process that is changing the file.
    ///
    /// # Errors
    /// [`Error::Open`] where the file is not there to be read and written, or is no database, [`Error::NewerFormat`],
    /// [`Error::Busy`], [`Error::Storage`] or [`Error::Thread`].
    pub fn open(location: Location, options: Options) -> Result<Self> {
        let writer = match &location {
            Location::Memory => Arc::new(Writer::new(connection::open_memory()?, &options, None)),
            Location::File { path, follow_links } => open_files::writer(path, *follow_links, &options)?,
        };
        Ok(Self::with(writer, location, options))
    }

    /// Opens a database where nothing is to be waited for: in memory, or a file that is there in the present format, with
    /// nobody who has it locked and no log that is left to be read. That takes a tenth of a millisecond. None for any other:
    /// [`Sqlite::open`] opens it, or says why not.
    pub fn open_at_once(location: &Location, options: &Options) -> Option<Self> {
        let writer = match location {
            Location::Memory => Arc::new(Writer::new(connection::open_memory().ok()?, options, None)),
            Location::File { path, follow_links } => open_files::writer_at_once(path, *follow_links, options)?,
        };
        Some(Self::with(writer, location.clone(), options.clone()))
    }

    fn with(writer: Arc<Writer>, location: Location, options: Options) -> Self {
        let open = Open {
            reader: None,
            watches: Vec::new(),
            room: Arc::new(Semaphore::new(options.limits.deliveries)),
            closed: watch::Sender::new(()),
            writer,
        };
        Self { options, location, open: Mutex::new(Some(open)) }
    }

    /// Reads the entry of a key; none where there is no value.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn get(&self, key: &Key) -> Result<Option<Entry>> {
        Ok(self.read_entries(&[Read::Key(key)])?.into_iter().flatten().next())
    }

    /// Lists the entries of a selector, a batch at a time. See [`List`].
    pub fn list(&self, selector: Selector) -> List<'_> {
        List::new(self, selector)
    }

    /// Stores a value that does not expire, and waits until it is durable. Not for use in asynchronous code.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn set(&self, key: Key, value: Value) -> Result<()> {
        self.write_blocking(AtomicWrite::new().mutate(Mutation::set(key, value))).map(drop)
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
    pub fn write_blocking(&self, write: AtomicWrite) -> Result<Commit> {
        futures_executor::block_on(self.write(write))
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
            Location::File { .. } => Arc::new(ReentrantMutex::new(open.writer.open_reader()?)),
        };
        Ok(open.reader.insert(reader).clone())
    }

    fn dequeue_up_to(&self, count: usize) -> Pending<Vec<Delivery>> {
        let state = self.open.lock();
        let Some(open) = &*state else {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        };
        let (writer, room, mut closed) = (open.writer.clone(), open.room.clone(), open.closed.subscribe());
        let taking = match room.clone().try_acquire_owned() {
            // With room, the listener waits from now on.
            Ok(permit) => Either::Left(take(writer, room, permit, count)),
            Err(_) => Either::Right(async move {
                match room.clone().acquire_owned().await {
                    Ok(permit) => take(writer, room, permit, count).await,
                    Err(_) => Err(Error::Closed),
                }
            }),
        };
        Box::pin(async move {
            tokio::select! {
                // What was taken is handed out even as the database is closed.
                biased;
                taken = taking => taken,
                _ = closed.changed() => Ok(Vec::new()),
            }
        })
    }
}

impl Database for Sqlite {
    fn read(&self, reads: &[Read<'_>], visit: &mut Visit<'_>) -> Result<()> {
        self.options.limits.check_reads(reads)?;
        let reader = self.reader()?;
        reader::read(&reader.lock(), self.options.clock.now(), reads, visit)
    }

    fn count(&self, start: &[u8], end: &[u8]) -> Result<u64> {
        self.options.limits.check_range(start, end)?;
        let now = self.options.clock.now();
        match &self.location {
            Location::Memory => reader::count(&self.reader()?.lock(), now, start, end),
            // A connection of its own: the reads of this database do not wait for a count.
            Location::File { .. } => {
                let reader = self.writer()?.open_reader()?;
                reader::count(&reader, now, start, end)
            }
        }
    }

    fn write(&self, write: AtomicWrite) -> Pending<Commit> {
        let checked = self.options.limits.check_write(&write).and_then(|()| self.writer());
        later(checked, |writer| writer.write(write))
    }

    fn delete_range(&self, start: Vec<u8>, end: Vec<u8>) -> Pending<u64> {
        let limits = &self.options.limits;
        let checked = limits.check_range(&start, &end).and_then(|()| self.writer());
        later(checked, |writer| writer.delete_range(start, end, limits.deletions))
    }

    fn watch(&self, keys: &[Key]) -> Result<Watch> {
        self.options.limits.check_watch(keys)?;
        let mut state = self.open.lock();
        let open = state.as_mut().ok_or(Error::Closed)?;
        let (watcher, changes) = mpsc::channel(1);
        let watcher = Arc::new(watcher);
        open.writer.watchers.add(keys.iter().map(|key| key.as_bytes().to_vec()), &watcher);
        open.writer.look()?;
        open.watches.retain(|watch| !watch.is_closed());
        open.watches.push(watcher);
        Ok(Watch::new(changes))
    }

    fn dequeue(&self) -> Pending<Vec<Delivery>> {
        self.dequeue_up_to(DELIVERY_BATCH)
    }

    fn dequeue_one(&self) -> Pending<Option<Delivery>> {
        let taken = self.dequeue_up_to(1);
        Box::pin(async move { Ok(taken.await?.pop()) })
    }

    fn now(&self) -> u64 {
        self.options.clock.now()
    }

    fn close(&self) {
        self.open.lock().take();
    }
}

/// Takes messages from the queue: at most so many, and as many as there is room for beside the one permit.
fn take(
    writer: Arc<Writer>,
    room: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
    count: usize,
) -> impl Future<Output = Result<Vec<Delivery>>> + Send {
    let more = std::iter::from_fn(move || room.clone().try_acquire_owned().ok());
    let permits: Vec<_> = std::iter::once(permit).chain(more).take(count).collect();
    let taken = writer.clone().dequeue(permits.len());
    async move {
        let taken = taken.await?;
        let deliveries = taken.into_iter().zip(permits).map(|(Taken { id, message, alive }, permit)| {
            let writer = writer.clone();
            Delivery::new(message, move |success| {
                let finished = writer.finish(id, success);
                Box::pin(async move {
                    let finished = finished.await;
                    drop((alive, permit));
                    finished
                })
            })
        });
        Ok(deliveries.collect())
    }
}

/// The answer to what was checked already, or the error that was found.
fn later<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
    checked: Result<Arc<Writer>>,
    ask: impl FnOnce(Arc<Writer>) -> F,
) -> Pending<T> {
    match checked {
        Ok(writer) => Box::pin(ask(writer)),
        Err(error) => Box::pin(std::future::ready(Err(error))),
    }
}

//! The backend over SQLite: dispatches each call to a read on this thread, a background read, or the writer.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::future::ready;
use crate::in_flight::InFlight;
use crate::sqlite::error::{CONNECTION_FILES, can_open};
use crate::sqlite::file::connection::SharedConnection;
use crate::sqlite::file::lifecycle;
use crate::sqlite::options::Options;
use crate::sqlite::read::background::Background;
use crate::sqlite::read::reader;
use crate::sqlite::read::readers::Readers;
use crate::sqlite::read::transfer;
use crate::sqlite::write::delivery;
use crate::sqlite::write::jobs::Closing;
use crate::sqlite::write::watchers::Watcher;
use crate::sqlite::write::writer::{self, Writer};
use crate::{
    AtomicWrite, Backend, BoxFuture, BoxStream, Commit, Database, Delivery, Error, Expiry, Key, LastCommit, LocalReads,
    Page, Read, ReadEntry, ReadOptions, Result, StoredEntry, StoredMessage, Transfer, Versionstamp, Visitor,
    WatchEvent,
};

/// Waits until the threads of closed databases have closed their files, up to a timeout. Needed only for files that were locked by
/// another process, see [`Database::close`].
pub fn wait_closed(timeout: Duration) {
    close_again(Closing::Finish, timeout);
}

fn close_again(closing: Closing, timeout: Duration) {
    writer::close_again(closing);
    lifecycle::wait_closed(timeout);
}

/// Closes all open databases of the process before it exits: messages whose handlers are running are requeued. Waits until the
/// files are closed, up to a timeout.
pub fn close_all(timeout: Duration) {
    let databases: Vec<_> = OPEN.lock().values().filter_map(Weak::upgrade).collect();
    databases.iter().for_each(|database| database.close());
    close_again(Closing::Abandon, timeout);
}

/// The open databases of the process, by their addresses.
static OPEN: LazyLock<Mutex<HashMap<usize, Weak<Handle>>>> = LazyLock::new(Default::default);

/// The backend over SQLite. Closed on drop.
pub(super) struct Sqlite {
    handle: Arc<Handle>,
}

/// The state of a database, shared with [`close_all`].
struct Handle {
    options: Options,
    in_flight: Arc<InFlight>,
    background: Arc<Background>,
    /// `None` once closed.
    open: Mutex<Option<Open>>,
}

struct Open {
    /// Closed before the writer, whose connection is then the last one, and truncates the WAL.
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    /// The watches to end when the database is closed.
    watches: Vec<Watcher>,
    /// Dropped when the database is closed, which notifies the listeners.
    closed: watch::Sender<()>,
}

impl Sqlite {
    /// Returns a database that uses a writer. Releases the writer if the read connection could not be opened.
    pub fn with(writer: Arc<Writer>, reader: Result<SharedConnection>, options: Options) -> Result<Database> {
        let limits = options.limits.clone();
        Ok(Database::new(Self::of(writer, reader, options)?, limits))
    }

    fn of(writer: Arc<Writer>, reader: Result<SharedConnection>, options: Options) -> Result<Self> {
        let readers = reader.and_then(|first| Readers::new(first, &writer));
        let readers = Arc::new(readers.inspect_err(|_| writer.release())?);
        tracing::debug!(path = ?writer.path(), "opened a database");
        let open = Open { readers, watches: Vec::new(), closed: watch::Sender::new(()), writer };
        let handle =
            Handle { options, in_flight: Arc::default(), background: Arc::default(), open: Mutex::new(Some(open)) };
        let database = Self { handle: Arc::new(handle) };
        OPEN.lock().insert(Arc::as_ptr(&database.handle) as usize, Arc::downgrade(&database.handle));
        Ok(database)
    }
}

#[cfg(test)]
fn handle_of(database: &Database) -> &Handle {
    let backend = database.backend().local().expect("SQLite reads locally") as *const dyn LocalReads;
    // SAFETY: in the tests of this module, all databases are of this backend.
    unsafe { &(*backend.cast::<Sqlite>()).handle }
}

/// Returns the writer of an open database.
#[cfg(test)]
pub(super) fn writer_of(database: &Database) -> Arc<Writer> {
    handle_of(database).writer().expect("the database is open")
}

/// Returns the read connections of an open database.
#[cfg(test)]
pub(super) fn readers_of(database: &Database) -> Arc<Readers> {
    handle_of(database).readers().expect("the database is open")
}

impl Sqlite {
    /// Reads what may take long: from a file, on a connection of its own, so that other reads of this database are not blocked. If
    /// `is_pending`, the read sees the writes in flight.
    fn read_apart<T: Send + 'static>(
        &self,
        is_pending: bool,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> BoxFuture<T> {
        let begin = || {
            let writer = self.handle.writer()?;
            match writer.memory() {
                Some(memory) if !is_pending => Ok(ready(read(&memory.lock()))),
                Some(_) => Ok(writer.run(read)),
                None => self.read_snapshot(&writer, is_pending, read),
            }
        };
        begin().unwrap_or_else(|error| ready(Err(error)))
    }

    /// Reads a snapshot of a file on a new thread. If `is_pending`, the snapshot begins after the writes in flight.
    fn read_snapshot<T: Send + 'static>(
        &self,
        writer: &Writer,
        is_pending: bool,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<BoxFuture<T>> {
        let connection = match writer.open_reader() {
            Ok(connection) => connection,
            // Without file descriptors for another connection, that of the writer is used.
            Err(_) if !can_open(CONNECTION_FILES) => return Ok(writer.run(read)),
            Err(error) => return Err(error),
        };
        let (reply, result) = oneshot::channel();
        let background = self.handle.background.clone();
        let begin = move || match reader::begin_snapshot(connection) {
            Ok(snapshot) => background.read(snapshot, read, reply),
            Err(error) => drop(reply.send(Err(error))),
        };
        if is_pending {
            drop(writer.run(move |_| {
                begin();
                Ok(())
            }));
        } else {
            begin();
        }
        Ok(Box::pin(async move { result.await.map_err(|_| Error::Closed)? }))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl Handle {
    fn close(self: &Arc<Self>) {
        let Some(Open { readers, writer, watches, closed }) = self.open.lock().take() else { return };
        OPEN.lock().remove(&(Arc::as_ptr(self) as usize));
        if !watches.is_empty() {
            drop(watches);
            writer.watchers.prune();
        }
        drop((readers, closed));
        self.background.close();
        writer.release();
        tracing::debug!(path = ?writer.path(), "closed a database");
    }

    fn writer(&self) -> Result<Arc<Writer>> {
        self.open.lock().as_ref().map(|open| open.writer.clone()).ok_or(Error::Closed)
    }

    fn readers(&self) -> Result<Arc<Readers>> {
        self.open.lock().as_ref().map(|open| open.readers.clone()).ok_or(Error::Closed)
    }
}

impl LocalReads for Sqlite {
    fn read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool> {
        let Handle { options, in_flight, .. } = &*self.handle;
        if in_flight.touches(reads) {
            return Ok(false);
        }
        let readers = self.handle.readers()?;
        readers.begin()?.read(options.clock.now(), reads, visitor)?;
        Ok(true)
    }

    fn try_read(&self, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool> {
        let Handle { options, in_flight, .. } = &*self.handle;
        if in_flight.touches(reads) {
            return Ok(false);
        }
        let readers = self.handle.readers()?;
        readers.begin()?.try_read(options.clock.now(), reads, visitor)
    }
}

impl Transfer for Sqlite {
    fn entries(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredEntry>> {
        let (now, after) = (self.handle.options.clock.now(), after.to_vec());
        self.read_apart(true, move |connection| transfer::entries(connection, now, &after, page))
    }

    fn messages(&self, after: &[u8], page: Page) -> BoxFuture<Vec<StoredMessage>> {
        let after = after.to_vec();
        self.read_apart(true, move |connection| transfer::messages(connection, &after, page))
    }

    fn last_commit(&self) -> BoxFuture<LastCommit> {
        self.read_apart(true, transfer::last_commit)
    }

    fn raise_version(&self, versionstamp: Versionstamp) -> BoxFuture<()> {
        match i64::try_from(versionstamp.to_version()) {
            Ok(version) => {
                with_writer(self.handle.writer(), |writer| writer.raise_version(version, &self.handle.in_flight))
            }
            Err(_) => ready(Err(Error::NoVersionLeft)),
        }
    }
}

impl Backend for Sqlite {
    fn read(&self, reads: &[Read<'_>], ReadOptions { max_bytes, .. }: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
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
        with_writer(self.handle.writer(), |writer| writer.write(write, &self.handle.in_flight))
    }

    fn expiries(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Expiry>>> {
        let Handle { options, in_flight, .. } = &*self.handle;
        let now = options.clock.now();
        let reads: Vec<_> = keys.iter().map(Read::Key).collect();
        let begin = || {
            if in_flight.touches(&reads) {
                let keys = keys.to_vec();
                return Ok(self.handle.writer()?.run(move |connection| reader::expiries(connection, now, &keys)));
            }
            Ok(ready(self.handle.readers()?.begin()?.expiries(now, keys)))
        };
        begin().unwrap_or_else(|error| ready(Err(error)))
    }

    fn count(&self, start: &[u8], end: &[u8]) -> Option<BoxFuture<u64>> {
        let Handle { options, in_flight, .. } = &*self.handle;
        let now = options.clock.now();
        let is_pending = in_flight.touches_range(start, end);
        let (start, end) = (start.to_vec(), end.to_vec());
        Some(self.read_apart(is_pending, move |connection| reader::count(connection, now, &start, &end)))
    }

    fn delete_range(&self, start: &[u8], end: &[u8], limit: u32) -> Option<BoxFuture<u64>> {
        let delete =
            |writer: Arc<Writer>| writer.delete_range(start.to_vec(), end.to_vec(), limit, &self.handle.in_flight);
        Some(with_writer(self.handle.writer(), delete))
    }

    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>> {
        let mut state = self.handle.open.lock();
        let open = state.as_mut().ok_or(Error::Closed)?;
        let (watcher, changes) = mpsc::channel(1);
        let watcher = Arc::new(watcher);
        let registration = open.writer.watchers.add(keys.iter().map(|key| key.as_bytes().to_vec()).collect(), &watcher);
        open.writer.wake()?;
        add_watch(&mut open.watches, watcher);
        let changes = stream::unfold((changes, registration), |(mut changes, registration)| async move {
            changes.recv().await?;
            Some((Ok(WatchEvent::Changed), (changes, registration)))
        });
        // The first event makes the database read the initial state.
        Ok(Box::pin(stream::once(std::future::ready(Ok(WatchEvent::Changed))).chain(changes)))
    }

    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        match &*self.handle.open.lock() {
            Some(open) => delivery::dequeue(open.writer.clone(), open.closed.subscribe(), limit),
            None => ready(Ok(Vec::new())),
        }
    }

    fn id(&self) -> BoxFuture<Option<[u8; 16]>> {
        let id = with_writer(self.handle.writer(), |writer| writer.id(&self.handle.in_flight));
        Box::pin(async move { id.await.map(Some) })
    }

    fn now(&self) -> u64 {
        self.handle.options.clock.now()
    }

    fn close(&self) {
        self.handle.close();
    }

    fn transfer(&self) -> Option<&dyn Transfer> {
        Some(self)
    }

    fn local(&self) -> Option<&dyn LocalReads> {
        Some(self)
    }
}

/// Returns the future of a call to the writer, or one of the error if the database is closed.
fn with_writer<T: Send + 'static>(
    writer: Result<Arc<Writer>>,
    call: impl FnOnce(Arc<Writer>) -> BoxFuture<T>,
) -> BoxFuture<T> {
    writer.map_or_else(|error| ready(Err(error)), call)
}

/// Adds a watch. Those that have ended are removed when the list is full, and it then has room for as many again: this costs a watch the
/// same with many watches as with few.
fn add_watch(watches: &mut Vec<Watcher>, watch: Watcher) {
    if watches.len() == watches.capacity() {
        watches.retain(|watch| !watch.is_closed());
        watches.reserve(watches.len() + 1);
    }
    watches.push(watch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_watches_do_not_accumulate() {
        let mut watches = Vec::new();
        let receivers: Vec<_> = (0..10)
            .map(|_| {
                let (watch, receiver) = mpsc::channel(1);
                add_watch(&mut watches, Arc::new(watch));
                receiver
            })
            .collect();
        for _ in 0..1000 {
            add_watch(&mut watches, Arc::new(mpsc::channel(1).0));
        }
        assert!(watches.len() <= 3 * receivers.len(), "{} watches", watches.len());
        assert_eq!(watches.iter().filter(|watch| !watch.is_closed()).count(), receivers.len());
    }
}

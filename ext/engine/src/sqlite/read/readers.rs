//! The pool of read connections of one database. It starts with one, which is enough for a single-threaded program. When
//! several threads read at the same time, it opens a few more: in WAL mode, readers do not block each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, ReentrantMutexGuard};

use crate::sqlite::error::{CONNECTION_FILES, can_open};
use crate::sqlite::file::connection::{FileConnection, SharedConnection, shared};
use crate::sqlite::file::snapshots;
use crate::sqlite::read::reader;
use crate::sqlite::read::scan::{self, Scan};
use crate::sqlite::write::writer::Writer;
use crate::{Expiry, Key, Read, Result, Visitor};

/// How many connections to open besides the first.
const FURTHER: usize = 3;

/// How long to wait after a failure to open a further connection before trying again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Readers {
    /// Opened with the database: later, the process may have run out of file descriptors.
    first: Reader,
    further: [OnceLock<Reader>; FURTHER],
    /// The connection that the next thread waits for if all are in use.
    next: AtomicUsize,
    /// When to try again to open a further connection. Locked while one is being opened.
    retry_at: Mutex<Option<Instant>>,
    /// Opens further connections. `None` in memory, where there is only one connection.
    writer: Option<Weak<Writer>>,
}

struct Reader {
    connection: SharedConnection,
    scan: Scan,
}

/// A connection that this thread has locked.
type Locked<'a> = (&'a Reader, ReentrantMutexGuard<'a, FileConnection>);

/// A read by this thread, until it is dropped.
pub(crate) struct Reading<'a> {
    connection: ReentrantMutexGuard<'a, FileConnection>,
    scan: &'a Scan,
}

impl<'a> Reading<'a> {
    fn begin((reader, connection): Locked<'a>) -> Result<Self> {
        if let Some(snapshot) = connection.snapshot() {
            snapshot.begin_read(&connection, || snapshots::add(&reader.connection, snapshot))?;
        }
        Ok(Self { connection, scan: &reader.scan })
    }

    /// Reads in the snapshot of the latest commit, or in that of the visit in which this is.
    pub fn read(&self, now: u64, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<()> {
        self.checked(reader::read(&self.connection, now, reads, visitor))
    }

    /// Reads when the entries of keys expire, in the same snapshot.
    pub fn expiries(&self, now: u64, keys: &[Key]) -> Result<Vec<Option<Expiry>>> {
        self.checked(reader::expiries(&self.connection, now, keys))
    }

    /// Returns a result. After an error, the snapshot is not used again.
    fn checked<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(_), Some(snapshot)) = (&result, self.connection.snapshot()) {
            snapshot.invalidate();
        }
        result
    }

    /// Reads as [`Reading::read`] does, but scans no further than [`Scan`] says. Returns whether that was enough.
    pub fn try_read(&self, now: u64, reads: &[Read<'_>], visitor: &mut Visitor<'_>) -> Result<bool> {
        let _bounded = self.scan.bound();
        let result = self.read(now, reads, &mut |i, entry| {
            self.scan.found();
            visitor(i, entry)
        });
        match result {
            Err(error) if scan::is_interrupted(&error) => Ok(false),
            result => result.map(|()| true),
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(snapshot) = self.connection.snapshot() {
            snapshot.end_read(&self.connection);
        }
    }
}

impl Reader {
    /// Returns a reader that uses a connection to a file.
    fn of_file(connection: SharedConnection) -> Result<Self> {
        let scan = Scan::default();
        scan.watch(&connection.lock())?;
        Ok(Self { connection, scan })
    }

    fn lock(&self) -> Locked<'_> {
        (self, self.connection.lock())
    }

    fn try_lock(&self) -> Option<Locked<'_>> {
        Some((self, self.connection.try_lock()?))
    }
}

impl Readers {
    /// Returns a pool with its first connection.
    pub fn new(first: SharedConnection, writer: &Arc<Writer>) -> Result<Self> {
        let is_file = writer.memory().is_none();
        let first = if is_file { Reader::of_file(first)? } else { Reader { connection: first, scan: Scan::default() } };
        Ok(Self {
            first,
            further: Default::default(),
            next: AtomicUsize::new(0),
            retry_at: Mutex::new(None),
            writer: is_file.then(|| Arc::downgrade(writer)),
        })
    }

    /// Begins a read by this thread. Within a visit, it uses the connection of the visit, so that nested reads are part of its
    /// snapshot.
    pub fn begin(&self) -> Result<Reading<'_>> {
        Reading::begin(self.lock())
    }

    fn lock(&self) -> Locked<'_> {
        let of_visit = self.further().find(|reader| reader.connection.is_owned_by_current_thread());
        if let Some(reader) = of_visit {
            return reader.lock();
        }
        let free = self.first.try_lock().or_else(|| self.further().find_map(Reader::try_lock));
        free.or_else(|| self.open()?.try_lock()).unwrap_or_else(|| self.wait())
    }

    fn further(&self) -> impl Iterator<Item = &Reader> {
        self.further.iter().map_while(OnceLock::get)
    }

    /// Waits for a connection that another thread uses.
    fn wait(&self) -> Locked<'_> {
        let count = 1 + self.further().count();
        match self.next.fetch_add(1, Ordering::Relaxed) % count {
            0 => self.first.lock(),
            i => self.further[i - 1].get().unwrap_or(&self.first).lock(),
        }
    }

    /// Opens a further connection. Returns `None` if there are enough, if another thread is opening one, or if opening it would
    /// block or use up the last file descriptors: waiting for an open connection is then the better choice.
    fn open(&self) -> Option<&Reader> {
        let slot = self.further.iter().find(|slot| slot.get().is_none())?;
        let writer = self.writer.as_ref()?.upgrade()?;
        let mut retry_at = self.retry_at.try_lock()?;
        if slot.get().is_some() || retry_at.is_some_and(|time| Instant::now() < time) {
            return None;
        }
        let open = || writer.try_open_reader().map(shared).and_then(Reader::of_file).ok();
        match can_open(2 * CONNECTION_FILES).then(open).flatten() {
            Some(reader) => Some(slot.get_or_init(|| reader)),
            None => {
                *retry_at = Some(Instant::now() + RETRY_INTERVAL);
                None
            }
        }
    }

    /// Returns whether a transaction of a connection is open between two reads.
    #[cfg(test)]
    pub fn has_open_snapshot(&self) -> bool {
        [&self.first].into_iter().chain(self.further()).any(|reader| {
            let connection = reader.connection.lock();
            connection.snapshot().is_some_and(|snapshot| snapshot.is_open())
        })
    }

    /// Returns how many connections are open.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        1 + self.further().count()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // In memory, it is that of the writer as well, and was never listed.
        [&self.first].into_iter().chain(self.further()).for_each(|reader| snapshots::remove(&reader.connection));
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::thread;

    use crate::sqlite::backend::readers_of;
    use crate::sqlite::{self, Location, Options};
    use crate::{Database, Key, Read, Value};

    fn open(directory: &tempfile::TempDir) -> Database {
        sqlite::open(Location::file(directory.path().join("kv.sqlite3")), Options::default()).unwrap()
    }

    #[test]
    fn reads_run_during_a_visit_of_another_thread() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory);
        let key = Key::from(["a"]);
        database.set_blocking(key.clone(), Value::U64(1)).unwrap();
        let get = || database.get_blocking(&key).unwrap().unwrap().value;
        let mut visited = 0;
        let reads = [Read::Key(&key), Read::Key(&key)];
        let visit = database.visit_blocking(&reads, &mut |_, entry| {
            visited += 1;
            let value = entry.value.unwrap().to_owned();
            assert_eq!(value, Value::U64(1));
            thread::scope(|scope| {
                let other = || {
                    database.set_blocking(key.clone(), Value::U64(2)).unwrap();
                    get()
                };
                assert_eq!(scope.spawn(other).join().unwrap(), Value::U64(2));
            });
            assert_eq!(get(), Value::U64(1), "a read within a visit uses its snapshot");
            ControlFlow::Continue(())
        });
        visit.unwrap();
        assert_eq!((visited, get()), (2, Value::U64(2)));
    }

    #[test]
    fn threads_beyond_the_connections_wait_for_one() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory);
        let key = Key::from(["a"]);
        database.set_blocking(key.clone(), Value::U64(1)).unwrap();
        // Each visit runs within that of the thread before, so that all connections are in use.
        fn visit(database: &Database, key: &Key, depth: usize) {
            let mut visitor = |_: usize, _: crate::EntryRef<'_>| {
                if depth > 0 {
                    thread::scope(|scope| drop(scope.spawn(|| visit(database, key, depth - 1))));
                }
                ControlFlow::Continue(())
            };
            database.visit_blocking(&[Read::Key(key)], &mut visitor).unwrap();
        }
        visit(&database, &key, super::FURTHER);
        let count = |database: &Database| readers_of(database).count();
        assert_eq!(count(&database), 1 + super::FURTHER);
        thread::scope(|scope| {
            for _ in 0..4 * super::FURTHER {
                scope.spawn(|| (0..1000).for_each(|_| assert!(database.get_blocking(&key).unwrap().is_some())));
            }
        });
        assert_eq!(count(&database), 1 + super::FURTHER);

        database.close();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the last connection removes the WAL");
    }
}

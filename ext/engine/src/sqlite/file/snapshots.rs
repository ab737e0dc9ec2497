//! Ends the read transactions that stay open between reads after a few milliseconds: SQLite cannot reset the WAL while one is
//! open.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::sqlite::file::connection::{FileConnection, SharedConnection};
use crate::sqlite::file::snapshot::{self, Pause, Snapshot};

/// How long transactions stay open.
const INTERVAL: Duration = Duration::from_millis(5);

/// The connections whose transactions may be open.
struct List {
    connections: Vec<Weak<Listed>>,
    /// Whether the thread that ends them runs. It runs until the process exits.
    has_thread: bool,
}

type Listed = parking_lot::ReentrantMutex<FileConnection>;

static LIST: Mutex<List> = Mutex::new(List { connections: Vec::new(), has_thread: false });

/// Wakes the thread when the list is not empty.
static ADDED: Condvar = Condvar::new();

/// Schedules the end of the open transaction of a connection. Returns false on failure: the transaction must not stay open then.
///
/// The caller has the connection locked.
pub(crate) fn add(connection: &SharedConnection, snapshot: &Snapshot) -> bool {
    if snapshot.is_listed.get() {
        return true;
    }
    let mut list = LIST.lock();
    if !list.has_thread {
        list.has_thread = thread::Builder::new().name("openkv-snapshots".into()).spawn(run).is_ok();
        if !list.has_thread {
            return false;
        }
    }
    snapshot.is_listed.set(true);
    list.connections.push(Arc::downgrade(connection));
    ADDED.notify_one();
    true
}

/// Removes a connection before it is closed.
pub(crate) fn remove(connection: &SharedConnection) {
    LIST.lock().connections.retain(|listed| !std::ptr::eq(listed.as_ptr(), &raw const **connection));
}

/// Ends the open transactions of the process, and prevents others from staying open until the guard is dropped.
pub(crate) fn pause() -> impl Drop {
    let pause = Pause::begin();
    end_all(&mut LIST.lock());
    pause
}

fn run() {
    loop {
        let mut list = LIST.lock();
        while list.connections.is_empty() {
            ADDED.wait(&mut list);
        }
        MutexGuard::unlocked(&mut list, || thread::sleep(INTERVAL));
        snapshot::expire();
        end_all(&mut list);
    }
}

/// Ends the transactions of idle connections. A connection in use ends its own.
///
/// The list stays locked, so that no connection is closed here after [`remove`] has returned.
fn end_all(list: &mut List) {
    list.connections.retain(|listed| {
        let Some(connection) = listed.upgrade() else { return false };
        let Some(connection) = connection.try_lock() else { return true };
        let Some(snapshot) = connection.snapshot() else { return false };
        snapshot.release(&connection);
        // It stays open during a visit of this thread.
        snapshot.is_listed.set(snapshot.is_open());
        snapshot.is_open()
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use futures_executor::block_on;

    use crate::sqlite::backend::readers_of;
    use crate::sqlite::{self, Location, Options};
    use crate::{Database, Key, Mutation, Read, Value};

    fn open(directory: &tempfile::TempDir) -> Database {
        sqlite::open(Location::file(directory.path().join("kv.sqlite3")), Options::default()).unwrap()
    }

    fn get(database: &Database, key: &Key) -> Option<Value> {
        database.get_blocking(key).unwrap().map(|entry| entry.value)
    }

    fn is_open(database: &Database) -> bool {
        readers_of(database).has_open_snapshot()
    }

    #[test]
    fn read_of_an_unchanged_file_leaves_its_transaction_open_briefly() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory);
        let key = Key::from(["a"]);
        database.set_blocking(key.clone(), Value::U64(1)).unwrap();
        // The thread may end it between two reads.
        while !is_open(&database) {
            assert_eq!(get(&database, &key), Some(Value::U64(1)));
        }
        while is_open(&database) {
            thread::yield_now();
        }
        assert_eq!(get(&database, &key), Some(Value::U64(1)));
    }

    #[test]
    fn read_sees_commits_of_all_connections() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory);
        let other = rusqlite::Connection::open(directory.path().join("kv.sqlite3")).unwrap();
        let key = Key::from(["a"]);
        for i in 0..300 {
            database.set_blocking(key.clone(), Value::U64(i)).unwrap();
            (0..3).for_each(|_| assert_eq!(get(&database, &key), Some(Value::U64(i))));
            let update = "update kv set v = ?1, version = version + 1";
            other.execute(update, [(i + 1000).to_le_bytes()]).unwrap();
            (0..3).for_each(|_| assert_eq!(get(&database, &key), Some(Value::U64(i + 1000))));
        }
    }

    #[test]
    fn reads_never_go_back_in_time_during_writes() {
        let directory = tempfile::tempdir().unwrap();
        let [writer, one, other] = [(); 3].map(|()| open(&directory));
        let [a, b] = ["a", "b"].map(|name| Key::from([name]));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for database in [&one, &other] {
                scope.spawn(|| {
                    let mut last = None;
                    while !done.load(Ordering::Relaxed) {
                        let lists = database.read_blocking(&[Read::Key(&a), Read::Key(&b)]).unwrap();
                        let values: Vec<_> = lists.iter().map(|list| list.first().map(|e| e.value.clone())).collect();
                        assert_eq!(values[0], values[1], "both are from the same commit");
                        let version = lists[0].first().map(|entry| entry.versionstamp);
                        assert!(version >= last, "{version:?} after {last:?}");
                        last = version;
                    }
                });
            }
            for i in 0..500 {
                let write = [&a, &b].map(|key| Mutation::set(key.clone(), Value::U64(i)));
                let write = write.into_iter().fold(crate::AtomicWrite::new(), crate::AtomicWrite::mutate);
                let version = block_on(writer.write(write)).unwrap().versionstamp();
                // All connections see an acknowledged commit.
                for database in [&writer, &one, &other] {
                    let entry = database.get_blocking(&a).unwrap().unwrap();
                    assert!(Some(entry.versionstamp) >= version);
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn open_transaction_does_not_keep_files_open() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            let database = open(&directory);
            let key = Key::from(["a"]);
            database.set_blocking(key.clone(), Value::U64(1)).unwrap();
            (0..3).for_each(|_| drop(get(&database, &key)));
            database.close();
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the WAL was removed");
        }
    }
}

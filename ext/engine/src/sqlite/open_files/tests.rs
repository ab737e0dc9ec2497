use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use futures_executor::block_on;

use crate::sqlite::backend::writer_of as writer;
#[cfg(target_os = "linux")]
use crate::sqlite::file::pinned::Pinned;
use crate::sqlite::{self, Location, Options, wait_closed};
use crate::{Database, Error, FileProblem, Key, Result, Value};

const TIMEOUT: Duration = Duration::from_secs(60);

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str) -> Result<Database> {
        sqlite::open(Location::file(self.path(name)), Options::default())
    }

    /// Writes until the directory counts as unchanged, so that a commit trusts the checks of an earlier one.
    #[cfg(target_os = "linux")]
    fn settle(&self, database: &Database) {
        let file = Pinned::resolve(&self.path("x.db"), false).unwrap();
        while file.directory().names().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        set(database, "settled").unwrap();
        set(database, "settled").unwrap();
    }

    /// Returns the value that another process would find if this one were killed now: opens a copy of the file and its WAL.
    fn get_after_kill(&self, key: &str) -> Option<Value> {
        let after = Self::new();
        for name in ["x.db", "x.db-wal"] {
            if self.path(name).exists() {
                fs::copy(self.path(name), after.path(name)).unwrap();
            }
        }
        get(&after.open("x.db").unwrap(), key)
    }
}

fn set(database: &Database, key: &str) -> Result<()> {
    database.set_blocking(Key::from([key]), Value::U64(1))
}

fn get(database: &Database, key: &str) -> Option<Value> {
    database.get_blocking(&Key::from([key])).unwrap().map(|entry| entry.value)
}

/// Checks that a write failed because a file is gone, and whether earlier writes were saved.
#[track_caller]
fn assert_displaced(result: Result<()>, suffix: &str, saved: bool) {
    match result {
        Err(Error::Displaced { path, is_saved }) => {
            assert!(path.to_string_lossy().ends_with(suffix), "{path:?}");
            assert_eq!(is_saved, saved);
        }
        result => panic!("{result:?}"),
    }
}

#[test]
fn locked_file_does_not_block_opening_others() {
    let directory = Directory::new();
    let lock = rusqlite::Connection::open(directory.path("locked.db")).unwrap();
    lock.execute_batch("create table t (c); begin exclusive").unwrap();
    std::thread::scope(|scope| {
        let (began, begins) = mpsc::channel();
        let (opened, opens) = mpsc::channel();
        let directory = &directory;
        let locked = scope.spawn(move || {
            began.send(()).unwrap();
            directory.open("locked.db").map(drop)
        });
        begins.recv().unwrap();
        scope.spawn(move || {
            // Several, so that the first thread is waiting by then.
            for i in 0..50 {
                set(&directory.open(&format!("{i}.db")).unwrap(), "a").unwrap();
            }
            opened.send(()).unwrap();
        });
        let result = opens.recv_timeout(TIMEOUT / 2);
        lock.execute_batch("commit").unwrap();
        assert_eq!(result, Ok(()));
        locked.join().unwrap().unwrap();
    });
}

#[test]
fn threads_that_open_the_same_file_share_its_writer() {
    let directory = Directory::new();
    let databases: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| directory.open("x.db").unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let writers: Vec<_> = databases.iter().map(writer).collect();
    assert!(writers.iter().all(|writer| std::sync::Arc::ptr_eq(writer, &writers[0])));
    databases.iter().enumerate().for_each(|(i, database)| set(database, &i.to_string()).unwrap());
    assert!((0..8).all(|i| get(&databases[0], &i.to_string()).is_some()));
}

#[test]
fn deleted_wal_is_saved_and_later_writes_are_rejected() {
    for names in [&["x.db-wal"][..], &["x.db-wal", "x.db-shm"]] {
        let directory = Directory::new();
        let database = directory.open("x.db").unwrap();
        set(&database, "a").unwrap();
        names.iter().for_each(|name| fs::remove_file(directory.path(name)).unwrap());
        assert_displaced(set(&database, "b"), "x.db-wal", true);
        assert_displaced(set(&database, "c"), "x.db-wal", true);
        assert_displaced(directory.open("x.db").map(drop), "x.db-wal", true);
        assert_eq!(directory.get_after_kill("a"), Some(Value::U64(1)), "{names:?}");
        assert_eq!(directory.get_after_kill("b"), None, "{names:?}");

        drop(database);
        wait_closed(TIMEOUT);
        let again = directory.open("x.db").unwrap();
        set(&again, "d").unwrap();
        assert_eq!((get(&again, "a"), get(&again, "b")), (Some(Value::U64(1)), None), "{names:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn file_that_is_displaced_after_many_commits_rejects_writes() {
    for name in ["x.db", "x.db-wal", "x.db-shm"] {
        let directory = Directory::new();
        let database = directory.open("x.db").unwrap();
        directory.settle(&database);
        set(&database, "a").unwrap();
        fs::rename(directory.path(name), directory.path("elsewhere")).unwrap();
        match name {
            "x.db" => assert!(matches!(set(&database, "b"), Err(Error::Moved { .. }))),
            name => assert_displaced(set(&database, "b"), name, true),
        }
    }
}

#[test]
fn writes_before_the_wal_index_was_replaced_stay_in_the_wal() {
    for contents in [None, Some("foreign")] {
        let directory = Directory::new();
        let database = directory.open("x.db").unwrap();
        set(&database, "a").unwrap();
        fs::remove_file(directory.path("x.db-shm")).unwrap();
        if let Some(contents) = contents {
            fs::write(directory.path("x.db-shm"), contents).unwrap();
        }
        let wal = fs::read(directory.path("x.db-wal")).unwrap();
        assert_displaced(set(&database, "b"), "x.db-shm", true);
        assert_eq!(directory.get_after_kill("a"), Some(Value::U64(1)));
        drop(database);
        wait_closed(TIMEOUT);
        assert!(fs::read(directory.path("x.db-wal")).unwrap() == wal, "other processes may have continued it");
        assert_eq!(get(&directory.open("x.db").unwrap(), "a"), Some(Value::U64(1)));
    }
}

#[test]
fn foreign_wal_is_not_changed() {
    let directory = Directory::new();
    let database = directory.open("x.db").unwrap();
    set(&database, "a").unwrap();
    fs::remove_file(directory.path("x.db-wal")).unwrap();
    fs::write(directory.path("x.db-wal"), "foreign").unwrap();
    let before = fs::read(directory.path("x.db")).unwrap();
    assert_displaced(set(&database, "b"), "x.db-wal", false);
    drop(database);
    wait_closed(TIMEOUT);
    assert_eq!(fs::read(directory.path("x.db-wal")).unwrap(), b"foreign");
    assert!(fs::read(directory.path("x.db")).unwrap() == before);
}

#[test]
fn write_committed_while_the_wal_is_deleted_is_saved_or_unconfirmed() {
    let directory = Directory::new();
    let database = directory.open("x.db").unwrap();
    set(&database, "a").unwrap();
    let writer = writer(&database);
    let name = writer.file().unwrap().name().clone();
    let (path, wal) = (directory.path("x.db"), directory.path("x.db-wal"));
    let saved = writer.run(move |connection| {
        let file = super::OpenFile::new(name, connection, true)?;
        file.confirm(connection)?;
        fs::remove_file(wal).unwrap();
        file.confirm(connection)?;
        Ok(file)
    });
    let file = block_on(saved).unwrap();
    assert_eq!(directory.get_after_kill("a"), Some(Value::U64(1)));

    let unconfirmed = writer.run(move |connection| {
        fs::remove_file(path).unwrap();
        file.without_failure().confirm(connection)
    });
    match block_on(unconfirmed) {
        Err(Error::OutcomeUnknown(cause)) => assert!(matches!(*cause, Error::Moved { .. })),
        result => panic!("{result:?}"),
    }
}

#[test]
fn file_with_hard_links_is_rejected() {
    let directory = Directory::new();
    let database = directory.open("x.db").unwrap();
    set(&database, "a").unwrap();
    fs::hard_link(directory.path("x.db"), directory.path("y.db")).unwrap();
    for name in ["x.db", "y.db"] {
        let result = directory.open(name).map(drop);
        assert!(matches!(result, Err(Error::File { problem: FileProblem::HardLinks, .. })), "{result:?}");
    }
    fs::remove_file(directory.path("y.db")).unwrap();
    set(&directory.open("x.db").unwrap(), "b").unwrap();
    set(&database, "c").unwrap();
}

#[test]
fn file_moved_while_open_is_not_opened_by_its_new_name() {
    let directory = Directory::new();
    let database = directory.open("x.db").unwrap();
    fs::rename(directory.path("x.db"), directory.path("y.db")).unwrap();
    assert!(matches!(directory.open("y.db"), Err(Error::Moved { .. })));
    assert!(matches!(set(&database, "a"), Err(Error::Moved { .. })));
}

#[test]
fn file_with_foreign_objects_on_its_tables_is_rejected() {
    let directory = Directory::new();
    set(&directory.open("x.db").unwrap(), "a").unwrap();
    wait_closed(TIMEOUT);
    let foreign = rusqlite::Connection::open(directory.path("x.db")).unwrap();
    foreign.execute_batch("create table mine (c); create index costly on kv (length(v))").unwrap();
    let error = directory.open("x.db").err().unwrap().to_string();
    let path = directory.path("x.db");
    let expected = "the file contains an object that is not part of the Deno KV format, index costly: drop it, or salvage the file";
    assert_eq!(error, format!("{}: {expected}", path.display()));
    foreign.execute_batch("drop index costly").unwrap();
    assert!(get(&directory.open("x.db").unwrap(), "a").is_some());
}

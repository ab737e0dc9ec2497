mod commit_ids;
mod database_id;
mod expiries;
#[cfg(target_os = "linux")]
mod large_values;
mod queue;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use rusqlite::Connection;

use super::backend::writer_of as writer;
use super::{Location, Options};
use crate::{
    AtomicWrite, Check, Clock, Commit, Database, Enqueue, Error, Key, KeyPart, Mutation, MutationKind, Operand, Read,
    ReadEntry, Result, Selector, Time, Value, Versionstamp,
};

#[derive(Default)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> u64 {
        self.now()
    }
}

fn options() -> (Options, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (Options { clock: clock.clone(), ..Options::default() }, clock)
}

fn memory() -> Database {
    super::open(Location::Memory, options().0).unwrap()
}

fn file(directory: &tempfile::TempDir) -> Location {
    Location::File { path: directory.path().join("kv.sqlite3"), follow_links: false }
}

fn key(name: &str) -> Key {
    Key::from_parts(&[KeyPart::from(name)]).unwrap()
}

fn text(text: &str) -> Value {
    Value::Bytes(text.into())
}

fn set(name: &str, value: Value) -> AtomicWrite {
    AtomicWrite::new().mutate(Mutation::set(key(name), value))
}

fn combine(name: &str, operand: Operand, value: u64) -> Mutation {
    Mutation { key: key(name), kind: MutationKind::Combine { operand, value: Value::U64(value) } }
}

fn all() -> Selector {
    Selector::prefix(&Key::new())
}

/// Commits a write. Returns its version.
fn commit(database: &Database, write: AtomicWrite) -> Versionstamp {
    database.write_blocking(write).unwrap().versionstamp().unwrap()
}

fn conflict(failed: &[usize]) -> Commit {
    Commit::Conflict { failed: failed.to_vec() }
}

fn get(database: &Database, name: &str) -> Option<Value> {
    let mut lists = database.read_blocking(&[Read::Key(&key(name))]).unwrap();
    lists.remove(0).pop().and_then(|entry| entry.value)
}

fn names(database: &Database, limit: u32, reverse: bool) -> Vec<String> {
    let (start, end) = Selector::new(Some(&Key::new()), None, None).unwrap().range(None, reverse).unwrap();
    let range = Read::Range { start: &start, end: &end, limit, reverse, values: true };
    let entries = database.read_blocking(&[range]).unwrap().remove(0);
    entries
        .iter()
        .map(|entry| match entry.key.parts().next() {
            Some(Ok(KeyPart::String(name))) => name.into_owned(),
            other => panic!("{other:?} is not a name"),
        })
        .collect()
}

#[test]
fn every_type_of_value_is_stored() {
    let database = memory();
    for value in [Value::V8(b"\xff\x0fI\x02".to_vec()), Value::U64(u64::MAX), Value::Bytes(vec![]), text("bytes")] {
        database.write_blocking(set("a", value.clone())).unwrap().into_result().unwrap();
        assert_eq!(get(&database, "a"), Some(value));
    }
    database.write_blocking(AtomicWrite::new().mutate(Mutation::delete(key("a")))).unwrap().into_result().unwrap();
    assert_eq!(get(&database, "a"), None);
}

#[test]
fn versionstamps_increase_with_each_commit() {
    let database = memory();
    let first = commit(&database, set("a", text("1")));
    let second = commit(&database, set("b", text("2")));
    assert!(first < second);
    let entries = database.read_blocking(&[Read::Key(&key("a")), Read::Key(&key("b"))]).unwrap();
    assert_eq!((entries[0][0].versionstamp, entries[1][0].versionstamp), (first, second));
}

#[test]
fn ranges_are_read_in_both_directions_up_to_a_limit() {
    let database = memory();
    for name in ["b", "d", "a", "c"] {
        database.write_blocking(set(name, text(name))).unwrap().into_result().unwrap();
    }
    assert_eq!(names(&database, 10, false), ["a", "b", "c", "d"]);
    assert_eq!(names(&database, 3, true), ["d", "c", "b"]);
}

#[test]
fn failed_check_rejects_the_write() {
    let database = memory();
    let checked = |versionstamp, name: &str| {
        let absent = Check { key: key("absent"), versionstamp: None };
        set("b", text(name)).check(absent).check(Check { key: key("a"), versionstamp })
    };
    let first = commit(&database, set("a", text("1")));

    assert_eq!(database.write_blocking(checked(None, "absent")).unwrap(), conflict(&[1]));
    assert_eq!(get(&database, "b"), None);
    commit(&database, checked(Some(first), "same"));
    assert_eq!(get(&database, "b"), Some(text("same")));

    commit(&database, set("a", text("2")));
    commit(&database, set("absent", text("3")));
    assert_eq!(database.write_blocking(checked(Some(first), "changed")).unwrap(), conflict(&[0, 1]));
    assert_eq!(get(&database, "b"), Some(text("same")));
}

#[test]
fn numbers_are_combined() {
    let database = memory();
    let run = |operand, value| {
        database
            .write_blocking(AtomicWrite::new().mutate(combine("n", operand, value)))
            .unwrap()
            .into_result()
            .unwrap();
        get(&database, "n")
    };
    assert_eq!(run(Operand::Sum, 5), Some(Value::U64(5)), "without a stored number, the result is the operand");
    assert_eq!(run(Operand::Sum, u64::MAX), Some(Value::U64(4)), "a sum wraps");
    assert_eq!(run(Operand::Min, 9), Some(Value::U64(4)));
    assert_eq!(run(Operand::Min, 3), Some(Value::U64(3)));
    assert_eq!(run(Operand::Max, 2), Some(Value::U64(3)));
    assert_eq!(run(Operand::Max, 7), Some(Value::U64(7)));
}

#[test]
fn stored_value_that_is_not_a_blob_is_corrupt_and_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let database = super::open(file(&directory), options().0).unwrap();
    database.write_blocking(AtomicWrite::new().mutate(combine("n", Operand::Sum, 1))).unwrap().into_result().unwrap();
    let file = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    file.execute("update kv set v = 'text'", []).unwrap();

    assert!(matches!(database.read_blocking(&[Read::Key(&key("n"))]), Err(Error::Corrupt(_))));
    for operand in [Operand::Sum, Operand::Min, Operand::Max] {
        let write = set("b", text("1")).mutate(combine("n", operand, 1));
        assert!(matches!(database.write_blocking(write), Err(Error::Corrupt(_))));
    }
    let kind: String = file.query_row("select typeof(v) from kv", [], |row| row.get(0)).unwrap();
    assert_eq!(kind, "text");
}

#[test]
fn failed_write_is_rolled_back() {
    let database = memory();
    database.write_blocking(set("text", text("a"))).unwrap().into_result().unwrap();
    let write = set("b", text("1")).mutate(combine("text", Operand::Sum, 1));
    let error = database.write_blocking(write).unwrap_err();
    assert_eq!(error.to_string(), "Failed to perform 'sum' mutation on a non-U64 value in the database");
    assert_eq!(get(&database, "b"), None);

    let kind = MutationKind::Combine { operand: Operand::Max, value: text("x") };
    let write = set("b", text("1")).mutate(Mutation { key: key("n"), kind });
    assert!(matches!(database.write_blocking(write), Err(Error::OperandNotU64 { operation: "max" })));
    assert_eq!(get(&database, "b"), None);
}

#[test]
fn failed_write_does_not_affect_others_in_its_group() {
    let directory = tempfile::tempdir().unwrap();
    let database = super::open(file(&directory), options().0).unwrap();
    let before = commit(&database, set("text", text("a")));

    // Blocks the writer until all four writes are queued.
    let (unblock, unblocked) = std::sync::mpsc::channel::<()>();
    let blocked = writer(&database).run(move |_| {
        let _ = unblocked.recv();
        Ok(())
    });
    let writes = [
        database.write(set("first", text("1"))),
        database.write(set("second", text("2")).mutate(combine("text", Operand::Sum, 1))),
        database.write(set("third", text("3")).check(Check { key: key("absent"), versionstamp: Some(before) })),
        database.write(set("fourth", text("4"))),
    ];
    drop(unblock);
    block_on(blocked).unwrap();
    let [first, second, third, fourth] = writes.map(block_on);

    let [first, fourth] = [first, fourth].map(|commit| commit.unwrap().versionstamp().unwrap());
    assert!(before < first && first < fourth);
    assert!(matches!(second, Err(Error::StoredNotU64 { operation: "sum" })));
    assert_eq!(third.unwrap(), conflict(&[0]));
    assert_eq!(names(&database, 10, false), ["first", "fourth", "text"]);
}

#[test]
fn expired_value_is_absent() {
    let (options, clock) = options();
    let database = super::open(Location::Memory, options).unwrap();
    let expiring = |name, value| {
        let kind = MutationKind::Set { value, expire_at: Some(Time::At(50)), versionstamped: false };
        AtomicWrite::new().mutate(Mutation { key: key(name), kind })
    };
    database.write_blocking(expiring("a", text("1"))).unwrap().into_result().unwrap();
    database.write_blocking(expiring("n", Value::U64(7))).unwrap().into_result().unwrap();

    clock.0.store(49, Ordering::Relaxed);
    database.write_blocking(AtomicWrite::new().mutate(combine("n", Operand::Sum, 1))).unwrap().into_result().unwrap();
    assert_eq!(names(&database, 10, false), ["a", "n"]);

    clock.0.store(50, Ordering::Relaxed);
    assert_eq!(get(&database, "a"), None);
    assert_eq!(names(&database, 10, true), [""; 0]);
    let absent = set("b", text("2")).check(Check { key: key("a"), versionstamp: None });
    commit(&database, absent);
    // The sum at 49 ms kept the expiry. This one finds no stored value, and does not expire.
    database.write_blocking(AtomicWrite::new().mutate(combine("n", Operand::Sum, 2))).unwrap().into_result().unwrap();
    clock.0.store(1000, Ordering::Relaxed);
    assert_eq!(get(&database, "n"), Some(Value::U64(2)));
}

#[test]
fn versionstamp_is_appended_to_the_key() {
    let database = memory();
    let kind = MutationKind::Set { value: text("1"), expire_at: None, versionstamped: true };
    let write = AtomicWrite::new().mutate(Mutation { key: key("log"), kind });
    let versionstamp = commit(&database, write);
    let mut stamped = key("log");
    stamped.push_string(&versionstamp.to_string());
    assert_eq!(database.read_blocking(&[Read::Key(&stamped)]).unwrap()[0][0].value, Some(text("1")));
}

#[test]
fn messages_are_stored() {
    let directory = tempfile::tempdir().unwrap();
    let database = super::open(file(&directory), options().0).unwrap();
    let message = |backoff_schedule, keys_if_undelivered| Enqueue {
        message: b"\xff\x0f0".to_vec(),
        deliver_at: Time::At(1234),
        backoff_schedule,
        keys_if_undelivered,
    };
    let write = AtomicWrite::new().enqueue(message(None, vec![])).enqueue(message(Some(vec![7]), vec![key("a")]));
    database.write_blocking(write).unwrap().into_result().unwrap();

    let file = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    let mut statement = file
        .prepare(
            "select ts, id, data, backoff_schedule, keys_if_undelivered from queue order by length(backoff_schedule)",
        )
        .unwrap();
    type Row = (i64, String, Vec<u8>, String, String);
    let rows: Vec<Row> = statement.query_map([], |row| row.try_into()).unwrap().map(Result::unwrap).collect();
    let [short, default] = rows.try_into().unwrap();
    assert_eq!((short.0, short.2, &*short.3, &*short.4), (1234, b"\xff\x0f0".to_vec(), "[7]", "[[2,97,0]]"));
    assert_eq!((&*default.3, &*default.4), ("[100,1000,5000,30000,60000]", "[]"));
    assert_ne!(short.1, default.1);
    assert_eq!(short.1.len(), 36);
}

#[test]
fn databases_on_one_file_share_their_entries() {
    let directory = tempfile::tempdir().unwrap();
    let first = super::open(file(&directory), options().0).unwrap();
    let second = super::open(file(&directory), options().0).unwrap();
    assert!(Arc::ptr_eq(&writer(&first), &writer(&second)));
    first.write_blocking(set("a", text("1"))).unwrap().into_result().unwrap();
    assert_eq!(get(&second, "a"), Some(text("1")));
    first.close();
    second.write_blocking(set("a", text("2"))).unwrap().into_result().unwrap();
    assert_eq!(get(&second, "a"), Some(text("2")));
}

#[test]
fn file_moved_away_while_open_is_not_recreated() {
    let directory = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (directory.path().join("kv.sqlite3"), directory.path().join("elsewhere"));
    let database = super::open(file(&directory), Options::default()).unwrap();
    commit(&database, set("a", text("1")));

    std::fs::rename(&path, &elsewhere).unwrap();
    // The existing connection can still read. A count opens a new one.
    assert_eq!(get(&database, "a"), Some(text("1")));
    assert!(matches!(block_on(database.count(&all())), Err(Error::Open { .. })));
    // With a new, empty file, SQLite would delete the WAL, and the writes in it would be lost.
    assert!(!path.exists() && directory.path().join("kv.sqlite3-wal").metadata().unwrap().len() > 0);

    std::fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(get(&database, "a"), Some(text("1")));
}

#[test]
fn close_commits_queued_writes_and_rejects_later_calls() {
    let directory = tempfile::tempdir().unwrap();
    let database = super::open(file(&directory), options().0).unwrap();
    let queued = database.write(set("a", text("1")));
    database.close();
    database.close();
    assert!(block_on(queued).unwrap().versionstamp().is_some());
    assert!(matches!(database.write_blocking(set("a", text("2"))), Err(Error::Closed)));
    assert!(matches!(database.read_blocking(&[Read::Key(&key("a"))]), Err(Error::Closed)));

    let again = super::open(file(&directory), options().0).unwrap();
    assert_eq!(get(&again, "a"), Some(text("1")));
}

#[test]
fn files_of_other_formats_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        super::open(Location::File { path: directory.path().join(name), follow_links: false }, options().0)
    };

    std::fs::write(directory.path().join("text"), "a text that is longer than the header of a database ".repeat(20))
        .unwrap();
    assert!(matches!(open("text"), Err(Error::Open { .. })));
    assert!(matches!(open("no/directory"), Err(Error::Open { .. })));
    assert!(matches!(open(""), Err(Error::Open { .. })), "a directory is not a database");

    drop(open("newer").unwrap());
    let newer = Connection::open(directory.path().join("newer")).unwrap();
    newer.execute("update migration_state set version = 4", []).unwrap();
    assert!(matches!(open("newer"), Err(Error::NewerFormat { found: 4, known: 3 })));
}

#[test]
#[cfg(unix)]
fn links_are_followed_only_if_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path().join("kv.sqlite3"), &link).unwrap();
    let open = |follow_links| super::open(Location::File { path: link.clone(), follow_links }, options().0);
    assert!(matches!(open(false), Err(Error::Open { .. })));
    let target = super::open(file(&directory), options().0).unwrap();
    assert!(matches!(open(false), Err(Error::Open { .. })), "also if the file is already open");
    let database = open(true).unwrap();
    assert!(Arc::ptr_eq(&writer(&database), &writer(&target)));
}

#[test]
fn limits_are_enforced() {
    let database = memory();
    let long = |len: usize| key(&"k".repeat(len - 2));
    let fails = |write| database.write_blocking(write).unwrap_err().to_string();
    let write = |key, value| AtomicWrite::new().mutate(Mutation::set(key, value));

    assert!(database.write_blocking(write(long(2048), Value::Bytes(vec![0; 65536]))).is_ok());
    assert_eq!(fails(write(Key::new(), text("1"))), "key cannot be empty");
    assert_eq!(fails(write(long(2049), text("1"))), "Key too large for write (max 2048 bytes)");
    assert_eq!(fails(write(key("a"), Value::Bytes(vec![0; 65537]))), "Value too large (max 65536 bytes)");

    let mut many = AtomicWrite::new();
    many.checks = vec![Check { key: key("a"), versionstamp: None }; 101];
    assert_eq!(fails(many), "Too many checks (max 100)");
    let mut many = AtomicWrite::new();
    many.mutations = vec![Mutation::delete(key("a")); 1001];
    assert_eq!(fails(many), "Too many mutations (max 1000)");
    let mut large = AtomicWrite::new();
    large.mutations = vec![Mutation::set(key("a"), Value::Bytes(vec![0; 65536])); 13];
    assert_eq!(fails(large), "Total mutation size too large (max 819200 bytes)");
    let mut keys = AtomicWrite::new();
    keys.mutations = vec![Mutation::set(long(2048), text("")); 41];
    assert_eq!(fails(keys), "Total key size too large (max 81920 bytes)");
    let undelivered = |keys| AtomicWrite::new().enqueue(Enqueue { keys_if_undelivered: keys, ..queue::message("1") });
    assert_eq!(fails(undelivered(vec![Key::new()])), "key cannot be empty");
    assert_eq!(fails(undelivered(vec![long(2049)])), "Key too large for write (max 2048 bytes)");
    assert_eq!(fails(undelivered(vec![key("a"); 1000])), "Too many mutations (max 1000)");
    assert_eq!(fails(undelivered(vec![long(2048); 41])), "Total key size too large (max 81920 bytes)");

    let read = |reads: &[Read<'_>]| database.read_blocking(reads).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(read(&[Read::Key(&long(2048))]), Ok(()));
    assert_eq!(read(&[Read::Key(&long(2049))]), Err("Key too large for read (max 2049 bytes)".into()));
    assert_eq!(read(&[Read::Key(&key("a")); 11]), Err("Too many ranges (max 10)".into()));
    let range = Read::Range { start: b"", end: b"\xff", limit: 1001, reverse: false, values: true };
    assert_eq!(read(&[range]), Err("Too many entries (max 1000)".into()));
}

#[test]
fn ranges_are_counted_and_deleted() {
    let (mut options, clock) = options();
    options.limits.deletions = 2;
    let database = super::open(Location::Memory, options).unwrap();
    for name in ["a", "b", "c", "d"] {
        commit(&database, set(name, text(name)));
    }
    let kind = MutationKind::Set { value: text("1"), expire_at: Some(Time::At(50)), versionstamped: false };
    database
        .write_blocking(AtomicWrite::new().mutate(Mutation { key: key("bb"), kind }))
        .unwrap()
        .into_result()
        .unwrap();
    clock.0.store(50, Ordering::Relaxed);

    let selector = Selector::between(&key("a"), &key("d")).unwrap();
    let mut watch = database.watch(&[key("c")]).unwrap();
    assert_eq!(block_on(database.count(&selector)).unwrap(), 3);
    let before = commit(&database, set("z", text("z")));
    assert_eq!(block_on(database.delete_first(&selector, 0)).unwrap(), 0);
    assert_eq!(block_on(database.delete_first(&selector, 1)).unwrap(), 1);
    commit(&database, set("a", text("a")));
    assert_eq!(block_on(database.delete_range(&selector)).unwrap(), 2);
    assert_eq!(names(&database, 10, false), ["c", "d", "z"]);
    assert!(is_pending(watch.changed()));
    assert_eq!(block_on(database.delete_range(&selector)).unwrap(), 1);
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(block_on(database.delete_range(&selector)).unwrap(), 0);
    assert!(commit(&database, set("z", text("z"))) > before);
}

#[test]
fn keys_are_read_without_values() {
    let database = memory();
    let versionstamp = commit(&database, set("a", text("1")));
    let range = Read::Range { start: b"", end: b"\xff", limit: 10, reverse: false, values: false };
    let entries = database.read_blocking(&[range]).unwrap().remove(0);
    assert_eq!(entries, [ReadEntry { key: key("a"), value: None, versionstamp }]);
}

/// Returns a column of each row of a table, as text.
fn rows(directory: &tempfile::TempDir, table: &str, column: &str) -> Vec<String> {
    let file = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    let mut statement = file.prepare(&format!("select {column} from {table} order by 1")).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn now_or_never<T>(future: impl Future<Output = T> + Unpin) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(future).poll(&mut context).is_pending()
}

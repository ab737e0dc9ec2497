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

fn file(folder: &tempfile::TempDir) -> Location {
    Location::File { path: folder.path().join("kv.sqlite3"), follow_links: false }
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

/// Writes, and answers the version of the commit.
fn all() -> Selector {
    Selector::prefix(&Key::new())
}

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
            other => panic!("{other:?} is no name"),
        })
        .collect()
}

#[test]
fn stores_every_kind_of_value() {
    let database = memory();
    for value in [Value::V8(b"\xff\x0fI\x02".to_vec()), Value::U64(u64::MAX), Value::Bytes(vec![]), text("bytes")] {
        database.write_blocking(set("a", value.clone())).unwrap().into_result().unwrap();
        assert_eq!(get(&database, "a"), Some(value));
    }
    database.write_blocking(AtomicWrite::new().mutate(Mutation::delete(key("a")))).unwrap().into_result().unwrap();
    assert_eq!(get(&database, "a"), None);
}

#[test]
fn gives_each_commit_a_greater_versionstamp() {
    let database = memory();
    let first = commit(&database, set("a", text("1")));
    let second = commit(&database, set("b", text("2")));
    assert!(first < second);
    let entries = database.read_blocking(&[Read::Key(&key("a")), Read::Key(&key("b"))]).unwrap();
    assert_eq!((entries[0][0].versionstamp, entries[1][0].versionstamp), (first, second));
}

#[test]
fn lists_in_both_directions_up_to_a_limit() {
    let database = memory();
    for name in ["b", "d", "a", "c"] {
        database.write_blocking(set(name, text(name))).unwrap().into_result().unwrap();
    }
    assert_eq!(names(&database, 10, false), ["a", "b", "c", "d"]);
    assert_eq!(names(&database, 3, true), ["d", "c", "b"]);
}

#[test]
fn commits_only_when_every_check_holds() {
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
fn combines_numbers() {
    let database = memory();
    let run = |operand, value| {
        database
            .write_blocking(AtomicWrite::new().mutate(combine("n", operand, value)))
            .unwrap()
            .into_result()
            .unwrap();
        get(&database, "n")
    };
    assert_eq!(run(Operand::Sum, 5), Some(Value::U64(5)), "an absent number is the operand");
    assert_eq!(run(Operand::Sum, u64::MAX), Some(Value::U64(4)), "a sum wraps");
    assert_eq!(run(Operand::Min, 9), Some(Value::U64(4)));
    assert_eq!(run(Operand::Min, 3), Some(Value::U64(3)));
    assert_eq!(run(Operand::Max, 2), Some(Value::U64(3)));
    assert_eq!(run(Operand::Max, 7), Some(Value::U64(7)));
}

#[test]
fn a_stored_value_that_is_no_bytes_is_damage_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = super::open(file(&folder), options().0).unwrap();
    database.write_blocking(AtomicWrite::new().mutate(combine("n", Operand::Sum, 1))).unwrap().into_result().unwrap();
    let damaged = Connection::open(folder.path().join("kv.sqlite3")).unwrap();
    damaged.execute("update kv set v = 'text'", []).unwrap();

    assert!(matches!(database.read_blocking(&[Read::Key(&key("n"))]), Err(Error::Damaged(_))));
    for operand in [Operand::Sum, Operand::Min, Operand::Max] {
        let write = set("b", text("1")).mutate(combine("n", operand, 1));
        assert!(matches!(database.write_blocking(write), Err(Error::Damaged(_))));
    }
    let kind: String = damaged.query_row("select typeof(v) from kv", [], |row| row.get(0)).unwrap();
    assert_eq!(kind, "text");
}

#[test]
fn takes_back_a_write_that_fails() {
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
fn a_failing_write_spares_the_others_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let database = super::open(file(&folder), options().0).unwrap();
    let before = commit(&database, set("text", text("a")));

    // The writer cannot begin while it waits, so that all four writes wait for it together.
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let waits = writer(&database).run(move |_| {
        let _ = gone.recv();
        Ok(())
    });
    let answers = [
        database.write(set("first", text("1"))),
        database.write(set("second", text("2")).mutate(combine("text", Operand::Sum, 1))),
        database.write(set("third", text("3")).check(Check { key: key("absent"), versionstamp: Some(before) })),
        database.write(set("fourth", text("4"))),
    ];
    drop(go);
    block_on(waits).unwrap();
    let [first, second, third, fourth] = answers.map(block_on);

    let [first, fourth] = [first, fourth].map(|answer| answer.unwrap().versionstamp().unwrap());
    assert!(before < first && first < fourth);
    assert!(matches!(second, Err(Error::StoredNotU64 { operation: "sum" })));
    assert_eq!(third.unwrap(), conflict(&[0]));
    assert_eq!(names(&database, 10, false), ["first", "fourth", "text"]);
}

#[test]
fn an_expired_value_is_absent_everywhere() {
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
    // The sum at 49 ms kept the expiry; this one finds nothing to add to, and does not expire.
    database.write_blocking(AtomicWrite::new().mutate(combine("n", Operand::Sum, 2))).unwrap().into_result().unwrap();
    clock.0.store(1000, Ordering::Relaxed);
    assert_eq!(get(&database, "n"), Some(Value::U64(2)));
}

#[test]
fn appends_the_versionstamp_to_a_key() {
    let database = memory();
    let kind = MutationKind::Set { value: text("1"), expire_at: None, versionstamped: true };
    let write = AtomicWrite::new().mutate(Mutation { key: key("log"), kind });
    let versionstamp = commit(&database, write);
    let mut stamped = key("log");
    stamped.push_string(&versionstamp.to_string());
    assert_eq!(database.read_blocking(&[Read::Key(&stamped)]).unwrap()[0][0].value, Some(text("1")));
}

#[test]
fn stores_messages() {
    let folder = tempfile::tempdir().unwrap();
    let database = super::open(file(&folder), options().0).unwrap();
    let message = |backoff_schedule, keys_if_undelivered| Enqueue {
        message: b"\xff\x0f0".to_vec(),
        deliver_at: Time::At(1234),
        backoff_schedule,
        keys_if_undelivered,
    };
    let write = AtomicWrite::new().enqueue(message(None, vec![])).enqueue(message(Some(vec![7]), vec![key("a")]));
    database.write_blocking(write).unwrap().into_result().unwrap();

    let file = Connection::open(folder.path().join("kv.sqlite3")).unwrap();
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
fn databases_of_one_file_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let first = super::open(file(&folder), options().0).unwrap();
    let second = super::open(file(&folder), options().0).unwrap();
    assert!(Arc::ptr_eq(&writer(&first), &writer(&second)));
    first.write_blocking(set("a", text("1"))).unwrap().into_result().unwrap();
    assert_eq!(get(&second, "a"), Some(text("1")));
    first.close();
    second.write_blocking(set("a", text("2"))).unwrap().into_result().unwrap();
    assert_eq!(get(&second, "a"), Some(text("2")));
}

#[test]
fn a_file_that_is_moved_away_while_open_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (folder.path().join("kv.sqlite3"), folder.path().join("elsewhere"));
    let database = super::open(file(&folder), Options::default()).unwrap();
    commit(&database, set("a", text("1")));

    std::fs::rename(&path, &elsewhere).unwrap();
    // Its connection has the file open. A count opens another.
    assert_eq!(get(&database, "a"), Some(text("1")));
    assert!(matches!(block_on(database.count(&all())), Err(Error::Open { .. })));
    // An empty file would take the log with it, and what was written so far.
    assert!(!path.exists() && folder.path().join("kv.sqlite3-wal").metadata().unwrap().len() > 0);

    std::fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(get(&database, "a"), Some(text("1")));
}

#[test]
fn a_closed_database_answers_so_and_keeps_what_was_queued() {
    let folder = tempfile::tempdir().unwrap();
    let database = super::open(file(&folder), options().0).unwrap();
    let queued = database.write(set("a", text("1")));
    database.close();
    database.close();
    assert!(block_on(queued).unwrap().versionstamp().is_some());
    assert!(matches!(database.write_blocking(set("a", text("2"))), Err(Error::Closed)));
    assert!(matches!(database.read_blocking(&[Read::Key(&key("a"))]), Err(Error::Closed)));

    let again = super::open(file(&folder), options().0).unwrap();
    assert_eq!(get(&again, "a"), Some(text("1")));
}

#[test]
fn refuses_what_is_no_database_of_a_known_format() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        |name: &str| super::open(Location::File { path: folder.path().join(name), follow_links: false }, options().0);

    std::fs::write(folder.path().join("text"), "this is a text, and not even a short one: no database begins so")
        .unwrap();
    assert!(matches!(open("text"), Err(Error::Open { .. })));
    assert!(matches!(open("no/folder"), Err(Error::Open { .. })));
    assert!(matches!(open(""), Err(Error::Open { .. })), "a folder is no database");

    drop(open("newer").unwrap());
    let newer = Connection::open(folder.path().join("newer")).unwrap();
    newer.execute("update migration_state set version = 4", []).unwrap();
    assert!(matches!(open("newer"), Err(Error::NewerFormat { found: 4, known: 3 })));
}

#[test]
#[cfg(unix)]
fn follows_links_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("kv.sqlite3"), &link).unwrap();
    let open = |follow_links| super::open(Location::File { path: link.clone(), follow_links }, options().0);
    assert!(matches!(open(false), Err(Error::Open { .. })));
    let target = super::open(file(&folder), options().0).unwrap();
    assert!(matches!(open(false), Err(Error::Open { .. })), "not even for a file that is open already");
    let database = open(true).unwrap();
    assert!(Arc::ptr_eq(&writer(&database), &writer(&target)));
}

#[test]
fn enforces_the_limits() {
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
    let undelivered = |keys| AtomicWrite::new().enqueue(Enqueue { keys_if_undelivered: keys, ..message("1") });
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

/// Makes the writer's thread look at the clock.
fn wake(database: &Database) {
    database.write_blocking(AtomicWrite::new()).unwrap().into_result().unwrap();
}

fn message(text: &str) -> Enqueue {
    Enqueue { message: text.into(), deliver_at: Time::At(0), backoff_schedule: None, keys_if_undelivered: vec![] }
}

fn texts(deliveries: &[crate::Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| str::from_utf8(&delivery.message).unwrap()).collect()
}

/// Takes the messages that are there, and finishes them.
fn receive(database: &Database, success: bool) -> Vec<String> {
    let deliveries = block_on(database.dequeue()).unwrap();
    let texts = texts(&deliveries).into_iter().map(Into::into).collect();
    deliveries.into_iter().for_each(|delivery| {
        block_on(if success { delivery.done() } else { delivery.retry() }).unwrap();
    });
    texts
}

fn tables(folder: &tempfile::TempDir) -> (i64, i64) {
    let file = Connection::open(folder.path().join("kv.sqlite3")).unwrap();
    let count = |table| file.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap();
    (count("queue"), count("queue_running"))
}

#[test]
fn delivers_each_message_once_in_the_order_of_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    let database = super::open(file(&folder), options).unwrap();
    let late = Enqueue { deliver_at: Time::At(7), ..message("late") };
    database.write_blocking(AtomicWrite::new().enqueue(late).enqueue(message("soon"))).unwrap().into_result().unwrap();
    assert_eq!(receive(&database, true), ["soon"]);

    let waiting = database.dequeue();
    clock.0.store(7, Ordering::Relaxed);
    wake(&database);
    let deliveries = block_on(waiting).unwrap();
    assert_eq!(texts(&deliveries), ["late"]);
    assert_eq!(tables(&folder), (0, 1));
    for delivery in deliveries {
        block_on(delivery.done()).unwrap();
    }
    assert_eq!(tables(&folder), (0, 0));
}

#[test]
fn a_failed_message_comes_again_along_its_schedule_and_then_goes_to_its_keys() {
    let (options, clock) = options();
    let database = super::open(Location::Memory, options).unwrap();
    let mut watch = database.watch(&[key("dead")]).unwrap();
    let message =
        Enqueue { backoff_schedule: Some(vec![10, 20]), keys_if_undelivered: vec![key("dead")], ..message("m") };
    database.write_blocking(AtomicWrite::new().enqueue(message)).unwrap().into_result().unwrap();
    for time in [0, 10, 30] {
        assert_eq!(get(&database, "dead"), None);
        clock.0.store(time, Ordering::Relaxed);
        wake(&database);
        assert_eq!(receive(&database, false), ["m"], "at {time} ms");
    }
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(get(&database, "dead"), Some(Value::V8(b"m".to_vec())));
}

#[test]
fn a_delivery_that_is_dropped_before_its_start_leaves_the_message_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let database = super::open(file(&folder), options().0).unwrap();
    let once = |text| Enqueue { backoff_schedule: Some(vec![]), ..message(text) };
    database.write_blocking(AtomicWrite::new().enqueue(once("a")).enqueue(once("b"))).unwrap().into_result().unwrap();
    let rows = || rows(&folder, "queue", "ts || id || backoff_schedule || keys_if_undelivered");
    let before = rows();
    for _ in 0..3 {
        drop(block_on(database.dequeue()).unwrap());
        wake(&database);
        assert_eq!(rows(), before);
    }
    assert_eq!(receive(&database, true), ["a", "b"]);
}

#[test]
fn a_delivery_that_is_dropped_after_its_start_was_not_handled() {
    let database = memory();
    let once = Enqueue { backoff_schedule: Some(vec![]), keys_if_undelivered: vec![key("dead")], ..message("m") };
    database.write_blocking(AtomicWrite::new().enqueue(once)).unwrap().into_result().unwrap();
    let mut watch = database.watch(&[key("dead")]).unwrap();
    let deliveries = block_on(database.dequeue()).unwrap();
    deliveries[0].start();
    drop(deliveries);
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(get(&database, "dead"), Some(Value::V8(b"m".to_vec())));
}

#[test]
fn an_attempt_counts_once_the_handler_was_called() {
    let folder = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    let database = super::open(file(&folder), options).unwrap();
    let enqueue = Enqueue { backoff_schedule: Some(vec![7]), ..message("m") };
    database.write_blocking(AtomicWrite::new().enqueue(enqueue)).unwrap().into_result().unwrap();
    let schedules = || rows(&folder, "queue_running", "backoff_schedule");

    let delivery = block_on(database.dequeue()).unwrap().pop().unwrap();
    wake(&database);
    assert_eq!(schedules(), ["[0,7]"], "whoever requeues it does not take an attempt");
    delivery.start();
    wake(&database);
    clock.0.store(5, Ordering::Relaxed);
    wake(&database);
    wake(&database);
    assert_eq!(schedules(), ["[7]"]);
    block_on(delivery.retry()).unwrap();
    assert_eq!(rows(&folder, "queue", "ts || backoff_schedule"), ["12[]"]);
}

#[test]
fn a_message_of_another_process_is_delivered_again_unless_it_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    clock.0.store(100_000, Ordering::Relaxed);
    let database = super::open(file(&folder), options).unwrap();
    let other = Connection::open(folder.path().join("kv.sqlite3")).unwrap();
    let claim = |deadline: i64, id: &str| {
        let columns = "(deadline, id, data, backoff_schedule, keys_if_undelivered)";
        let sql = format!("insert into queue_running {columns} values (?1, ?2, ?2, '[0]', '[]')");
        other.execute(&sql, (deadline, id)).unwrap()
    };
    claim(0, "passed");
    claim(100_500, "renewed");
    // Set before the clock stepped back by an hour.
    claim(3_700_000, "ahead");

    let mut waiting = database.dequeue();
    // They are seen now for the first time.
    wake(&database);
    let mut delivered = Vec::new();
    for tick in 1..=8 {
        let now = 100_000 + tick * 1000;
        other.execute("update queue_running set deadline = ?1 where id = 'renewed'", [now as i64 - 500]).unwrap();
        clock.0.store(now, Ordering::Relaxed);
        // The second finds what the first has put back.
        wake(&database);
        wake(&database);
        if let Some(deliveries) = now_or_never(&mut waiting) {
            for delivery in deliveries.unwrap() {
                delivered.push((tick, String::from_utf8(delivery.message.clone()).unwrap()));
                block_on(delivery.done()).unwrap();
            }
            waiting = database.dequeue();
        }
    }
    assert_eq!(delivered, [(2, "passed".into()), (6, "ahead".into())]);
}

#[test]
fn a_damaged_message_is_delivered_and_keeps_no_other_from_being_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    let database = super::open(file(&folder), options).unwrap();
    let other = Connection::open(folder.path().join("kv.sqlite3")).unwrap();
    let columns = "(ts, id, data, backoff_schedule, keys_if_undelivered)";
    let damaged =
        "('x', 'time', 'time', '[]', '[]'), (0, x'00', 'id', '[]', '[]'), (0, cast(x'ff' as text), 'text', '[]', '[]'),
        (0, 'same', 'one', '[]', '[]'), (-1, 'same', 'two', '[]', '[]'), (0.5, 'real', 'real', x'00', x'00')";
    other.execute_batch(&format!("insert into queue {columns} values {damaged}")).unwrap();
    let running =
        "insert into queue_running values (0, x'00', 'running', '[0]', '[]'), ('x', 'y', 'deadline', '[0]', '[]')";
    other.execute_batch(running).unwrap();
    database.write_blocking(AtomicWrite::new().enqueue(message("sound"))).unwrap().into_result().unwrap();

    let mut delivered = receive(&database, true);
    let mut waiting = database.dequeue();
    for tick in 1..=4 {
        clock.0.store(tick * 1000, Ordering::Relaxed);
        wake(&database);
        wake(&database);
        if let Some(deliveries) = now_or_never(&mut waiting) {
            for delivery in deliveries.unwrap() {
                delivered.push(String::from_utf8(delivery.message.clone()).unwrap());
                block_on(delivery.done()).unwrap();
            }
            waiting = database.dequeue();
        }
    }
    delivered.sort();
    assert_eq!(delivered, ["deadline", "id", "one", "real", "running", "sound", "text", "time", "two"]);
}

#[test]
fn listeners_share_the_messages() {
    let database = memory();
    let first = database.dequeue();
    let second = database.dequeue();
    wake(&database);
    let write = (0..10).fold(AtomicWrite::new(), |write, i| write.enqueue(message(&i.to_string())));
    database.write_blocking(write).unwrap().into_result().unwrap();
    assert_eq!([first, second].map(|messages| block_on(messages).unwrap().len()), [5, 5]);
}

#[test]
fn many_messages_in_flight_slow_delivery_and_do_not_stop_it() {
    let (options, clock) = options();
    let database = super::open(Location::Memory, options).unwrap();
    for _ in 0..2 {
        let write = (0..1000).fold(AtomicWrite::new(), |write, i| write.enqueue(message(&i.to_string())));
        database.write_blocking(write).unwrap().into_result().unwrap();
    }
    let mut held = Vec::new();
    while held.len() < 1000 {
        held.extend(block_on(database.dequeue()).unwrap());
    }
    for tick in 1..=10 {
        let mut waiting = database.dequeue();
        wake(&database);
        assert!(now_or_never(&mut waiting).is_none());
        clock.0.store(tick * 5, Ordering::Relaxed);
        wake(&database);
        held.extend(block_on(waiting).unwrap());
    }

    let waiting = database.dequeue();
    held.drain(900..).for_each(|delivery| block_on(delivery.done()).unwrap());
    assert!(!block_on(waiting).unwrap().is_empty());
}

#[test]
fn closing_ends_watches_and_waits_but_not_deliveries() {
    let folder = tempfile::tempdir().unwrap();
    let database = super::open(file(&folder), options().0).unwrap();
    let other = super::open(file(&folder), options().0).unwrap();
    database.write_blocking(AtomicWrite::new().enqueue(message("m"))).unwrap().into_result().unwrap();
    let delivery = block_on(database.dequeue()).unwrap().pop().unwrap();
    let waiting = database.dequeue();
    let mut watch = database.watch(&[key("a")]).unwrap();
    let mut others = other.watch(&[key("a")]).unwrap();

    database.close();
    assert!(block_on(waiting).unwrap().is_empty());
    assert!(!block_on(watch.changed()).unwrap());
    assert!(matches!(database.watch(&[key("a")]), Err(Error::Closed)));
    assert!(block_on(database.dequeue()).unwrap().is_empty());
    block_on(delivery.done()).unwrap();
    assert_eq!(tables(&folder), (0, 0));

    commit(&other, set("a", text("1")));
    assert!(block_on(others.changed()).unwrap());
}

#[test]
fn a_watch_tells_of_its_keys_only() {
    let database = memory();
    let mut watch = database.watch(&[key("a"), key("b")]).unwrap();
    commit(&database, set("c", text("1")));
    commit(&database, set("a", text("1")));
    commit(&database, set("b", text("1")));
    assert!(block_on(watch.changed()).unwrap(), "two changes are one, where no one looked between them");
    assert!(is_pending(watch.changed()));
    commit(&database, set("c", text("2")));
    assert!(is_pending(watch.changed()));
    database.write_blocking(AtomicWrite::new().mutate(Mutation::delete(key("b")))).unwrap().into_result().unwrap();
    assert!(block_on(watch.changed()).unwrap());
}

#[test]
fn a_watch_tells_when_its_key_expires() {
    let (options, clock) = options();
    let database = super::open(Location::Memory, options).unwrap();
    let kind = MutationKind::Set { value: text("1"), expire_at: Some(Time::At(50)), versionstamped: false };
    database
        .write_blocking(AtomicWrite::new().mutate(Mutation { key: key("a"), kind }))
        .unwrap()
        .into_result()
        .unwrap();
    let mut watch = database.watch(&[key("a")]).unwrap();
    clock.0.store(50, Ordering::Relaxed);
    wake(&database);
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(get(&database, "a"), None);
}

#[test]
fn notices_what_another_process_does() {
    let folder = tempfile::tempdir().unwrap();
    let database = super::open(file(&folder), Options::default()).unwrap();
    let mut watch = database.watch(&[key("a")]).unwrap();
    let waiting = database.dequeue();
    let file = Connection::open(folder.path().join("kv.sqlite3")).unwrap();
    file.execute("insert into queue values (0, 'id', x'ff0f30', '[]', '[]')", []).unwrap();
    assert_eq!(block_on(waiting).unwrap()[0].message, b"\xff\x0f0");
    assert!(block_on(watch.changed()).unwrap());
}

#[test]
fn counts_and_deletes_ranges() {
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
    assert_eq!(block_on(database.delete_range(&selector)).unwrap(), 2);
    assert_eq!(names(&database, 10, false), ["c", "d", "z"]);
    assert!(is_pending(watch.changed()));
    assert_eq!(block_on(database.delete_range(&selector)).unwrap(), 1);
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(block_on(database.delete_range(&selector)).unwrap(), 0);
    assert!(commit(&database, set("z", text("z"))) > before);
}

#[test]
fn reads_keys_without_values() {
    let database = memory();
    let versionstamp = commit(&database, set("a", text("1")));
    let range = Read::Range { start: b"", end: b"\xff", limit: 10, reverse: false, values: false };
    let entries = database.read_blocking(&[range]).unwrap().remove(0);
    assert_eq!(entries, [ReadEntry { key: key("a"), value: None, versionstamp }]);
}

/// A column of each row of a table, as text.
fn rows(folder: &tempfile::TempDir, table: &str, column: &str) -> Vec<String> {
    let file = Connection::open(folder.path().join("kv.sqlite3")).unwrap();
    let mut statement = file.prepare(&format!("select {column} from {table} order by 1")).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn now_or_never<T>(future: impl Future<Output = T> + Unpin) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    }
}

fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(future).poll(&mut context).is_pending()
}

use super::queue::{message, tables, wake};
use super::*;

#[test]
fn close_ends_watches_and_listeners_but_not_deliveries() {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::sqlite::open(file(&directory), options().0).unwrap();
    let other = crate::sqlite::open(file(&directory), options().0).unwrap();
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
    assert_eq!(tables(&directory), (0, 0));

    commit(&other, set("a", text("1")));
    assert!(block_on(others.changed()).unwrap());
}

#[test]
fn watch_reports_only_its_keys() {
    let database = memory();
    let mut watch = database.watch(&[key("a"), key("b")]).unwrap();
    commit(&database, set("c", text("1")));
    commit(&database, set("a", text("1")));
    commit(&database, set("b", text("1")));
    assert!(block_on(watch.changed()).unwrap(), "two changes between two polls are reported as one");
    assert!(is_pending(watch.changed()));
    commit(&database, set("c", text("2")));
    assert!(is_pending(watch.changed()));
    database.write_blocking(AtomicWrite::new().mutate(Mutation::delete(key("b")))).unwrap().into_result().unwrap();
    assert!(block_on(watch.changed()).unwrap());
}

#[test]
fn watch_reports_expiry() {
    let (options, clock) = options();
    let database = crate::sqlite::open(Location::Memory, options).unwrap();
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
fn external_commits_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::sqlite::open(file(&directory), Options::default()).unwrap();
    let mut watch = database.watch(&[key("a")]).unwrap();
    let waiting = database.dequeue();
    let file = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    file.execute("insert into queue values (0, 'id', x'ff0f30', '[]', '[]')", []).unwrap();
    assert_eq!(block_on(waiting).unwrap()[0].message, b"\xff\x0f0");
    assert!(block_on(watch.changed()).unwrap());
}

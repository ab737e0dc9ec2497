use super::*;
use crate::CommitId;

const ID: CommitId = CommitId([7; 16]);
const OTHER_ID: CommitId = CommitId([8; 16]);

/// A write that adds one, under an id.
fn add(id: CommitId) -> AtomicWrite {
    AtomicWrite::new().mutate(combine("n", Operand::Sum, 1)).id(id)
}

fn ids(path: &std::path::Path) -> Vec<(i64, [u8; 16])> {
    let file = Connection::open(path).unwrap();
    let mut statement = file.prepare("select version, id from openkv_commit_ids order by version").unwrap();
    let rows = statement.query_map([], |row| row.try_into()).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>()
}

#[test]
fn write_with_an_id_is_committed_once() {
    let database = memory();
    let first = commit(&database, add(ID));
    // Its check would not hold, and nothing else of it counts either.
    let again = add(ID).check(Check { key: key("n"), versionstamp: None }).mutate(Mutation::set(key("a"), text("1")));
    assert_eq!(commit(&database, again), first);
    assert_eq!((get(&database, "n"), get(&database, "a")), (Some(Value::U64(1)), None));

    assert!(commit(&database, add(OTHER_ID)) > first);
    assert_eq!(get(&database, "n"), Some(Value::U64(2)));
    assert_eq!(commit(&database, add(ID)), first);
}

#[test]
fn rejected_write_leaves_its_id_unused() {
    let database = memory();
    let absent = |write: AtomicWrite| write.check(Check { key: key("a"), versionstamp: None });
    commit(&database, set("a", text("1")));
    assert_eq!(database.write_blocking(absent(add(ID))).unwrap(), conflict(&[0]));
    let failing = add(ID).mutate(combine("a", Operand::Sum, 1));
    assert!(matches!(database.write_blocking(failing), Err(Error::StoredNotU64 { .. })));
    commit(&database, AtomicWrite::new().mutate(Mutation::delete(key("a"))));
    commit(&database, absent(add(ID)));
    assert_eq!(get(&database, "n"), Some(Value::U64(1)));
}

#[test]
fn writes_in_flight_with_one_id_are_committed_once() {
    let directory = tempfile::tempdir().unwrap();
    let database = super::super::open(file(&directory), options().0).unwrap();
    let other = super::super::open(file(&directory), options().0).unwrap();
    let failing = add(ID).mutate(Mutation::set(key("a"), text("1"))).mutate(combine("a", Operand::Sum, 1));
    let failed = database.write(failing);
    let writes: Vec<_> = [&database, &other].iter().flat_map(|one| [one.write(add(ID)), one.write(add(ID))]).collect();
    let commits: Vec<_> = writes.into_iter().map(|write| block_on(write).unwrap().versionstamp()).collect();
    assert!(block_on(failed).is_err());
    assert!(commits[0].is_some() && commits.iter().all(|commit| *commit == commits[0]), "{commits:?}");
    assert_eq!(get(&database, "n"), Some(Value::U64(1)));
}

#[test]
fn messages_of_a_write_with_an_id_are_enqueued_once() {
    let database = memory();
    let enqueue = || AtomicWrite::new().enqueue(Enqueue::new(b"\xff\x0fI\x02".to_vec())).id(ID);
    assert_eq!(commit(&database, enqueue()), commit(&database, enqueue()));
    let delivered = block_on(database.dequeue()).unwrap();
    assert_eq!(delivered.len(), 1);
}

#[test]
fn id_is_as_durable_as_its_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kv.sqlite3");
    let database = super::super::open(file(&directory), options().0).unwrap();
    let first = commit(&database, add(ID));

    // As a crash before the answer would leave the files.
    let crashed = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("kv.sqlite3{suffix}");
        std::fs::copy(directory.path().join(&name), crashed.path().join(&name)).unwrap();
    }
    let recovered = super::super::open(file(&crashed), options().0).unwrap();
    assert_eq!(commit(&recovered, add(ID)), first);
    assert_eq!(get(&recovered, "n"), Some(Value::U64(1)));

    database.close();
    assert_eq!(ids(&path), [(1, ID.0)]);
    let reopened = super::super::open(file(&directory), options().0).unwrap();
    assert_eq!(commit(&reopened, add(ID)), first);
}

#[test]
fn file_without_ids_has_no_table_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let database = super::super::open(file(&directory), options().0).unwrap();
    let tables = || -> i64 {
        let sql = "select count(*) from sqlite_schema where name like '%commit_id%'";
        Connection::open(directory.path().join("kv.sqlite3")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    commit(&database, set("a", text("1")));
    assert_eq!(tables(), 0);
    commit(&database, add(ID));
    // The table, and the index by id.
    assert_eq!(tables(), 2);
}

#[test]
fn old_ids_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kv.sqlite3");
    let (options, clock) = options();
    let database = super::super::open(file(&directory), options).unwrap();
    let at = |time, byte| {
        clock.0.store(time, Ordering::Relaxed);
        commit(&database, add(CommitId([byte; 16])));
        ids(&path).into_iter().map(|(_, id)| id[0]).collect::<Vec<_>>()
    };
    let start = 10 * CommitId::REMEMBERED;
    assert_eq!([at(start, 1), at(start, 2), at(start, 3)].concat(), [1, 1, 2, 1, 2, 3]);
    // As old as they may be.
    assert_eq!(at(start + CommitId::REMEMBERED, 4), [1, 2, 3, 4]);
    // Two at a time.
    assert_eq!(at(start + CommitId::REMEMBERED + 1, 5), [3, 4, 5]);
    assert_eq!(at(start + CommitId::REMEMBERED + 1, 6), [4, 5, 6]);
    // What is of a time to come, since the clock was put back, does not stay until then.
    assert_eq!(at(0, 7), [6, 7]);
    assert_eq!(at(0, 8), [7, 8]);
}

#[test]
fn version_that_was_given_twice_replaces_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let database = super::super::open(file(&directory), options().0).unwrap();
    let first = commit(&database, add(ID));
    Connection::open(directory.path().join("kv.sqlite3"))
        .unwrap()
        .execute("update data_version set version = 0", [])
        .unwrap();
    assert_eq!(commit(&database, add(OTHER_ID)), first);
    assert_eq!(ids(&directory.path().join("kv.sqlite3")), [(1, OTHER_ID.0)]);
}

mod recovery;

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::sqlite::{self, Location, Options};
use crate::{
    AtomicWrite, Clock, CommitId, Database, Enqueue, Error, FileProblem, Key, KeyPart, Mutation, MutationKind,
    Selector, Time, Value,
};

/// Some are larger than a page, and use overflow pages.
const VALUE_SIZES: [usize; 4] = [10, 100, 1000, 6000];

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Returns the path of a database with a suffix.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn open(path: &Path) -> Database {
    sqlite::open(Location::File { path: path.to_owned(), follow_links: true }, Options::default()).unwrap()
}

fn key(i: usize) -> Key {
    Key::from_parts(&[KeyPart::from("entry"), KeyPart::from(i as f64)]).unwrap()
}

fn set(i: usize, size: usize) -> Mutation {
    Mutation::set(key(i), Value::Bytes(vec![i as u8; size]))
}

fn message(i: usize) -> Enqueue {
    Enqueue {
        message: vec![0xff, 15, b'I', i as u8],
        deliver_at: Time::At(5_000_000_000_000),
        keys_if_undelivered: vec![key(i)],
        backoff_schedule: None,
    }
}

/// Creates a file with entries and a message, and closes it.
fn fill(path: &Path, entries: usize) {
    let database = open(path);
    for first in (0..entries).step_by(100) {
        let mutations = (first..entries.min(first + 100)).map(|i| set(i, VALUE_SIZES[i % 4])).collect();
        database.write_blocking(AtomicWrite { mutations, ..AtomicWrite::new() }).unwrap().into_result().unwrap();
    }
    database
        .write_blocking(AtomicWrite { enqueues: vec![message(1)], ..AtomicWrite::new() })
        .unwrap()
        .into_result()
        .unwrap();
    // The last close checkpoints the WAL.
    database.close();
    crate::sqlite::wait_closed(std::time::Duration::from_secs(60));
    assert!(!with_suffix(path, "-wal").exists());
}

fn quiet(_: Progress) {}

fn problem<T: std::fmt::Debug>(result: Result<T, Error>) -> FileProblem {
    match result.unwrap_err() {
        Error::File { problem, .. } => problem,
        error => panic!("{error}"),
    }
}

/// Changes the bytes of a file.
fn corrupt(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Returns the index of a leaf page of the `kv` table.
fn leaf(path: &Path) -> usize {
    let leaves: Vec<usize> = fs::read(path)
        .unwrap()
        .chunks(4096)
        .enumerate()
        .filter(|(_, page)| page[0] == 0x0a && page.windows(5).any(|window| window == b"entry") && page.len() == 4096)
        .map(|(i, _)| i)
        .collect();
    leaves[leaves.len() / 2]
}

#[test]
fn info_counts_entries_and_messages() {
    let directory = Directory::new();
    let file = directory.path("kv.sqlite3");
    let database = open(&file);
    let expiring = |i, time| Mutation {
        key: key(i),
        kind: MutationKind::Set { value: Value::U64(7), expire_at: Some(Time::At(time)), versionstamped: false },
    };
    let now = 4_000_000_000_000;
    let write = AtomicWrite {
        mutations: vec![
            set(1, 100),
            Mutation::set(key(2), Value::V8(vec![255, 15, b'T'])),
            expiring(3, now + 5),
            expiring(4, now),
        ],
        enqueues: vec![message(1), Enqueue { deliver_at: Time::At(now), ..message(2) }],
        ..AtomicWrite::new()
    };
    let versionstamp = database.write_blocking(write).unwrap().versionstamp().unwrap();
    let info = info(&file, now).unwrap();
    assert_eq!((info.entries, info.expired, info.next_expiry), (3, 1, Some(now + 5)));
    assert_eq!(info.encodings, Encodings { v8: 1, u64: 1, bytes: 1, unknown: 0 });
    assert_eq!((info.key_bytes, info.value_bytes), (3 * key(1).as_bytes().len() as u64, 100 + 3 + 8));
    assert_eq!((info.waiting, info.ready, info.running), (2, 1, 0));
    assert_eq!(info.last_versionstamp, versionstamp);
    assert_eq!((info.format, info.page_size), (3, 4096));
    assert!(info.size.wal > 0);
}

#[test]
fn queue_returns_messages_in_the_order_of_their_times() {
    let directory = Directory::new();
    let file = directory.path("kv.sqlite3");
    let database = open(&file);
    let soon = Enqueue { deliver_at: Time::At(4_900_000_000_000), backoff_schedule: Some(vec![7, 8]), ..message(2) };
    let write = AtomicWrite { enqueues: vec![message(1), soon, message(3)], ..AtomicWrite::new() };
    let versionstamp = database.write_blocking(write).unwrap().versionstamp().unwrap();
    let found = queue(&file, 2).unwrap();
    assert_eq!((found.in_flight, found.last_versionstamp), (vec![], versionstamp));
    let [first, second] = &found.waiting[..] else { panic!("{:?}", found.waiting) };
    assert_eq!((first.time, &first.message[..]), (4_900_000_000_000, &[0xff, 15, b'I', 2][..]));
    assert_eq!((&first.backoff_schedule[..], &first.keys_if_undelivered[..]), (&[7, 8][..], &[key(2)][..]));
    assert_eq!((second.time, second.backoff_schedule.len()), (5_000_000_000_000, 5));

    // One of them as another process handles it, with corrupt columns.
    let connection = Connection::open(&file).unwrap();
    let insert = "insert into queue_running (deadline, id, data, backoff_schedule, keys_if_undelivered)
        values (-1, 'a', x'ff0f30', 'corrupt', x'00')";
    connection.execute_batch(insert).unwrap();
    let found = queue(&file, 1).unwrap();
    let corrupt =
        QueuedMessage { time: 0, message: vec![0xff, 15, b'0'], backoff_schedule: vec![], keys_if_undelivered: vec![] };
    assert_eq!((found.in_flight, found.waiting.len()), (vec![corrupt], 1));
}

#[test]
fn reading_commands_change_nothing() {
    let directory = Directory::new();
    let file = directory.path("kv.sqlite3");
    let database = open(&file);
    database
        .write_blocking(AtomicWrite { mutations: vec![set(1, 10)], ..AtomicWrite::new() })
        .unwrap()
        .into_result()
        .unwrap();
    // The files as a crash would leave them.
    let copy = directory.path("copy.sqlite3");
    for suffix in ["", "-wal"] {
        fs::copy(with_suffix(&file, suffix), with_suffix(&copy, suffix)).unwrap();
    }
    let bytes = || ["", "-wal"].map(|suffix| fs::read(with_suffix(&copy, suffix)).unwrap());
    let before = bytes();
    assert_eq!(info(&copy, 0).unwrap().entries, 1);
    assert_eq!(check(&copy, &mut quiet).unwrap(), Report { entries: 1, ..Report::default() });
    backup(&copy, &directory.path("backup.sqlite3"), false, &mut quiet).unwrap();
    assert!(bytes() == before);
    // If there was no WAL, none is created.
    assert_eq!(info(&directory.path("backup.sqlite3"), 0).unwrap().entries, 1);
    assert_eq!(directory.names().iter().filter(|name| name.starts_with("backup")).count(), 1);
}

#[test]
fn check_reports_invalid_rows() {
    let directory = Directory::new();
    let file = directory.path("kv.sqlite3");
    fill(&file, 5);
    assert_eq!(check(&file, &mut quiet).unwrap(), Report { entries: 5, messages: 1, problems: vec![] });
    let connection = Connection::open(&file).unwrap();
    for sql in [
        "update kv set v_encoding = 9 where k = ?1 and v_encoding = 3",
        "insert into kv (k, v, v_encoding, version) values (x'0261', x'00', 3, 1)",
        "insert into kv (k, v, v_encoding, version) values (x'026100', x'00', 1, 1)",
        "insert into kv (k, v, v_encoding, version) values (x'026200', x'00', 3, 1000)",
        "update queue set keys_if_undelivered = '[[255]]'",
        "insert into queue select ts + 1, 'id', data, backoff_schedule, '[]' from queue",
        "drop index kv_expiration_ms_idx",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        match statement.parameter_count() {
            0 => statement.execute([]).unwrap(),
            _ => statement.execute([key(3).as_bytes()]).unwrap(),
        };
    }
    drop(connection);
    let problems = check(&file, &mut quiet).unwrap().problems;
    let lines: Vec<_> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        lines,
        [
            "file: index kv_expiration_ms_idx is missing",
            "entry x'0261': a stored key is corrupt: it ends within a part",
            "entry [\"a\"]: its value has no header of V8's format",
            "entry [\"b\"]: its version 1000 is greater than that of the last commit, 2",
            "entry [\"entry\", 3]: its value of 6000 bytes has encoding 9, which is unknown or does not fit",
            "message in row 1 of queue: a stored key is corrupt: unknown type 0xff of a key part",
            "message in row 2 of queue: its id \"id\" is not a UUID",
        ]
    );
}

#[test]
fn flipped_bits_are_reported_or_harmless() {
    let directory = Directory::new();
    let file = directory.path("kv.sqlite3");
    fill(&file, 60);
    let bytes = fs::read(&file).unwrap();
    let copy = directory.path("copy.sqlite3");
    let mut found = 0;
    for offset in (0..bytes.len()).step_by(997).chain(0..100) {
        let mut bytes = bytes.clone();
        bytes[offset] ^= 1 << (offset % 8);
        fs::write(&copy, &bytes).unwrap();
        // Any result and any error is accepted, but not a panic.
        found += usize::from(check(&copy, &mut quiet).map_or(true, |report| !report.problems.is_empty()));
        let _ = info(&copy, 0);
        let _ = salvage(&copy, &directory.path("saved.sqlite3"), true, &mut quiet);
        assert!(fs::read(&copy).unwrap() == bytes, "changed with offset {offset}");
        for suffix in ["-wal", "-shm"] {
            assert!(!with_suffix(&copy, suffix).exists(), "left with offset {offset}");
        }
    }
    assert!(found > 0);
}

#[test]
fn compaction_frees_pages_and_the_wal() {
    let directory = Directory::new();
    let file = directory.path("kv.sqlite3");
    fill(&file, 400);
    let database = open(&file);
    let expiring = Mutation {
        key: key(1000),
        kind: MutationKind::Set {
            value: Value::U64(7),
            expire_at: Some(Time::At(4_000_000_000_000)),
            versionstamped: false,
        },
    };
    database
        .write_blocking(AtomicWrite { mutations: vec![expiring], ..AtomicWrite::new() })
        .unwrap()
        .into_result()
        .unwrap();
    let deleted = database.delete_range(&Selector::between(&key(0), &key(390)).unwrap());
    assert_eq!(futures_executor::block_on(deleted).unwrap(), 390);

    // While it is open.
    let Compaction { before, after, expired, checkpointed } = compact(&file, 4_000_000_000_000, &mut quiet).unwrap();
    assert_eq!((expired, checkpointed, after.wal), (1, true, 0));
    assert!(before.wal > 0 && after.file < before.file / 4, "{before:?} {after:?}");
    assert_eq!(fs::metadata(&file).unwrap().len(), after.file);
    assert_eq!(check(&file, &mut quiet).unwrap(), Report { entries: 10, messages: 1, problems: vec![] });
    // The database that was open meanwhile continues to work.
    database
        .write_blocking(AtomicWrite { mutations: vec![set(1, 10)], ..AtomicWrite::new() })
        .unwrap()
        .into_result()
        .unwrap();
    assert_eq!(info(&file, 0).unwrap().entries, 11);
}

#[test]
fn files_that_are_not_databases_are_rejected() {
    let directory = Directory::new();
    let (missing, to) = (directory.path("missing"), directory.path("to"));
    let (text, empty, other, older, newer) = (
        directory.path("text"),
        directory.path("empty"),
        directory.path("other"),
        directory.path("older"),
        directory.path("newer"),
    );
    fs::write(&text, "a text that is longer than the header of a database ".repeat(20)).unwrap();
    fs::write(&empty, "").unwrap();
    Connection::open(&other).unwrap().execute_batch("create table t (c)").unwrap();
    for (path, version) in [(&older, 2), (&newer, 99)] {
        fill(path, 1);
        Connection::open(path).unwrap().execute("update migration_state set version = ?1", [version]).unwrap();
    }
    let before = directory.names();
    let all = |path: &Path| -> Vec<Error> {
        vec![
            info(path, 0).unwrap_err(),
            backup(path, &to, false, &mut quiet).unwrap_err(),
            restore(path, &to, false, &mut quiet).unwrap_err(),
            compact(path, 0, &mut quiet).unwrap_err(),
        ]
    };
    let file_problem = |error: &Error| match error {
        Error::File { problem, .. } => problem.to_string(),
        error => error.to_string(),
    };
    for (path, message) in [
        (&missing, "no such file"),
        (&directory.0.path().to_owned(), "this is a directory, not a file"),
        (&text, "this is not an SQLite database, or its first page is corrupt"),
        (&empty, "this is an SQLite database, but not a Deno KV database"),
        (&other, "this is an SQLite database, but not a Deno KV database"),
        (&older, "this file has format version 2 instead of 3: open it once in a script, which updates it"),
        (
            &newer,
            "the database file has format version 99, and this program supports versions up to 3: use a newer one",
        ),
    ] {
        for (i, error) in all(path).iter().enumerate() {
            // `restore` adds where the backup is corrupt.
            assert!(file_problem(error).contains(message), "{i}: {error}");
        }
        // The entries of an older file can be saved.
        let salvaged = salvage(path, &to, false, &mut quiet);
        assert!(path == &older || salvaged.unwrap_err().to_string().contains(message));
        let _ = fs::remove_file(&to);
    }
    assert_eq!(directory.names(), before);
}

#[test]
fn new_file_does_not_replace_existing_ones() {
    let directory = Directory::new();
    let (file, to) = (directory.path("kv.sqlite3"), directory.path("to.sqlite3"));
    fill(&file, 10);
    assert!(matches!(problem(backup(&file, &file, true, &mut quiet)), FileProblem::Same));
    assert!(matches!(problem(restore(&file, &file, true, &mut quiet)), FileProblem::Same));
    #[cfg(unix)]
    {
        let link = directory.path("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(problem(backup(&file, &link, true, &mut quiet)), FileProblem::Same));
        assert!(matches!(problem(backup(&link, &file, true, &mut quiet)), FileProblem::Same));
    }
    fs::write(&to, "precious").unwrap();
    assert!(matches!(problem(backup(&file, &to, false, &mut quiet)), FileProblem::Exists));
    assert_eq!(fs::read(&to).unwrap(), b"precious");
    backup(&file, &to, true, &mut quiet).unwrap();
    assert_eq!(info(&to, 0).unwrap().entries, 10);

    // The WAL of another database must not be applied to a backup.
    fs::write(with_suffix(&to, "-wal"), "").unwrap();
    assert!(matches!(problem(backup(&file, &to, true, &mut quiet)), FileProblem::WalLeft { .. }));
    assert!(matches!(problem(backup(&file, &directory.path("no/to"), true, &mut quiet)), FileProblem::Missing));
}

#[test]
fn commit_ids_are_checked_copied_and_compacted() {
    let directory = Directory::new();
    let file = directory.path("kv.sqlite3");
    let database = open(&file);
    assert_eq!(info(&file, 0).unwrap().commit_ids, 0);
    let write = |i: u8| AtomicWrite::new().mutate(Mutation::sum(key(0), 1)).id(CommitId([i; 16]));
    let versions = [1, 2].map(|i| database.write_blocking(write(i)).unwrap());
    database.close();
    assert_eq!(info(&file, 0).unwrap().commit_ids, 2);
    let intact = Report { entries: 1, ..Report::default() };
    assert_eq!(check(&file, &mut quiet).unwrap(), intact);

    let [copy, restored, salvaged] = ["copy", "restored", "salvaged"].map(|name| directory.path(name));
    backup(&file, &copy, false, &mut quiet).unwrap();
    restore(&copy, &restored, false, &mut quiet).unwrap();
    let saved = salvage(&file, &salvaged, false, &mut quiet).unwrap();
    assert_eq!((saved.entries, saved.messages, saved.lost), (1, 0, vec![]));
    for file in [&copy, &restored, &salvaged] {
        assert_eq!(check(file, &mut quiet).unwrap(), intact);
        let database = open(file);
        assert_eq!(database.write_blocking(write(2)).unwrap(), versions[1]);
        assert_eq!(database.get_blocking(&key(0)).unwrap().unwrap().value, Value::U64(2));
    }

    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("update openkv_commit_ids set committed_at = 5, id = x'00' where version = 1").unwrap();
    connection.execute("insert into openkv_commit_ids values (9, zeroblob(16), 7)", []).unwrap();
    drop(connection);
    let problems = check(&file, &mut quiet).unwrap().problems;
    let lines: Vec<_> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        lines,
        [
            "table openkv_commit_ids: a commit id is 1 bytes long, not 16",
            "table openkv_commit_ids: its version 9 is greater than that of the last commit, 2",
        ]
    );
    compact(&file, crate::SystemClock.now(), &mut quiet).unwrap();
    assert_eq!(info(&file, 0).unwrap().commit_ids, 1);
}

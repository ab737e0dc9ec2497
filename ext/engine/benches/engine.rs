//! Compares the engine with raw SQLite doing the same work, with the same file format, settings and data, through prepared
//! statements of `rusqlite`. The ratio of the medians in each group is the overhead of the engine.

mod raw_sqlite;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::slice;
use std::time::{SystemTime, UNIX_EPOCH};

use divan::Bencher;
use divan::counter::ItemsCount;
use futures_executor::block_on;
use futures_util::future::try_join_all;
use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{AtomicWrite, Database, Key, KeyPart, Limits, Mutation, Read, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// The number of entries in the file.
const ENTRIES: u64 = 50_000;

/// The number of writes in flight at a time.
const IN_FLIGHT: u64 = 500;

/// A file with entries. It is created in the build directory, because the system's directory for temporary files may be in memory,
/// where a sync is free.
struct File {
    directory: TempDir,
    next: u64,
}

impl File {
    fn new() -> Self {
        let file = Self { directory: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), next: 0 };
        let database = file.engine();
        for first in (0..ENTRIES).step_by(500) {
            let write = AtomicWrite { mutations: (first..first + 500).map(set).collect(), ..AtomicWrite::new() };
            database.write_blocking(write).unwrap().into_result().unwrap();
        }
        file
    }

    fn engine(&self) -> Database {
        let path = self.directory.path().join("kv.sqlite3");
        let mut limits = Limits::default();
        limits.read_entries = ENTRIES as usize;
        sqlite::open(Location::file(path), Options::default().limits(limits)).unwrap()
    }

    fn raw(&self) -> Connection {
        raw_sqlite::open(&self.directory.path().join("kv.sqlite3"))
    }

    /// Returns the number of the next entry, cycling through all of them.
    fn next(&mut self) -> u64 {
        // Coprime to the number of entries, so that consecutive entries are not neighbours.
        self.next = (self.next + 7919) % ENTRIES;
        self.next
    }
}

fn key(i: u64) -> Key {
    Key::from_parts(&[KeyPart::from("users"), KeyPart::from(&*format!("user-{i:08}"))]).unwrap()
}

/// Returns a key without a value, between two keys with one.
fn missing_key(i: u64) -> Key {
    Key::from_parts(&[KeyPart::from("users"), KeyPart::from(&*format!("user-{i:08}-missing"))]).unwrap()
}

/// Returns as many bytes as a small object takes in V8's format. The engine does not decode them.
fn value(i: u64) -> Vec<u8> {
    let mut bytes = vec![b'v'; 90];
    bytes[..8].copy_from_slice(&i.to_le_bytes());
    bytes
}

fn set(i: u64) -> Mutation {
    Mutation::set(key(i), Value::V8(value(i)))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// The number of gets in a sample: enough to run with warm caches, and to make the cost of the clock negligible.
const GETS: u32 = 1000;

mod get_hit {
    use super::*;

    #[divan::bench(sample_size = GETS)]
    fn engine(bencher: Bencher) {
        get_with_engine(bencher, key, true);
    }

    #[divan::bench(sample_size = GETS)]
    fn raw(bencher: Bencher) {
        get_with_raw(bencher, key, true);
    }
}

/// Gets by several threads, on a shared handle or on one per thread.
mod get_threads {
    use super::*;

    #[divan::bench(args = [1, 2, 4], sample_count = 20)]
    fn one_handle(bencher: Bencher, threads: u64) {
        let file = File::new();
        let database = file.engine();
        let handles: Vec<_> = (0..threads).map(|_| database.clone()).collect();
        get_on(bencher, &handles);
    }

    #[divan::bench(args = [1, 2, 4], sample_count = 20)]
    fn a_handle_each(bencher: Bencher, threads: u64) {
        let file = File::new();
        let handles: Vec<_> = (0..threads).map(|_| file.engine()).collect();
        get_on(bencher, &handles);
    }

    fn get_on(bencher: Bencher, handles: &[Database]) {
        let gets = 20_000;
        bencher.counter(ItemsCount::new(gets * handles.len() as u64)).bench_local(|| {
            std::thread::scope(|scope| {
                for (i, database) in handles.iter().enumerate() {
                    scope.spawn(move || {
                        for turn in 0..gets {
                            let number = (turn * 7919 + i as u64 * 1009) % ENTRIES;
                            assert!(database.get_blocking(&key(number)).unwrap().is_some());
                        }
                    });
                }
            });
        });
    }
}

mod get_miss {
    use super::*;

    #[divan::bench(sample_size = GETS)]
    fn engine(bencher: Bencher) {
        get_with_engine(bencher, missing_key, false);
    }

    #[divan::bench(sample_size = GETS)]
    fn raw(bencher: Bencher) {
        get_with_raw(bencher, missing_key, false);
    }
}

fn get_with_engine(bencher: Bencher, key: fn(u64) -> Key, found: bool) {
    let mut file = File::new();
    let database = file.engine();
    bencher.with_inputs(|| key(file.next())).bench_local_refs(|key| {
        let mut size = None;
        let read = database.visit_blocking(&[Read::Key(key)], &mut |_, entry| {
            size = entry.value.map(ValueRef::len);
            ControlFlow::Continue(())
        });
        read.unwrap();
        assert_eq!(size.is_some(), found);
        size
    });
}

const GET: &str = "select v, v_encoding, version from kv where k = ?1 and (expiration_ms < 0 or expiration_ms > ?2)";

fn get_with_raw(bencher: Bencher, key: fn(u64) -> Key, found: bool) {
    let mut file = File::new();
    let connection = file.raw();
    bencher.with_inputs(|| key(file.next())).bench_local_refs(|key| {
        let mut statement = connection.prepare_cached(GET).unwrap();
        let size = statement
            .query_row((key.as_bytes(), now()), |row| {
                black_box((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
                Ok(row.get_ref(0)?.as_blob()?.len())
            })
            .optional()
            .unwrap();
        assert_eq!(size.is_some(), found);
        size
    });
}

/// All entries, in order.
mod scan {
    use super::*;

    #[divan::bench]
    fn engine(bencher: Bencher) {
        let file = File::new();
        let database = file.engine();
        bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
            let range = Read::Range { start: &[0], end: &[0xff], limit: ENTRIES as u32, reverse: false, values: true };
            let (mut count, mut size) = (0, 0);
            let read = database.visit_blocking(&[range], &mut |_, entry| {
                count += 1;
                size += entry.key.len() + entry.value.map_or(0, ValueRef::len);
                black_box(entry.versionstamp);
                ControlFlow::Continue(())
            });
            read.unwrap();
            assert_eq!(count, ENTRIES);
            size
        });
    }

    const SCAN: &str = "select k, v, v_encoding, version from kv
        where k >= ?1 and k < ?2 and (expiration_ms < 0 or expiration_ms > ?3) order by k limit ?4";

    #[divan::bench]
    fn raw(bencher: Bencher) {
        let file = File::new();
        let connection = file.raw();
        bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
            let mut statement = connection.prepare_cached(SCAN).unwrap();
            let mut rows = statement.query((&[0u8][..], &[0xffu8][..], now(), ENTRIES as i64)).unwrap();
            let (mut count, mut size) = (0, 0);
            while let Some(row) = rows.next().unwrap() {
                count += 1;
                size += row.get_ref(0).unwrap().as_blob().unwrap().len();
                size += row.get_ref(1).unwrap().as_blob().unwrap().len();
                black_box((row.get::<_, i64>(2).unwrap(), row.get::<_, i64>(3).unwrap()));
            }
            assert_eq!(count, ENTRIES);
            size
        });
    }
}

/// Sequential writes: a commit and a disk sync each.
mod set_awaited {
    use super::*;

    #[divan::bench(min_time = 1)]
    fn engine(bencher: Bencher) {
        let mut file = File::new();
        let database = file.engine();
        bencher
            .with_inputs(|| AtomicWrite::new().mutate(set(file.next())))
            .bench_local_values(|write| database.write_blocking(write).unwrap());
    }

    #[divan::bench(min_time = 1)]
    fn raw(bencher: Bencher) {
        let mut file = File::new();
        let connection = file.raw();
        bencher
            .with_inputs(|| row(file.next()))
            .bench_local_refs(|row| raw_sqlite::commit(&connection, slice::from_ref(row)));
    }
}

/// Concurrent writes, compared with the optimum: all in one commit.
mod set_500_in_flight {
    use super::*;

    #[divan::bench]
    fn engine(bencher: Bencher) {
        let mut file = File::new();
        let database = file.engine();
        bencher
            .counter(ItemsCount::new(IN_FLIGHT))
            .with_inputs(|| Vec::from_iter((0..IN_FLIGHT).map(|_| AtomicWrite::new().mutate(set(file.next())))))
            .bench_local_values(|writes| {
                block_on(try_join_all(writes.into_iter().map(|write| database.write(write)))).unwrap()
            });
    }

    #[divan::bench]
    fn raw(bencher: Bencher) {
        let mut file = File::new();
        let connection = file.raw();
        bencher
            .counter(ItemsCount::new(IN_FLIGHT))
            .with_inputs(|| Vec::from_iter((0..IN_FLIGHT).map(|_| row(file.next()))))
            .bench_local_refs(|rows| raw_sqlite::commit(&connection, rows));
    }
}

/// Returns a key and a value.
fn row(i: u64) -> (Key, Vec<u8>) {
    (key(i), value(i))
}

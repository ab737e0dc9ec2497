//! Fuzzes malicious files: opens and uses databases with arbitrary values in the columns, or arbitrary bytes in the pages.

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arbitrary::{Result, Unstructured};
use futures_executor::block_on;
use futures_util::FutureExt;
use openkv_engine::maintenance::{self, ProblemLocation, Progress};
use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{
    AtomicWrite, BoxFuture, Check, Clock, Database, Delivery, Enqueue, Key, KeyPart, Mutation, MutationKind, Operand,
    Read, Selector, Time, Value, Versionstamp,
};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use crate::TIMEOUT;

/// The initial time, in milliseconds since the Unix epoch.
const NOW: u64 = 1_700_000_000_000;

/// The tables, and their columns.
const TABLES: [(&str, usize); 5] =
    [("kv", 6), ("queue", 5), ("queue_running", 5), ("data_version", 3), ("migration_state", 2)];

/// The same tables without types and constraints, which would reject or convert values.
const LOOSE: &str = "
    drop table kv; drop table queue; drop table queue_running; drop table data_version; drop table migration_state;
    create table kv (k primary key, v, v_encoding, version, seq, expiration_ms);
    create table queue (ts, id, data, backoff_schedule, keys_if_undelivered);
    create table queue_running (deadline, id, data, backoff_schedule, keys_if_undelivered);
    create table data_version (k primary key, version, seq);
    create table migration_state (k primary key, version);
    insert into data_version values (0, 5, 0);
    insert into migration_state values (0, 3);
";

/// Writes malicious rows or bytes to a file, opens it as a database, and uses it.
pub fn stored(data: &[u8]) {
    let directory = directory();
    let path = directory.path().join("kv.sqlite3");
    let mut u = Unstructured::new(data);
    // An error means that the bytes are used up.
    let _ = corrupt(&mut u, &path);
    maintain(&path);
    let clock = Arc::new(Ticking(AtomicU64::new(NOW)));
    let _ = use_file(&mut u, path, &clock);
    wait_closed(TIMEOUT);
}

/// Runs the maintenance functions on the file. A salvaged file must pass the check.
fn maintain(path: &Path) {
    let nothing = &mut |_: Progress| {};
    // Errors are expected.
    let _ = maintenance::info(path, NOW);
    let _ = maintenance::check(path, nothing);
    let salvaged = path.with_extension("salvaged");
    if maintenance::salvage(path, &salvaged, false, nothing).is_ok() {
        let problems = maintenance::check(&salvaged, nothing).expect("a new file can be read").problems;
        assert!(problems.iter().all(|problem| problem.location != ProblemLocation::File), "{problems:?}");
    }
}

/// Creates a temporary directory, in memory if possible.
pub fn directory() -> tempfile::TempDir {
    crate::scratch().expect("the directory for temporary files is writable")
}

struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> u64 {
        self.now()
    }
}

/// The bytes of a valid file with entries and messages.
static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = directory();
    let path = directory.path().join("kv.sqlite3");
    let clock = Arc::new(Ticking(AtomicU64::new(NOW)));
    let database = open(&path, &clock).expect("a new file can be opened");
    let value = |i: u64| match i % 3 {
        0 => Value::V8(vec![0xff, 0x0f, b'I', i as u8]),
        1 => Value::U64(i),
        _ => Value::Bytes(vec![i as u8; 2000]),
    };
    for i in 0..8 {
        let expire_at = (i > 5).then_some(Time::At(NOW + i));
        let kind = MutationKind::Set { value: value(i), expire_at, versionstamped: false };
        let write = AtomicWrite::new().mutate(Mutation { key: key(i as u8), kind }).enqueue(message(NOW - 5 + i));
        database.write_blocking(write).expect("the write is allowed").into_result().expect("it has no checks");
    }
    let claimed = block_on(database.dequeue()).expect("messages can be claimed");
    assert!(!claimed.is_empty(), "some messages are ready");
    drop((claimed, database));
    wait_closed(TIMEOUT);
    fs::read(&path).expect("the file exists")
});

/// Returns one of a few keys, so that operations use the same ones.
fn key(i: u8) -> Key {
    Key::from_parts(&[KeyPart::from("k"), KeyPart::from(f64::from(i % 8))]).expect("the parts are short")
}

fn message(deliver_at: u64) -> Enqueue {
    let backoff_schedule = (deliver_at.is_multiple_of(2)).then(|| vec![1, 2]);
    let message = vec![0xff, 0x0f, b'I', 2];
    Enqueue {
        message,
        deliver_at: Time::At(deliver_at),
        backoff_schedule,
        keys_if_undelivered: vec![key(deliver_at as u8)],
    }
}

fn open(path: &Path, clock: &Arc<Ticking>) -> openkv_engine::Result<Database> {
    let location = Location::file(path);
    let options = Options::default().clock(clock.clone());
    match sqlite::try_open(&location, &options) {
        Some(database) => Ok(database),
        None => sqlite::open(location, options),
    }
}

/// Writes a file with malicious rows or bytes.
fn corrupt(u: &mut Unstructured<'_>, path: &Path) -> Result<()> {
    let mut image = VALID.clone();
    let (rows, loose): (bool, bool) = u.arbitrary()?;
    if !rows {
        for _ in 0..u.int_in_range(1..=16)? {
            let at = u.choose_index(image.len())?;
            let bytes = u.arbitrary::<&[u8]>()?;
            let end = image.len().min(at + bytes.len());
            image[at..end].copy_from_slice(&bytes[..end - at]);
        }
        if u.ratio(1, 8)? {
            image.truncate(u.choose_index(image.len())?);
        }
        if u.ratio(1, 4)? {
            write_file(path.with_extension("sqlite3-wal"), u.arbitrary()?);
        }
    }
    write_file(path.to_owned(), &image);
    if rows {
        let file = Connection::open(path).expect("the file is valid");
        file.execute_batch("pragma synchronous = off; begin").expect("the file is valid");
        if loose {
            file.execute_batch(LOOSE).expect("the tables exist");
        }
        let inserted = insert(u, &file);
        file.execute_batch("commit").expect("the file is writable");
        inserted?;
    }
    Ok(())
}

fn write_file(path: PathBuf, bytes: &[u8]) {
    let written: io::Result<()> = fs::File::create(path).and_then(|mut file| file.write_all(bytes));
    written.expect("the directory is writable");
}

fn insert(u: &mut Unstructured<'_>, file: &Connection) -> Result<()> {
    for _ in 0..u.int_in_range(1..=8)? {
        let (table, columns) = *u.choose(&TABLES)?;
        let values = (0..columns).map(|column| column_value(u, table, column)).collect::<Result<Vec<_>>>()?;
        let parameters = vec!["?"; columns].join(", ");
        // The table may reject the row.
        let _ = file.execute(&format!("replace into {table} values ({parameters})"), params_from_iter(values));
    }
    Ok(())
}

/// Generates a value: a valid one for the column, or any.
fn column_value<'a>(u: &mut Unstructured<'a>, table: &str, column: usize) -> Result<ToSqlOutput<'a>> {
    let usual: ToSqlOutput<'a> = match (table, column) {
        ("data_version" | "migration_state", 0) | ("kv", 4) => 0.into(),
        ("migration_state", 1) => 3.into(),
        ("kv", 0) => key(u.arbitrary()?).into_bytes().into(),
        ("kv", 1) => ToSqlOutput::Borrowed(ValueRef::Blob(u.arbitrary()?)),
        ("kv", 2) => (*u.choose(&[1, 2, 3])?).into(),
        ("kv", 5) => (*u.choose(&[-1, NOW as i64, NOW as i64 + 2000])?).into(),
        ("queue" | "queue_running", 0) => (NOW as i64 + u.int_in_range(-2..=2)? * 1000).into(),
        ("queue" | "queue_running", 1) => (*u.choose(&["a", "b", ""])?).into(),
        ("queue" | "queue_running", 2) => ToSqlOutput::Borrowed(ValueRef::Blob(u.arbitrary()?)),
        ("queue" | "queue_running", 3) => {
            (*u.choose(&["[1,2]", "null", "[]", "[18446744073709551615]", "[-1]", "{"])?).into()
        }
        ("queue" | "queue_running", 4) => (*u.choose(&["[[2,97,0]]", "[]", "[[]]", "[[256]]", "null"])?).into(),
        _ => u.int_in_range(1..=9_i64)?.into(),
    };
    if u.ratio(2, 3)? {
        return Ok(usual);
    }
    Ok(ToSqlOutput::Borrowed(match u.int_in_range(0..=5)? {
        0 => ValueRef::Null,
        1 => ValueRef::Integer(u.arbitrary()?),
        2 => ValueRef::Integer(*u.choose(&[i64::MIN, -1, 0, 4, 1 << 32, i64::MAX])?),
        3 => ValueRef::Real(u.arbitrary()?),
        // Not always UTF-8.
        4 => ValueRef::Text(u.arbitrary()?),
        _ => ValueRef::Blob(u.arbitrary()?),
    }))
}

/// Opens a file, and calls the functions of the engine.
fn use_file(u: &mut Unstructured<'_>, path: PathBuf, clock: &Arc<Ticking>) -> Result<()> {
    let Some(mut database) = checked(open(&path, clock)) else { return Ok(()) };
    let mut dequeued: Vec<BoxFuture<Vec<Delivery>>> = Vec::new();
    let mut deliveries = Vec::new();
    for _ in 0..24 {
        match u.int_in_range(0..=9)? {
            0 | 1 => read(u, &database)?,
            2 => drop(checked(block_on(database.count(&all())))),
            3..=5 => drop(checked(database.write_blocking(write(u)?))),
            6 => drop(checked(block_on(database.delete_range(&between(u)?)))),
            7 => dequeued.push(database.dequeue()),
            8 => drop(clock.0.fetch_add(u.int_in_range(0..=10_000)?, Ordering::Relaxed)),
            _ => {
                let watch = checked(database.watch(&[key(0)]));
                database.close();
                drop(watch);
                wait_closed(TIMEOUT);
                let Some(again) = checked(open(&path, clock)) else { break };
                database = again;
            }
        }
        dequeued.retain_mut(|pending| match pending.now_or_never() {
            Some(claimed) => {
                deliveries.extend(checked(claimed).into_iter().flatten());
                false
            }
            None => true,
        });
        if let Some(delivery) = deliveries.pop() {
            checked(block_on(if u.arbitrary()? { delivery.done() } else { delivery.retry() }));
        }
    }
    database.close();
    assert!(matches!(block_on(database.count(&all())), Err(openkv_engine::Error::Closed)));
    for pending in dequeued {
        deliveries.extend(checked(block_on(pending)).into_iter().flatten());
    }
    for delivery in deliveries {
        checked(block_on(delivery.retry()));
    }
    Ok(())
}

fn all() -> Selector {
    Selector::prefix(&Key::new())
}

/// Generates a range of keys that starts at the first one.
fn between(u: &mut Unstructured<'_>) -> Result<Selector> {
    let end = key(u.arbitrary()?);
    Ok(Selector::between(&key(0), &end).unwrap_or_else(|_| Selector::prefix(&end)))
}

/// Returns the value of a result. Checks that an error has a message.
fn checked<T>(result: openkv_engine::Result<T>) -> Option<T> {
    result.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}

fn read(u: &mut Unstructured<'_>, database: &Database) -> Result<()> {
    let key = key(u.arbitrary()?);
    let range = |reverse, values, limit| Read::Range { start: &[], end: &[0xff], limit, reverse, values };
    let reads = [range(u.arbitrary()?, u.arbitrary()?, u.int_in_range(0..=500)?), Read::Key(&key)];
    checked(database.visit_blocking(&reads[u.int_in_range(0..=1)?..], &mut |_, entry| {
        let entry = entry.to_owned();
        assert!(!format!("{entry:?}{}", entry.versionstamp).is_empty());
        ControlFlow::Continue(())
    }));
    Ok(())
}

fn write(u: &mut Unstructured<'_>) -> Result<AtomicWrite> {
    let mut write = AtomicWrite::new();
    for _ in 0..u.int_in_range(1..=3)? {
        let key = key(u.arbitrary()?);
        let value = match u.int_in_range(0..=3)? {
            0 => Value::U64(u.arbitrary()?),
            1 => Value::Bytes(u.arbitrary()?),
            2 => Value::V8(u.arbitrary()?),
            // A number or a bigint, which only a sum decodes.
            _ => Value::V8([&[0xff, 0x0f, *u.choose(b"IUNZ")?], u.arbitrary::<&[u8]>()?].concat()),
        };
        let expire_at = u.arbitrary::<Option<u16>>()?.map(|wait| Time::At(NOW + u64::from(wait)));
        let kind = match u.int_in_range(0..=5)? {
            0 => MutationKind::Set { value, expire_at, versionstamped: u.arbitrary()? },
            1 => MutationKind::Delete,
            2 => {
                write.enqueues.push(message(NOW + u64::from(u.arbitrary::<u8>()?)));
                continue;
            }
            3 => {
                let versionstamp =
                    u.arbitrary::<Option<u8>>()?.map(|version| Versionstamp::from_version(version.into()));
                write.checks.push(Check { key, versionstamp });
                continue;
            }
            _ => MutationKind::Combine { operand: *u.choose(&[Operand::Sum, Operand::Min, Operand::Max])?, value },
        };
        write.mutations.push(Mutation { key, kind });
    }
    Ok(write)
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Commit, Database, Error, Key, KeyPart, Selector, Value, Versionstamp};
use openkv_postgres::cluster::{self, Server};
use openkv_postgres::{Address, Options};

/// A database on the shared server.
pub struct Place {
    pub server: Arc<Server>,
    pub schema: String,
}

impl Place {
    /// Returns a place without tables, or `None` if PostgreSQL is not installed.
    pub fn new() -> Option<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let server = cluster::shared()?;
        Some(Self { server, schema: format!("test{}", LAST.fetch_add(1, Ordering::Relaxed)) })
    }

    pub fn url(&self) -> String {
        self.server.url(&self.schema)
    }

    /// Opens the database, as another process does.
    pub fn open(&self) -> Database {
        open(&self.url()).unwrap()
    }

    /// Runs a statement, in which `SCHEMA` is the name of the schema.
    pub fn query(&self, sql: &str) -> String {
        self.server.query(&sql.replace("SCHEMA", &self.schema)).unwrap()
    }

    /// Terminates all connections to the database, and waits until they have ended. Returns their number.
    pub fn disconnect(&self) -> String {
        let ours = format!("application_name = '{}'", self.schema);
        self.query(&format!("select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where {ours}"))
    }

    /// Opens the database under its own application name, so that its connections can be terminated.
    pub fn open_named(&self) -> Database {
        open(&format!("{}&application_name={}", self.url(), self.schema)).unwrap()
    }
}

pub fn options() -> Options {
    Options::default().retry_for(Duration::from_secs(30))
}

pub fn open(url: &str) -> Result<Database, Error> {
    block_on(openkv_postgres::open(Address::parse(url).unwrap(), options()))
}

/// Returns the key of a number.
pub fn key(number: u64) -> Key {
    Key::from_parts(&["numbers".into(), KeyPart::from(number as f64)]).unwrap()
}

/// Returns a selector of the keys of all numbers.
pub fn numbers() -> Selector {
    Selector::prefix(&Key::from(["numbers"]))
}

/// Stores the numbers from 0 up to `count` under their keys.
pub fn fill(database: &Database, count: u64) {
    for first in (0..count).step_by(500) {
        let sets = (first..count.min(first + 500)).map(|i| openkv_engine::Mutation::set(key(i), Value::U64(i)));
        commit(database, sets.fold(AtomicWrite::new(), AtomicWrite::mutate));
    }
}

pub fn commit(database: &Database, write: AtomicWrite) -> Versionstamp {
    database.write_blocking(write).unwrap().into_result().unwrap()
}

pub fn value(database: &Database, number: u64) -> Option<u64> {
    match database.get_blocking(&key(number)).unwrap()?.value {
        Value::U64(value) => Some(value),
        value => panic!("{value:?}"),
    }
}

pub fn conflict(failed: &[usize]) -> Commit {
    Commit::Conflict { failed: failed.to_vec() }
}

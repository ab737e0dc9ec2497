use std::sync::atomic::{AtomicU32, Ordering};

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Commit, Database, Key, KeyPart, Mutation, Selector, Value};
use openkv_etcd::{Options, open};

use openkv_etcd::cluster;

/// Returns the URL of a new database of the shared cluster, or `None` without etcd.
pub fn url() -> Option<String> {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    Some(cluster::shared()?.url(&format!("test-{}", NAMES.fetch_add(1, Ordering::Relaxed))))
}

pub fn opened(url: &str) -> Database {
    block_on(open(url, Options::default())).unwrap()
}

/// Opens a new database, or returns from the test without etcd.
macro_rules! database {
    () => {
        match $crate::support::url() {
            Some(url) => $crate::support::opened(&url),
            None => return,
        }
    };
}
pub(crate) use database;

pub fn key(number: u64) -> Key {
    Key::from_parts(&["numbers".into(), KeyPart::from(number as f64)]).unwrap()
}

pub fn numbers() -> Selector {
    Selector::prefix(&Key::from(["numbers"]))
}

pub fn commit(database: &Database, write: AtomicWrite) -> Commit {
    block_on(database.write(write)).unwrap()
}

pub fn set(key: Key, number: u64) -> Mutation {
    Mutation::set(key, Value::U64(number))
}

/// Stores the numbers from 0 up to `count` under their keys.
pub fn fill(database: &Database, count: u64) {
    for first in (0..count).step_by(500) {
        let sets = (first..count.min(first + 500)).map(|i| set(key(i), i));
        commit(database, sets.fold(AtomicWrite::new(), AtomicWrite::mutate)).into_result().unwrap();
    }
}

pub fn get(database: &Database, key: &Key) -> Option<u64> {
    match block_on(database.get(key)).unwrap()?.value {
        Value::U64(number) => Some(number),
        value => panic!("{value:?}"),
    }
}

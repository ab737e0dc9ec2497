use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use deno_error::{JsErrorBox, JsErrorClass};
use denokv_proto::{
    AtomicWrite, CommitResult, Consistency, Database, Enqueue, KvEntry, KvValue, Mutation, MutationKind, ReadRange,
    SnapshotReadOptions, Versionstamp,
};
use openkv_engine::denokv::DenoKv;
use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{Clock, Key, KeyPart};

/// The timeout of [`soon`].
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> u64 {
        self.now()
    }
}

pub fn open(location: Location, clock: &Arc<ManualClock>) -> DenoKv {
    let options = Options::default().clock(clock.clone());
    DenoKv::new(sqlite::open(location, options).unwrap())
}

pub fn memory() -> DenoKv {
    open(Location::Memory, &Arc::default())
}

pub fn file(directory: &tempfile::TempDir) -> Location {
    Location::File { path: directory.path().join("kv.sqlite3"), follow_links: false }
}

/// Waits for a future, with a timeout.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("timed out")
}

/// Returns the encoded form of a key of one string.
pub fn key(name: &str) -> Vec<u8> {
    Key::from_parts(&[KeyPart::from(name)]).unwrap().into_bytes()
}

pub fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

pub fn empty() -> AtomicWrite {
    AtomicWrite { checks: vec![], mutations: vec![], enqueues: vec![] }
}

pub fn mutate(name: &str, kind: MutationKind) -> AtomicWrite {
    AtomicWrite { mutations: vec![Mutation { key: key(name), kind, expire_at: None }], ..empty() }
}

pub fn set(name: &str, number: u64) -> AtomicWrite {
    mutate(name, MutationKind::Set(KvValue::U64(number)))
}

pub fn message(text: &str) -> Enqueue {
    Enqueue { payload: text.into(), deadline: time(0), keys_if_undelivered: vec![], backoff_schedule: None }
}

pub fn enqueue(enqueues: Vec<Enqueue>) -> AtomicWrite {
    AtomicWrite { enqueues, ..empty() }
}

/// Commits a write. Returns its version.
pub async fn commit(database: &DenoKv, write: AtomicWrite) -> Versionstamp {
    let CommitResult { versionstamp } = database.atomic_write(write).await.unwrap().unwrap();
    versionstamp
}

pub fn range(start: Vec<u8>, end: Vec<u8>, limit: u32, reverse: bool) -> ReadRange {
    ReadRange { start, end, limit: NonZeroU32::new(limit).unwrap(), reverse }
}

pub async fn read(database: &DenoKv, ranges: Vec<ReadRange>) -> Result<Vec<Vec<KvEntry>>, JsErrorBox> {
    let options = SnapshotReadOptions { consistency: Consistency::Strong };
    let outputs = database.snapshot_read(ranges, options).await?;
    Ok(outputs.into_iter().map(|output| output.entries).collect())
}

/// Reads the entry of a key, as `deno_kv` does.
pub async fn get(database: &DenoKv, name: &str) -> Option<KvEntry> {
    let (start, end) = (key(name), [key(name), vec![0]].concat());
    let mut entries = read(database, vec![range(start, end, 1, false)]).await.unwrap().remove(0);
    entries.pop()
}

/// Returns the debug output of a value, for comparisons.
pub fn shown(value: &KvValue) -> String {
    format!("{value:?}")
}

pub async fn value(database: &DenoKv, name: &str) -> Option<String> {
    get(database, name).await.map(|entry| shown(&entry.value))
}

/// Returns the class and the message of an error.
pub fn rejected<T>(result: Result<T, JsErrorBox>) -> (String, String) {
    let error = result.err().expect("the call succeeded");
    (error.get_class().into(), error.get_message().into())
}

pub fn type_error(message: &str) -> (String, String) {
    ("TypeError".into(), message.into())
}

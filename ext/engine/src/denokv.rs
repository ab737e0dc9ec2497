//! The engine as a backend of Deno's own extension `deno_kv`: [`DenoKv`] implements its trait [`denokv_proto::Database`].
//! Requires the feature `denokv`.
//!
//! A host that uses `deno_kv` passes a `DatabaseHandler` to it that opens a database of the engine. The directory
//! `examples/deno_kv` of the repository contains such a host, and scripts that test it. In short:
//!
//! ```ignore
//! struct OpenKv;
//!
//! #[async_trait(?Send)]
//! impl deno_kv::DatabaseHandler for OpenKv {
//!     type DB = DenoKv;
//!
//!     async fn open(&self, _state: Rc<RefCell<OpState>>, path: Option<String>) -> Result<Self::DB, JsErrorBox> {
//!         // A host with permissions checks them here, with the `PermissionsContainer` of the state, before it opens the file.
//!         // Opening a file blocks, so it must not run on the thread of the scripts.
//!         spawn_blocking(move || open(path)).await.map_err(|error| JsErrorBox::generic(error.to_string()))?
//!     }
//! }
//!
//! let extension = deno_kv::deno_kv::init(Box::new(OpenKv), deno_kv::KvConfig::builder().build());
//! ```
//!
//! where `open` is
//!
//! ```
//! use deno_error::JsErrorBox;
//! use openkv_engine::denokv::DenoKv;
//! use openkv_engine::sqlite::{self, Location, Options};
//!
//! fn open(path: Option<String>) -> Result<DenoKv, JsErrorBox> {
//!     let location = match path {
//!         Some(path) if path != ":memory:" => Location::File { path: path.into(), follow_links: false },
//!         _ => Location::Memory,
//!     };
//!     sqlite::open(location, Options::default()).map(DenoKv::new).map_err(JsErrorBox::from_err)
//! }
//!
//! assert!(open(None).is_ok());
//! let error = open(Some("no directory/kv.sqlite3".into())).err().unwrap();
//! assert!(error.to_string().contains("no directory"));
//! ```
//!
//! Both check limits: `deno_kv` those of its `KvConfig`, and the engine its [`Limits`](crate::Limits). Their defaults are the
//! same. A host that raises one of them must raise the other as well.
//!
//! Keys are passed in the encoded form, which is the same on both sides. Differences to the database of `deno_kv`:
//!
//! - A versionstamp is one greater than that of the commit before.
//! - An expired value is absent immediately, not only after it was removed.
//! - A sum, min or max does not change the expiry of the stored value.
//! - A sum with bounds for its result is rejected. The API of `deno_kv` has none.
//! - A watch reports only changes of its keys, including those by other processes.
//! - A failure of the storage is an `Error`; an invalid call is a `TypeError`. See [`JsErrorClass`].

use std::borrow::Cow;
use std::cell::Cell;

use async_trait::async_trait;
use deno_error::{AdditionalProperties, JsErrorBox, JsErrorClass, builtin_classes};
use denokv_proto::{
    CommitResult, KvEntry, KvValue, QueueMessageHandle, ReadRange, ReadRangeOutput, SnapshotReadOptions,
    WatchKeyOutput, WatchStream,
};
use futures_util::{StreamExt, stream};

use crate::{
    AtomicWrite, Check, Database, Delivery, Enqueue, Entry, Error, Key, Mutation, MutationKind, Operand, Read,
    ReadEntry, ReadOptions, Result, SumBounds, Time, Value, Versionstamp,
};

/// A database of the engine as a database of `deno_kv`. Clones are handles of the same database: closing one closes it for all.
#[derive(Clone, Debug)]
pub struct DenoKv(Database);

impl DenoKv {
    /// Wraps an open database.
    pub fn new(database: Database) -> Self {
        Self(database)
    }

    /// Returns the wrapped database.
    pub fn database(&self) -> &Database {
        &self.0
    }
}

/// Reads complete immediately, and so do writes in memory. Each call yields once before it returns, so that a script that
/// awaits many of them does not starve timers and sockets.
#[async_trait(?Send)]
impl denokv_proto::Database for DenoKv {
    type QMH = Message;

    /// Reads on the caller's thread. Every read is strongly consistent.
    ///
    /// # Errors
    /// See [`Database::read`].
    async fn snapshot_read(
        &self,
        requests: Vec<ReadRange>,
        _options: SnapshotReadOptions,
    ) -> Result<Vec<ReadRangeOutput>, JsErrorBox> {
        let reads = requests.iter().map(|request| Read::Range {
            start: &request.start,
            end: &request.end,
            limit: request.limit.get(),
            reverse: request.reverse,
            values: true,
        });
        let entries = self.0.read(&reads.collect::<Vec<_>>(), ReadOptions::default());
        tokio::task::yield_now().await;
        let lists = entries.await.map_err(JsErrorBox::from_err)?;
        Ok(lists
            .into_iter()
            .map(|entries| ReadRangeOutput {
                entries: entries.into_iter().filter_map(ReadEntry::into_entry).map(kv_entry).collect(),
            })
            .collect())
    }

    /// Commits a write. Returns `None` if a check fails.
    ///
    /// # Errors
    /// See [`Database::write`]. A sum with bounds for its result is a `TypeError`.
    async fn atomic_write(&self, write: denokv_proto::AtomicWrite) -> Result<Option<CommitResult>, JsErrorBox> {
        let commit = self.0.write(atomic_write(write)?);
        tokio::task::yield_now().await;
        let commit = commit.await.map_err(JsErrorBox::from_err)?;
        Ok(commit.versionstamp().map(|versionstamp| CommitResult { versionstamp: *versionstamp.as_bytes() }))
    }

    /// Waits for a message. Returns `None` only once the database is closed.
    ///
    /// # Errors
    /// A failure of the storage.
    async fn dequeue_next_message(&self) -> Result<Option<Message>, JsErrorBox> {
        let delivery = self.0.dequeue_one().await.map_err(JsErrorBox::from_err)?;
        Ok(delivery.map(Message::new))
    }

    /// Returns a stream of the entries of all keys: the current ones, and again after each change of any. Ends once the database is
    /// closed, and after an error; without keys, after the first item.
    fn watch(&self, keys: Vec<Vec<u8>>) -> WatchStream {
        let keys: Vec<_> = keys.into_iter().map(Key::from_encoded).collect();
        // Begun here, so that the watch sees changes from now on, and not only once the stream is polled.
        let watch = match self.0.watch(&keys) {
            Ok(watch) => watch,
            Err(Error::Closed) => return Box::pin(stream::empty()),
            Err(error) => return Box::pin(stream::iter([Err(JsErrorBox::from_err(error))])),
        };
        // deno_kv shows an unchanged key to scripts as one without a value, so all keys are marked as changed.
        let output = |entry: Option<Entry>| WatchKeyOutput::Changed { entry: entry.map(kv_entry) };
        let outputs = watch.map(move |entries| match entries {
            Ok(entries) => Ok(entries.into_iter().map(output).collect()),
            Err(error) => Err(JsErrorBox::from_err(error)),
        });
        Box::pin(outputs.take(if keys.is_empty() { 1 } else { usize::MAX }))
    }

    /// Closes the database. Messages in flight can still be finished. Closing twice is allowed.
    fn close(&self) {
        self.0.close();
    }
}

/// A message in flight. If dropped unfinished, it is redelivered.
pub struct Message {
    payload: Option<Vec<u8>>,
    /// `None` once finished.
    delivery: Cell<Option<Delivery>>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("payload", &self.payload).finish_non_exhaustive()
    }
}

impl Message {
    fn new(mut delivery: Delivery) -> Self {
        let payload = std::mem::take(&mut delivery.message);
        Self { payload: Some(payload), delivery: Cell::new(Some(delivery)) }
    }
}

#[async_trait(?Send)]
impl QueueMessageHandle for Message {
    /// Takes the message, in V8's serialization format.
    ///
    /// # Errors
    /// A `TypeError` if it was taken already.
    async fn take_payload(&mut self) -> Result<Vec<u8>, JsErrorBox> {
        let payload = self.payload.take();
        if let Some(delivery) = self.delivery.take() {
            delivery.start();
            self.delivery.set(Some(delivery));
        }
        payload.ok_or_else(|| JsErrorBox::type_error("the message was taken already"))
    }

    /// Finishes the delivery, with [`Delivery::done`] or [`Delivery::retry`]. Only the first call has an effect.
    ///
    /// # Errors
    /// A failure of the storage.
    async fn finish(&self, success: bool) -> Result<(), JsErrorBox> {
        match self.delivery.take() {
            Some(delivery) if success => delivery.done().await.map_err(JsErrorBox::from_err),
            Some(delivery) => delivery.retry().await.map_err(JsErrorBox::from_err),
            None => Ok(()),
        }
    }
}

fn kv_entry(entry: Entry) -> KvEntry {
    let value = match entry.value {
        Value::V8(bytes) => KvValue::V8(bytes),
        Value::U64(number) => KvValue::U64(number),
        Value::Bytes(bytes) => KvValue::Bytes(bytes),
    };
    KvEntry { key: entry.key.into_bytes(), value, versionstamp: *entry.versionstamp.as_bytes() }
}

fn atomic_write(write: denokv_proto::AtomicWrite) -> Result<AtomicWrite, JsErrorBox> {
    let checks = write.checks.into_iter().map(|check| Check {
        key: Key::from_encoded(check.key),
        versionstamp: check.versionstamp.map(Versionstamp::from_bytes),
    });
    let enqueues = write.enqueues.into_iter().map(|enqueue| Enqueue {
        message: enqueue.payload,
        deliver_at: Time::At(since_epoch(enqueue.deadline.timestamp_millis())),
        backoff_schedule: enqueue.backoff_schedule,
        keys_if_undelivered: enqueue.keys_if_undelivered.into_iter().map(Key::from_encoded).collect(),
    });
    Ok(AtomicWrite {
        checks: checks.collect(),
        mutations: write.mutations.into_iter().map(mutation).collect::<Result<_, _>>()?,
        enqueues: enqueues.collect(),
        id: None,
    })
}

fn mutation(mutation: denokv_proto::Mutation) -> Result<Mutation, JsErrorBox> {
    let expire_at = mutation.expire_at.map(|time| Time::At(since_epoch(time.timestamp_millis())));
    let set = |value, versionstamped| MutationKind::Set { value: engine_value(value), expire_at, versionstamped };
    let combine = |operand, value| MutationKind::Combine { operand, value: engine_value(value) };
    let bound = |v8: Vec<u8>| (!v8.is_empty()).then_some(Value::V8(v8));
    let kind = match mutation.kind {
        denokv_proto::MutationKind::Set(value) => set(value, false),
        denokv_proto::MutationKind::SetSuffixVersionstampedKey(value) => set(value, true),
        denokv_proto::MutationKind::Delete => MutationKind::Delete,
        denokv_proto::MutationKind::Sum { value, min_v8, max_v8, clamp } => match (bound(min_v8), bound(max_v8)) {
            (None, None) => combine(Operand::Sum, value),
            (min, max) => {
                MutationKind::BoundedSum { value: engine_value(value), bounds: SumBounds { min, max, clamp } }
            }
        },
        denokv_proto::MutationKind::Min(value) => combine(Operand::Min, value),
        denokv_proto::MutationKind::Max(value) => combine(Operand::Max, value),
    };
    Ok(Mutation { key: Key::from_encoded(mutation.key), kind })
}

fn engine_value(value: KvValue) -> Value {
    match value {
        KvValue::V8(bytes) => Value::V8(bytes),
        KvValue::U64(number) => Value::U64(number),
        KvValue::Bytes(bytes) => Value::Bytes(bytes),
    }
}

/// Returns milliseconds since the Unix epoch, or 0 for an earlier time.
fn since_epoch(millis: i64) -> u64 {
    millis.try_into().unwrap_or(0)
}

/// Uses only classes that every host has: a `TypeError` for an invalid call, as in `deno_kv`, and an `Error` if the storage
/// failed or is corrupt.
impl JsErrorClass for Error {
    fn get_class(&self) -> Cow<'static, str> {
        Cow::Borrowed(if self.is_failure() { builtin_classes::GENERIC_ERROR } else { builtin_classes::TYPE_ERROR })
    }

    fn get_message(&self) -> Cow<'static, str> {
        self.to_string().into()
    }

    fn get_additional_properties(&self) -> AdditionalProperties {
        Box::new(std::iter::empty())
    }

    fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
}

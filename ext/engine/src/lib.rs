//! A transactional, ordered key-value database over SQLite, with the file format and semantics of Deno KV.
//!
//! The engine does not depend on JavaScript: a Rust program uses it alone, or shares a file with scripts that run under OpenKV
//! or Deno. Each can read what the other has stored.
//!
//! # Open, write, read
//!
//! A [`Database`] uses a backend: [`sqlite::open`] opens one over an SQLite file, or in memory, and a [`Backend`] of another crate
//! stores the entries elsewhere. Its methods return futures, for any executor; those named `..._blocking` block the thread.
//!
//! With the feature `denokv`, the module `denokv` makes the engine a backend of Deno's own extension, `deno_kv`.
//!
//! ```
//! use openkv_engine::sqlite::{self, Location, Options};
//! use openkv_engine::{Key, Selector, Value};
//!
//! # let directory = tempfile::tempdir().expect("a directory");
//! # let path = directory.path().join("kv.sqlite3");
//! let database = sqlite::open(Location::file(path), Options::default())?;
//! let alice = Key::from(["users", "alice"]);
//! database.set_blocking(alice.clone(), Value::Bytes(b"any bytes".to_vec()))?;
//!
//! let entry = database.get_blocking(&alice)?.expect("it was set");
//! assert_eq!(entry.value, Value::Bytes(b"any bytes".to_vec()));
//!
//! for entry in database.list(Selector::prefix(&Key::from(["users"]))).blocking() {
//!     let entry = entry?;
//!     println!("{} has version {}", entry.key, entry.versionstamp);
//! }
//! # Ok::<(), openkv_engine::Error>(())
//! ```
//!
//! - [`Key`] is a sequence of typed [`KeyPart`]s in encoded, order-preserving form.
//! - [`Value`] is bytes, a 64-bit unsigned integer, or a value in V8's serialization format, like most values of scripts. The
//!   module `v8` converts Rust types from and to such values.
//! - [`AtomicWrite`] is committed as a whole or not at all: checks, mutations such as sums, and messages.
//! - [`Read`] reads a key or a range. A [`Selector`] is a set of keys to list, with cursors that continue a listing.
//! - [`Options`](sqlite::Options) has the limits, the clock and the source of randomness, so that tests can control them.
//! - [`maintenance`] has functions for operators: backups, checks and repairs of files.
//!
//! # Asynchronous programs
//!
//! The futures of writes, watches and the queue wait, and so do reads of a remote backend. Over SQLite, reads run on the caller's
//! thread, and take a few microseconds for pages in memory; a program that reads much from a cold disk should do so in
//! `spawn_blocking` or the like.
//!
//! ```
//! use openkv_engine::sqlite::{self, Location, Options};
//! use openkv_engine::{Key, Value};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), openkv_engine::Error> {
//! let database = sqlite::open(Location::Memory, Options::default())?;
//! let key = Key::from(["config"]);
//!
//! let mut watch = database.watch(&[key.clone()])?;
//! database.set(key.clone(), Value::U64(1)).await?;
//! let entries = watch.next().await.transpose()?.expect("the database is open");
//! assert_eq!(entries[0].as_ref().expect("it was set").value, Value::U64(1));
//!
//! database.close();
//! assert!(watch.next().await.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # The queue
//!
//! A message is delivered at least once: if it was not finished, it is redelivered, also after a crash.
//!
//! ```
//! use openkv_engine::sqlite::{self, Location, Options};
//! use openkv_engine::{AtomicWrite, Enqueue, Key};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), openkv_engine::Error> {
//! let database = sqlite::open(Location::Memory, Options::default())?;
//! // The string "hello" in V8's format. If it cannot be delivered, it is stored under a key.
//! let message = b"\xff\x0f\"\x05hello".to_vec();
//! let enqueue = Enqueue::new(message.clone()).undelivered(Key::from(["undelivered"]));
//! database.write(AtomicWrite::new().enqueue(enqueue)).await?.into_result()?;
//!
//! let delivery = database.deliveries().next().await.transpose()?.expect("the database is open");
//! if delivery.message == message {
//!     delivery.done().await?;
//! } else {
//!     delivery.retry().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not provide
//!
//! - **A server**: it is a library, and a database is a file on a local disk. Programs on the same machine can share a file. The only
//!   access control is that of the file.
//! - **SQL**: it stores keys and values, and the only queries are ranges of keys.
//! - **Interactive transactions**: a write contains its checks, and is committed or rejected as a whole.
//! - **Encryption or compression**: bytes are stored unchanged.
//! - **Unlimited sizes**: keys, values and writes are subject to [`Limits`], by default those of Deno KV. They can be raised, but Deno
//!   cannot write such entries.
//!
//! # Features
//!
//! - `bundled`, enabled by default: compiles SQLite into the program. Without it, the system's SQLite, 3.40 or later, is linked.
//! - `serde`, enabled by default: the module `v8`.
//!
//! # Events
//!
//! The crate emits events with `tracing`. At level `DEBUG`: a database was opened or closed, and each checkpoint. At level
//! `WARN`: a commit took longer than a second, another process holds a lock for longer than a second, a checkpoint failed, and
//! a message was given up on.
//!
//! # Errors
//!
//! Every call returns [`Error`]; the errors of keys, values, versionstamps and conflicts convert to it with `?`. Messages are
//! those of Deno where it has the same error. [`Error`] and [`FileProblem`] are non-exhaustive. Structs with only public
//! fields, such as [`AtomicWrite`], gain fields only in a new major version.

#![warn(missing_debug_implementations)]

mod backend;
mod clock;
mod commit_id;
pub mod contents;
#[cfg(feature = "serde")]
pub mod copy;
mod database;
mod delivery;
#[cfg(feature = "denokv")]
pub mod denokv;
mod error;
mod future;
mod in_flight;
mod key;
mod limits;
mod list;
pub mod maintenance;
mod order;
mod random;
mod ranges;
mod read;
#[cfg(feature = "remote")]
pub mod remote;
mod selector;
pub mod sqlite;
mod sum;
mod time;
mod transfer;
#[cfg(feature = "serde")]
pub mod v8;
mod value;
mod versionstamp;
mod visit;
mod watch;
mod write;

pub use backend::{Backend, Consistency, LocalReads, ReadOptions, WatchEvent};
pub use clock::{Clock, SystemClock};
pub use commit_id::{CommitId, ParseCommitIdError};
pub use database::{Database, Local};
pub use delivery::{Claim, Deliveries, Delivery};
pub use error::{Cause, Error, FileProblem, Result};
pub use future::{BoxFuture, BoxStream};
pub use in_flight::{Flight, InFlight};
pub use key::{BigInt, Key, KeyError, KeyPart, KeyParts, ScriptPart};
pub use limits::Limits;
pub use list::{BlockingList, List, Listed};
pub use order::{Order, Turn};
pub use random::{Random, SystemRandom};
pub use read::{Entry, EntryRef, Expiry, KeyEntry, OwnedRead, Read, ReadEntry, Visitor};
pub use selector::Selector;
pub use time::Time;
pub use transfer::{LastCommit, Page, StoredEntry, StoredMessage, Transfer};
pub use value::{Value, ValueRef};
pub use versionstamp::{ParseVersionstampError, Versionstamp};
pub use watch::Watch;
pub use write::{AtomicWrite, Check, Commit, Conflict, Enqueue, Mutation, MutationKind, Operand, SumBounds};

/// Compiles the example in the README.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
struct Readme;

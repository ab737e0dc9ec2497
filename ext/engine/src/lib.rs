//! A transactional, ordered key-value database over SQLite, with the file format and semantics of Deno KV.
//!
//! The engine knows nothing of JavaScript: a Rust program uses it alone, or beside scripts that have the same file open, under
//! OpenKV or Deno. What either stores the other reads.
//!
//! # Open, write, read
//!
//! A [`Database`] is open over a backend: [`sqlite::open`] opens one over an SQLite file, or in memory, and a [`Backend`] of
//! another crate keeps the entries elsewhere. Its methods return futures, for any executor; those named `..._blocking` wait.
//!
//! With the feature `denokv`, the module `denokv` puts the engine under Deno's own extension, `deno_kv`.
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
//! - [`Key`] is a sequence of typed [`KeyPart`]s in its stored, order-preserving form.
//! - [`Value`] is bytes, a 64-bit unsigned integer, or a value in V8's serialization format, as scripts store most. The module
//!   `v8` turns Rust's own types into such values, and back.
//! - [`AtomicWrite`] is what to commit as a whole or not at all: checks, mutations such as sums, and messages.
//! - [`Read`] is what to read in one snapshot, and a [`Selector`] a set of keys to list, with cursors that continue a listing.
//! - [`Options`](sqlite::Options) has the limits, the clock and the randomness, so that a test controls time.
//! - [`maintenance`] is what an operator does with a file: backups, checks, repairs.
//!
//! # Asynchronous programs
//!
//! Writes, watches and the queue wait, and so do the reads of a backend on another machine. Over SQLite, reads run on the
//! caller's thread, and take some microseconds where the page is in memory; a program that reads much from a cold disk does that
//! where it may block, such as in `spawn_blocking`.
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
//! A message is delivered at least once: one that nobody finished is delivered again, after a crash too.
//!
//! ```
//! use openkv_engine::sqlite::{self, Location, Options};
//! use openkv_engine::{AtomicWrite, Enqueue, Key};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), openkv_engine::Error> {
//! let database = sqlite::open(Location::Memory, Options::default())?;
//! // The text "hello" in V8's format. If it cannot be handled, it is left at a key.
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
//! # Why is it not ...?
//!
//! - **a server**: it is a library, and a database is a file on a local disk. Programs on one machine share a file; those on
//!   several do not. There are no users and no access rights but those of the file.
//! - **SQL**: there are keys and values, and no queries but ranges of keys.
//! - **interactive transactions**: a write names what must still hold, and is committed immediately or refused.
//! - **encrypted or compressed**: bytes are stored as they are given.
//! - **without limits**: keys, values and writes are bounded by [`Limits`], by default as those of Deno KV are. They may be
//!   raised, but then Deno does not write such entries.
//!
//! # Features
//!
//! - `bundled`, on by default: compiles SQLite into the program. Without it, the system's SQLite is linked, 3.40 or later.
//! - `serde`, on by default: the module `v8`.
//!
//! # Events
//!
//! What an operator looks for is an event of the crate `tracing`: at the level of debugging, that a database was opened or closed,
//! and each checkpoint; as a warning, a commit that took a second, a lock that another process holds for as long, a checkpoint that
//! failed, and a message that was given up.
//!
//! # Errors
//!
//! Every call returns [`Error`], and those of keys, values, versionstamps and conflicts become one by `?`. The texts are those of
//! Deno where it has one, and [`Error`] and [`FileProblem`] will have more variants. Structs that a program makes field by field,
//! such as [`AtomicWrite`], are what the file format has and will not grow with less than a new major version; those that are
//! made by methods may.

#![warn(missing_debug_implementations)]

mod backend;
mod clock;
mod commit_id;
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
mod random;
mod ranges;
mod read;
mod selector;
pub mod sqlite;
mod sum;
mod time;
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
pub use random::{Random, SystemRandom};
pub use read::{Entry, EntryRef, KeyEntry, OwnedRead, Read, ReadEntry, Visitor};
pub use selector::Selector;
pub use time::Time;
pub use value::{Value, ValueRef};
pub use versionstamp::{ParseVersionstampError, Versionstamp};
pub use watch::Watch;
pub use write::{AtomicWrite, Check, Commit, Conflict, Enqueue, Mutation, MutationKind, Operand, SumBounds};

/// Compiles the example of the readme.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
struct Readme;

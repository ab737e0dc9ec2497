//! A transactional, ordered key-value database over SQLite, with the file format and semantics of Deno KV.
//!
//! The engine knows nothing of JavaScript: a Rust program uses it alone, or beside scripts that have the same file open, under
//! OpenKV or Deno. What either stores the other reads.
//!
//! # Open, write, read
//!
//! [`Sqlite`](sqlite::Sqlite) is the database over one SQLite file, or in memory. Its methods wait for their answers, and the
//! trait [`Database`] has those that do not, and the rest.
//!
//! With the feature `denokv`, the module `denokv` puts the engine under Deno's own extension, `deno_kv`.
//!
//! ```
//! use openkv_engine::sqlite::{Location, Options, Sqlite};
//! use openkv_engine::{Key, Selector, Value};
//!
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let path = folder.path().join("kv.sqlite3");
//! let database = Sqlite::open(Location::file(path), Options::default())?;
//! let alice = Key::from(["users", "alice"]);
//! database.set(alice.clone(), Value::Bytes(b"any bytes".to_vec()))?;
//!
//! let entry = database.get(&alice)?.expect("it was set");
//! assert_eq!(entry.value, Some(Value::Bytes(b"any bytes".to_vec())));
//!
//! for entry in database.list(Selector::new(Some(&Key::from(["users"])), None, None)?) {
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
//! - [`sqlite::maintenance`] is what an operator does with a file: backups, checks, repairs.
//!
//! # Asynchronous programs
//!
//! Writes, watches and the queue answer with futures, for any executor. Reads run on the caller's thread, and take some
//! microseconds where the page is in memory; a program that reads much from a cold disk does that where it may block, such as
//! in `spawn_blocking`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use openkv_engine::sqlite::{Location, Options, Sqlite};
//! use openkv_engine::{AtomicWrite, Database, Key, Mutation, Value};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Arc::new(Sqlite::open(Location::Memory, Options::default())?);
//! let key = Key::from(["config"]);
//!
//! let mut watch = database.watch(&[key.clone()])?;
//! database.write(AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(1)))).await?;
//! assert!(watch.changed().await, "the database is open");
//!
//! let reader = database.clone();
//! let entry = tokio::task::spawn_blocking(move || reader.get(&key)).await??;
//! assert_eq!(entry.expect("it was set").value, Some(Value::U64(1)));
//!
//! database.close();
//! while watch.changed().await {}
//! # Ok(())
//! # }
//! ```
//!
//! # The queue
//!
//! A message is delivered at least once: one that nobody finished is delivered again, after a crash too.
//!
//! ```
//! use openkv_engine::sqlite::{Location, Options, Sqlite};
//! use openkv_engine::{AtomicWrite, Database, Enqueue, Key};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), openkv_engine::Error> {
//! let database = Sqlite::open(Location::Memory, Options::default())?;
//! // The text "hello" in V8's format. If it cannot be handled, it is left at a key.
//! let message = b"\xff\x0f\"\x05hello".to_vec();
//! let undelivered = vec![Key::from(["undelivered"])];
//! let enqueue = Enqueue { keys_if_undelivered: undelivered, ..Enqueue::new(message.clone()) };
//! database.write(AtomicWrite::new().enqueue(enqueue)).await?;
//!
//! for delivery in database.dequeue().await? {
//!     let handled = delivery.message == message;
//!     delivery.finish(handled).await?;
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
//! - **interactive transactions**: a write names what must still hold, and is committed at once or refused.
//! - **encrypted or compressed**: bytes are stored as they are given.
//! - **without limits**: keys, values and writes are bounded by [`Limits`], by default as those of Deno KV are. They may be
//!   raised, but then Deno does not write such entries.
//!
//! # Features
//!
//! - `bundled`, on by default: compiles SQLite into the program. Without it, the system's SQLite is linked, 3.40 or later.
//! - `serde`, on by default: the module `v8`.
//!
//! # Errors
//!
//! Every call answers [`Error`], or what it says. The texts are those of Deno where it has one, and [`Error`] and
//! [`FileProblem`] will have more variants. Structs that a program makes field by field, such as [`AtomicWrite`], are what the
//! file format has and will not grow with less than a new major version; those that are made by methods may.

mod clock;
mod database;
#[cfg(feature = "denokv")]
pub mod denokv;
mod error;
mod key;
mod limits;
mod random;
mod read;
mod selector;
pub mod sqlite;
#[cfg(feature = "serde")]
pub mod v8;
mod value;
mod versionstamp;
mod write;

pub use clock::{Clock, SystemClock};
pub use database::{Claim, Database, Delivery, Pending, Watch};
pub use error::{Error, FileProblem, Result};
pub use key::{Key, KeyError, KeyPart, KeyParts};
pub use limits::Limits;
pub use random::{Random, SystemRandom};
pub(crate) use read::OwnedRead;
pub use read::{Entry, EntryRef, Read, Visit};
pub use selector::Selector;
pub use value::{Value, ValueRef};
pub use versionstamp::{ParseVersionstampError, Versionstamp};
pub use write::{AtomicWrite, Check, Commit, Enqueue, Mutation, MutationKind, Operand};

/// Compiles the example of the readme.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
struct Readme;

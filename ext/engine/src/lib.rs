//! A transactional, ordered key-value database over SQLite, with the file format and semantics of Deno KV.
//!
//! The engine knows nothing of JavaScript. A host opens a [`Database`] and reads and writes plain data:
//!
//! - [`Key`]: a sequence of typed [`KeyPart`]s in their stored, order-preserving form.
//! - [`Value`]: bytes, a 64-bit unsigned integer, or a value in V8's serialization format.
//! - [`Versionstamp`]: the version that a commit gave to everything it wrote.
//! - [`Read`] and [`AtomicWrite`]: what to read in one snapshot, and what to commit as a whole or not at all.
//! - [`Selector`]: a set of keys to list, and the cursors that continue such a listing.
//!
//! [`sqlite::Sqlite`] is the database over one SQLite file, or in memory, and [`sqlite::maintenance`] is what an operator
//! does with such a file. Time and randomness come from the
//! [`Clock`] and the [`Random`] in its options, so that a test controls both.
//!
//! With the feature `denokv`, the module `denokv` puts the engine under Deno's own extension, `deno_kv`.
//!
//! ```
//! use openkv_engine::sqlite::{Location, Options, Sqlite};
//! use openkv_engine::{AtomicWrite, Database, Key, KeyPart, Mutation, Read, Value};
//!
//! let database = Sqlite::open(Location::Memory, Options::default())?;
//! let key = Key::from_parts(&[KeyPart::from("users"), KeyPart::from("alice")])?;
//!
//! let write = AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(7)));
//! let versionstamp = database.write_blocking(write)?.versionstamp();
//!
//! let entries = database.read_entries(&[Read::Key(&key)])?;
//! assert_eq!(entries[0][0].value, Some(Value::U64(7)));
//! assert_eq!(Some(entries[0][0].versionstamp), versionstamp);
//! # Ok::<(), openkv_engine::Error>(())
//! ```

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
pub use database::{Database, Delivery, Pending, Watch};
pub use error::{Error, FileProblem, Result};
pub use key::{Key, KeyError, KeyPart, KeyParts};
pub use limits::Limits;
pub use random::{Random, SystemRandom};
pub use read::{Entry, EntryRef, Read, Visit};
pub use selector::Selector;
pub use value::{Encoding, Value, ValueRef};
pub use versionstamp::{ParseVersionstampError, Versionstamp};
pub use write::{AtomicWrite, Check, Commit, Enqueue, Mutation, MutationKind, Operand};

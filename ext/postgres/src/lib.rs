//! A backend of the engine that stores entries in PostgreSQL.
//!
//! [`open`] opens the database of an [`Address`], a URL such as `postgres://app@db1,db2/shop`. All programs that open it share its
//! entries, its queue and its watches.
//!
//! ```no_run
//! use openkv_engine::{Key, Value};
//! use openkv_postgres::{Address, Options, open};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let address = Address::parse("postgres://app@db1,db2/shop")?;
//! let database = open(address, Options::default()).await?;
//! database.set(Key::from(["a"]), Value::U64(1)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - **Writes** that wait at the same time are committed in one transaction. Each is committed exactly once: if the reply to a commit
//!   is lost, the transaction is looked up over a new connection.
//! - **Versions** have the order of commits, whichever process makes them.
//! - **Expiry** and delays follow the clock of the primary.
//! - **Failover**: calls are retried for [`Options::retry_for`] on the hosts of the address, until one accepts writes.
//! - **Reads** with eventual consistency use a standby among the hosts, if it lags by no more than about a second.

#![warn(missing_debug_implementations)]

mod address;
mod backend;
mod clock;
#[cfg(all(unix, feature = "cluster"))]
pub mod cluster;
mod connection;
mod error;
mod listener;
mod notice;
mod options;
mod overlay;
mod password;
mod puts;
mod queue;
mod reads;
mod row;
mod schema;
mod session;
mod sql;
mod standby;
mod tls;
mod transaction;
mod writer;

use openkv_engine::{BoxFuture, Database, remote};

pub use address::{Address, AddressError, Host, is_address};
pub use error::{CallError, OpenError};
pub use options::Options;
pub use password::Environment;

/// Opens the database of an address. Its tables are created if they do not exist.
///
/// # Errors
/// [`Error::Connect`](openkv_engine::Error::Connect) if that fails, see [`OpenError`].
pub fn open(address: Address, options: Options) -> BoxFuture<Database> {
    let runtime = options.runtime.clone().map_or_else(remote::runtime, Ok);
    Box::pin(async move {
        let runtime = runtime?;
        let opening = runtime.clone();
        let opened = runtime.spawn(backend::open(address, options, opening)).await;
        opened.map_err(|_| CallError::Stopped)?
    })
}

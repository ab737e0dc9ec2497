//! The database file: its name, connections, schema, WAL and lifecycle.

pub(crate) mod checkpoint;
pub(crate) mod connection;
pub(crate) mod durability;
pub(crate) mod lifecycle;
pub(crate) mod lock;
pub(crate) mod open_file;
pub(crate) mod pinned;
pub(crate) mod schema;
pub(crate) mod snapshot;
pub(crate) mod snapshots;
#[cfg(unix)]
mod vfs;
mod wal;
pub(crate) mod wal_index;

//! The file: its names, its connections, its WAL, and when it is closed.

pub(crate) mod checkpoint;
pub(crate) mod connection;
pub(crate) mod durability;
pub(crate) mod lifecycle;
pub(crate) mod open_file;
pub(crate) mod pinned;
pub(crate) mod schema;
pub(crate) mod snapshot;
pub(crate) mod snapshots;
#[cfg(unix)]
mod vfs;
mod wal;
mod wal_index;

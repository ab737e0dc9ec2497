//! Tracks the length of the WAL, with the hook that SQLite calls after each commit. It replaces the default hook, which would run a
//! checkpoint within the commit.

use std::cell::Cell;

use rusqlite::Connection;

thread_local! {
    /// The length of the WAL after the last commit of this thread, in pages.
    static LENGTH: Cell<u32> = const { Cell::new(0) };
}

/// Tracks the WAL of a connection, and disables SQLite's automatic checkpoints.
pub(crate) fn watch(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        LENGTH.set(pages as u32);
        Ok(())
    }));
}

/// Returns the length of the WAL after the last commit of this thread, in pages.
pub(crate) fn length() -> u32 {
    LENGTH.get()
}

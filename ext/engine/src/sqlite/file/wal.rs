//! How long the WAL is, as SQLite says after each commit: by a hook, which else would run a checkpoint within the commit.

use std::cell::Cell;

use rusqlite::Connection;

thread_local! {
    /// The length after the last commit of this thread, in pages.
    static LENGTH: Cell<u32> = const { Cell::new(0) };
}

/// Watches the WAL of a connection, in place of SQLite's own checkpoints.
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

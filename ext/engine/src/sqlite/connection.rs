use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::transaction::Durability;
use super::{checkpoint, lifecycle, schema};
use crate::{Error, Result};

/// Statements that a connection keeps prepared: all that the engine has.
const STATEMENTS: usize = 32;

/// How much of a file a connection keeps in memory, in KiB. With SQLite's own 2 MiB, gets of one in 50,000 small entries take
/// half as long again.
const CACHE: i32 = 8 * 1024;

/// How long to sleep between two attempts to take a lock that another process holds, and how many attempts to make.
/// A commit holds the lock for about as long as a disk sync; SQLite's own waiting sleeps up to 100 ms at once, which
/// starves a process among many.
const LOCK_INTERVAL: Duration = Duration::from_millis(1);
const LOCK_ATTEMPTS: i32 = 60_000;

/// How many attempts to make for a lock that can be done without.
const BRIEF_LOCK_ATTEMPTS: i32 = 1000;

/// Does not create a file. One that is moved away while it is open may come back: an empty file in its place would make SQLite
/// delete the log.
const EXISTING: OpenFlags = OpenFlags::empty();

/// Opens a connection for reads and writes, and brings the file to the present format.
pub(super) fn open_writer(path: &Path, follow_links: bool) -> Result<Connection> {
    let connection = open(path, follow_links, OpenFlags::SQLITE_OPEN_CREATE)?;
    let prepare = || -> Result<()> {
        if connection.is_readonly(rusqlite::MAIN_DB)? {
            return schema::check(&connection);
        }
        // The log lets reads go on beside a write. It is synced by every commit that is acknowledged: that survives a
        // power failure.
        use_log(&connection)?;
        prepare_to_write(&connection)?;
        schema::migrate(&connection)
    };
    prepare().map_err(|error| error.opening(path))?;
    Ok(connection)
}

/// Opens a connection as [`open_writer`] does, where nothing is to be waited for: the file is there, in the present format,
/// nobody has it locked, and no log is left to be read. None for any other file, and any failure.
pub(super) fn open_writer_at_once(path: &Path, follow_links: bool) -> Option<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return None;
    }
    let connection = open_without_waiting(path, follow_links, EXISTING).ok()?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).ok()?;
    if mode != "wal" || connection.is_readonly(rusqlite::MAIN_DB).ok()? {
        return None;
    }
    schema::check(&connection).ok()?;
    connection.busy_handler(Some(wait_for_lock)).ok()?;
    prepare_to_write(&connection).ok()?;
    Some(connection)
}

/// Opens a connection for reads, to a file that a writer has open.
pub(super) fn open_reader(path: &Path, follow_links: bool) -> Result<Connection> {
    let connection = open(path, follow_links, EXISTING)?;
    connection.pragma_update(None, "query_only", true)?;
    keep_pages(&connection)?;
    Ok(connection)
}

/// Opens a connection for checkpoints, to a file that a writer has open.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection> {
    // The writer found the path to be as it is to be.
    let connection = open(path, true, EXISTING)?;
    Durability::Synced.apply(&connection)?;
    Ok(connection)
}

/// Opens a database in memory, for reads and writes.
pub(super) fn open_memory() -> Result<Connection> {
    let connection = Connection::open_in_memory()?;
    configure(&connection)?;
    schema::migrate(&connection)?;
    Ok(connection)
}

fn open(path: &Path, follow_links: bool, more: OpenFlags) -> Result<Connection> {
    let connection = open_without_waiting(path, follow_links, more)?;
    connection.busy_handler(Some(wait_for_lock))?;
    Ok(connection)
}

fn open_without_waiting(path: &Path, follow_links: bool, more: OpenFlags) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    flags.set(OpenFlags::SQLITE_OPEN_NOFOLLOW, !follow_links);
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|source| Error::Open { path: path.to_owned(), source: Arc::new(source) })?;
    // The binding sets a handler of its own.
    connection.busy_handler(None)?;
    configure(&connection)?;
    Ok(connection)
}

fn prepare_to_write(connection: &Connection) -> Result<()> {
    keep_pages(connection)?;
    checkpoint::take_over(connection);
    Durability::Synced.apply(connection)
}

/// Keeps pages in memory. Reads the file for that.
fn keep_pages(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -CACHE)
}

/// Keeps statements prepared, once and for all. Without the guarantee of a stable plan, SQLite plans each statement anew
/// whose limit is a parameter, for each value of it.
///
/// A file may come from anyone: what its schema wants to be done is not done.
pub(super) fn configure(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// Switches a file to the log. While others do the same, SQLite refuses at once, without asking the handler.
fn use_log(connection: &Connection) -> Result<()> {
    let mut attempts = 0;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal").map_err(Error::from) {
            Err(Error::Busy) if wait_for_lock(attempts) => attempts += 1,
            result => return result,
        }
    }
}

/// Does what waits for a lock, but for a second or so: it can do without.
pub(super) fn wait_briefly<T>(connection: &Connection, operation: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.busy_handler(Some(|attempts| wait_for_lock(attempts) && attempts < BRIEF_LOCK_ATTEMPTS))?;
    let result = operation(connection);
    connection.busy_handler(Some(wait_for_lock))?;
    result
}

/// Waits before another attempt to take a lock. Answers false after so many that it is not worth another.
pub(super) fn wait_for_lock(attempts: i32) -> bool {
    lifecycle::waits_for_lock(attempts);
    thread::sleep(LOCK_INTERVAL);
    attempts < LOCK_ATTEMPTS
}

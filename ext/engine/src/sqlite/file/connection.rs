use std::ffi::c_int;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::ReentrantMutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::sqlite::error::{IS_DIRECTORY, open_hint};
use crate::sqlite::file::durability::Durability;
use crate::sqlite::file::lifecycle;
use crate::sqlite::file::pinned::Pinned;
use crate::sqlite::file::schema;
use crate::sqlite::file::snapshot::Snapshot;
#[cfg(unix)]
use crate::sqlite::file::vfs;
use crate::sqlite::file::wal;
use crate::{Cause, Error, Result};

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

/// After how many attempts to log that a lock is waited for: a second or so.
const LOGGED_LOCK_ATTEMPTS: i32 = 1000 - 1;

/// How many attempts to make for a lock that can be done without.
const BRIEF_LOCK_ATTEMPTS: i32 = 1000;

/// Does not create a file. One that is moved away while it is open may come back: an empty file in its place would make SQLite
/// delete the WAL.
const EXISTING: OpenFlags = OpenFlags::empty();

/// A connection, with the name of its file: SQLite opens and deletes files by that name until the connection is closed.
pub(crate) struct FileConnection {
    // Dropped before the name.
    connection: Connection,
    /// The transaction of a connection for reads, which may stay open between them.
    snapshot: Option<Snapshot>,
    /// None for a database in memory.
    _file: Option<Arc<Pinned>>,
}

/// A connection for one thread at a time. The thread that reads may read again from within, as it does where a value
/// runs code of the host when it is decoded.
pub(crate) type SharedConnection = Arc<ReentrantMutex<FileConnection>>;

/// Shares a connection.
pub(crate) fn shared(connection: FileConnection) -> SharedConnection {
    Arc::new(ReentrantMutex::new(connection))
}

impl FileConnection {
    fn new(connection: Connection, file: Option<Arc<Pinned>>) -> Self {
        Self { connection, snapshot: None, _file: file }
    }

    /// Returns the transaction of its reads. None where it has no use for one that stays open.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Closes it. An error is that of a checkpoint, or of an unfinished statement.
    pub fn close(self) -> rusqlite::Result<()> {
        self.connection.close().map_err(|(_, error)| error)
    }
}

impl Deref for FileConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for FileConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Connects to a file by its pinned name. SQLite's message names the path that was asked for.
pub(crate) fn connect(file: &Arc<Pinned>, flags: OpenFlags) -> rusqlite::Result<FileConnection> {
    connect_by(file, &file.file(""), flags)
}

/// Connects as [`connect`] does, by a name that has the pinned one in it: a URI.
pub(crate) fn connect_by(file: &Arc<Pinned>, name: &Path, flags: OpenFlags) -> rusqlite::Result<FileConnection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    match connect_on_vfs(name, flags) {
        Ok(connection) => Ok(FileConnection::new(connection, Some(file.clone()))),
        Err(rusqlite::Error::SqliteFailure(code, Some(message))) => {
            let message = message.replace(&*name.to_string_lossy(), &file.path().to_string_lossy());
            Err(rusqlite::Error::SqliteFailure(code, Some(message)))
        }
        Err(error) => Err(error),
    }
}

fn connect_on_vfs(name: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    #[cfg(unix)]
    if let Some(vfs) = vfs::of(name) {
        return Connection::open_with_flags_and_vfs(name, flags, vfs);
    }
    Connection::open_with_flags(name, flags)
}

/// Opens a connection for reads and writes, and brings the file to the present format. Returns with it whether it writes to a
/// WAL: not to a file that may only be read, and not where the file system has no shared memory.
pub(crate) fn open_writer(file: &Arc<Pinned>) -> Result<(FileConnection, bool)> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_CREATE)?;
    let prepare = || -> Result<bool> {
        if connection.is_readonly(rusqlite::MAIN_DB)? {
            schema::check(&connection)?;
            return Ok(false);
        }
        schema::refuse_foreign(&connection)?;
        // The WAL lets reads go on beside a write. It is synced by every commit that is acknowledged: that survives a
        // power failure.
        let has_wal = use_wal(&connection)?;
        prepare_to_write(&connection)?;
        schema::migrate(&connection)?;
        Ok(has_wal)
    };
    let has_wal = prepare().map_err(|error| error.opening(file.path()))?;
    Ok((connection, has_wal))
}

/// Opens a connection as [`open_writer`] does, where nothing is to be waited for: the file is there, in the present format,
/// nobody has it locked, and no WAL is left to be read. None for any other file, and any failure.
pub(crate) fn try_open_writer(file: &Arc<Pinned>) -> Option<FileConnection> {
    if file.status("-wal").is_ok_and(|wal| wal.size > 0) {
        return None;
    }
    let connection = open_without_waiting(file, EXISTING).ok()?;
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
pub(crate) fn open_reader(file: &Arc<Pinned>) -> Result<FileConnection> {
    prepare_to_read(file, open(file, EXISTING)?)
}

/// Opens a connection as [`open_reader`] does, where nobody has the file locked.
pub(crate) fn try_open_reader(file: &Arc<Pinned>) -> Result<FileConnection> {
    let connection = prepare_to_read(file, open_without_waiting(file, EXISTING)?)?;
    connection.busy_handler(Some(wait_for_lock))?;
    Ok(connection)
}

/// Reads a little, so that SQLite opens the WAL as well.
fn prepare_to_read(file: &Pinned, mut connection: FileConnection) -> Result<FileConnection> {
    let read = connection.pragma_update(None, "query_only", true).and_then(|()| keep_pages(&connection));
    read.map_err(|error| Error::from(error).opening(file.path()))?;
    // SAFETY: it is dropped with the connection.
    connection.snapshot = unsafe { Snapshot::of(&connection.connection) };
    Ok(connection)
}

/// Opens a connection for checkpoints, to a file that a writer has open.
pub(crate) fn open_checkpointer(file: &Arc<Pinned>) -> Result<FileConnection> {
    let connection = open(file, EXISTING)?;
    sync_fully(&connection)?;
    Durability::Synced.apply(&connection)?;
    Ok(connection)
}

/// Opens a database in memory, for reads and writes.
pub(crate) fn open_memory() -> Result<FileConnection> {
    let connection = Connection::open_in_memory()?;
    configure(&connection)?;
    schema::migrate(&connection)?;
    Ok(FileConnection::new(connection, None))
}

fn open(file: &Arc<Pinned>, more: OpenFlags) -> Result<FileConnection> {
    let connection = open_without_waiting(file, more)?;
    connection.busy_handler(Some(wait_for_lock))?;
    Ok(connection)
}

fn open_without_waiting(file: &Arc<Pinned>, more: OpenFlags) -> Result<FileConnection> {
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE | more).map_err(|source| {
        let path = file.path();
        match source.sqlite_error_code() {
            // Whether it is a directory says the name that was opened: by now, the path may lead to what is none of the caller's.
            Some(ErrorCode::CannotOpen) => {
                let is_directory = file.status("").is_ok_and(|status| status.is_directory);
                Error::cannot_open(path, if is_directory { IS_DIRECTORY } else { open_hint() })
            }
            _ => Error::open(path, Cause::new(source)),
        }
    })?;
    // The binding sets a handler of its own.
    connection.busy_handler(None)?;
    configure(&connection)?;
    Ok(connection)
}

/// Whether the name of the file leads to another than the one that the connection has opened.
pub(crate) fn has_moved(connection: &Connection) -> bool {
    let mut moved: c_int = 0;
    // SAFETY: the handle is that of an open connection. SQLite writes an integer to where it is told to.
    let result = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_HAS_MOVED,
            (&raw mut moved).cast(),
        )
    };
    result == ffi::SQLITE_OK && moved != 0
}

fn prepare_to_write(connection: &Connection) -> Result<()> {
    keep_pages(connection)?;
    wal::watch(connection);
    sync_fully(connection)?;
    Durability::Synced.apply(connection)
}

/// Has a sync wait for the disk itself. On Apple's systems, it would only wait for the disk to have taken the data.
fn sync_fully(connection: &Connection) -> rusqlite::Result<()> {
    if cfg!(target_vendor = "apple") {
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    }
    Ok(())
}

/// Keeps pages in memory. Reads the file for that.
fn keep_pages(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -CACHE)
}

/// Keeps statements prepared, once and for all. Without the guarantee of a stable plan, SQLite plans each statement anew
/// whose limit is a parameter, for each value of it.
///
/// A file may come from anyone: what its schema wants to be done is not done.
pub(crate) fn configure(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// Switches a file to a WAL. While others do the same, SQLite refuses immediately, without asking the handler. Returns whether the
/// file has one.
fn use_wal(connection: &Connection) -> Result<bool> {
    let is_wal = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_str()? == "wal");
    let mut attempts = 0;
    loop {
        match connection.query_row("pragma journal_mode = wal", [], is_wal).map_err(Error::from) {
            Err(Error::Busy) if wait_for_lock(attempts) => attempts += 1,
            result => return result,
        }
    }
}

/// Does what waits for a lock, but for a second or so: it can do without.
pub(crate) fn wait_briefly<T>(connection: &Connection, operation: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.busy_handler(Some(|attempts| wait_for_lock(attempts) && attempts < BRIEF_LOCK_ATTEMPTS))?;
    let result = operation(connection);
    connection.busy_handler(Some(wait_for_lock))?;
    result
}

/// Waits before another attempt to take a lock. Returns false after so many that it is not worth another.
pub(crate) fn wait_for_lock(attempts: i32) -> bool {
    lifecycle::waits_for_lock(attempts);
    if attempts == LOGGED_LOCK_ATTEMPTS {
        tracing::warn!(attempts, "waiting for a lock that another process holds");
    }
    thread::sleep(LOCK_INTERVAL);
    attempts < LOCK_ATTEMPTS
}

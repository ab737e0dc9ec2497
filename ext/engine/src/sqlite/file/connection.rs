use std::ffi::c_int;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use parking_lot::ReentrantMutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::sqlite::error::{IS_DIRECTORY, open_hint};
use crate::sqlite::file::durability::Durability;
use crate::sqlite::file::lock;
use crate::sqlite::file::pinned::Pinned;
use crate::sqlite::file::schema;
use crate::sqlite::file::snapshot::Snapshot;
#[cfg(unix)]
use crate::sqlite::file::vfs;
use crate::sqlite::file::wal;
use crate::{Cause, Error, Result};

/// The capacity of the cache of prepared statements, which holds all statements of the engine.
const STATEMENTS: usize = 32;

/// The size of a connection's page cache, in KiB. With SQLite's default of 2 MiB, random gets among 50,000 small entries take 50%
/// longer.
const CACHE: i32 = 8 * 1024;

/// Does not create the file. A file that is moved away while it is open may come back: a new, empty file in its place would make
/// SQLite delete the WAL.
const EXISTING: OpenFlags = OpenFlags::empty();

/// A connection, and the name of its file, by which SQLite opens and deletes files until the connection is closed.
pub(crate) struct FileConnection {
    // Dropped before the name.
    connection: Connection,
    /// The transaction of a connection for reads, which may stay open between them.
    snapshot: Option<Snapshot>,
    /// `None` for a database in memory.
    _file: Option<Arc<Pinned>>,
}

/// A connection for one thread at a time. The lock is reentrant, because decoding a value may run code of the host, which may read
/// again.
pub(crate) type SharedConnection = Arc<ReentrantMutex<FileConnection>>;

/// Shares a connection.
pub(crate) fn shared(connection: FileConnection) -> SharedConnection {
    Arc::new(ReentrantMutex::new(connection))
}

impl FileConnection {
    fn new(connection: Connection, file: Option<Arc<Pinned>>) -> Self {
        Self { connection, snapshot: None, _file: file }
    }

    /// Returns the transaction of its reads, or `None` if the connection keeps none open.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Closes the connection. Returns the error of a checkpoint, or of an unfinished statement.
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

/// Opens a connection to a file by its pinned name. In SQLite's messages, that name is replaced by the requested path.
pub(crate) fn connect(file: &Arc<Pinned>, flags: OpenFlags) -> rusqlite::Result<FileConnection> {
    connect_by(file, &file.file(""), flags)
}

/// Opens a connection like [`connect`], by a URI that contains the pinned name.
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

/// Opens a connection for reads and writes, and migrates the file to the current format. Also returns whether it uses a WAL: a
/// read-only file does not, nor does one on a file system without shared memory.
pub(crate) fn open_writer(file: &Arc<Pinned>) -> Result<(FileConnection, bool)> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_CREATE)?;
    let prepare = || -> Result<bool> {
        if connection.is_readonly(rusqlite::MAIN_DB)? {
            schema::check(&connection)?;
            return Ok(false);
        }
        schema::reject_foreign(&connection)?;
        // The WAL allows reads during a write. Every acknowledged commit syncs it, and so survives a power failure.
        let has_wal = use_wal(&connection)?;
        prepare_to_write(&connection)?;
        schema::migrate(&connection)?;
        Ok(has_wal)
    };
    let has_wal = prepare().map_err(|error| error.opening(file.path()))?;
    Ok((connection, has_wal))
}

/// Opens a connection like [`open_writer`] if that takes no waiting: the file exists, in the current format, is not locked, and has
/// no WAL to recover. Returns `None` for any other file, and on any failure.
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
    connection.busy_handler(Some(lock::wait)).ok()?;
    prepare_to_write(&connection).ok()?;
    Some(connection)
}

/// Opens a read connection to a file that a writer has open.
pub(crate) fn open_reader(file: &Arc<Pinned>) -> Result<FileConnection> {
    prepare_to_read(file, open(file, EXISTING)?)
}

/// Opens a connection like [`open_reader`], but fails if the file is locked.
pub(crate) fn try_open_reader(file: &Arc<Pinned>) -> Result<FileConnection> {
    let connection = prepare_to_read(file, open_without_waiting(file, EXISTING)?)?;
    connection.busy_handler(Some(lock::wait))?;
    Ok(connection)
}

/// Makes a connection read-only, and reads from the file, so that SQLite opens the WAL as well.
fn prepare_to_read(file: &Pinned, mut connection: FileConnection) -> Result<FileConnection> {
    let read = connection.pragma_update(None, "query_only", true).and_then(|()| keep_pages(&connection));
    read.map_err(|error| Error::from(error).opening(file.path()))?;
    // SAFETY: it is dropped with the connection.
    connection.snapshot = unsafe { Snapshot::of(&connection.connection) };
    Ok(connection)
}

/// Opens a connection for checkpoints of a file that a writer has open.
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
    connection.busy_handler(Some(lock::wait))?;
    Ok(connection)
}

fn open_without_waiting(file: &Arc<Pinned>, more: OpenFlags) -> Result<FileConnection> {
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE | more).map_err(|source| {
        let path = file.path();
        match source.sqlite_error_code() {
            // Checked by the pinned name: the path may lead to another file by now, about which the error must reveal nothing.
            Some(ErrorCode::CannotOpen) => {
                let is_directory = file.status("").is_ok_and(|status| status.is_directory);
                Error::cannot_open(path, if is_directory { IS_DIRECTORY } else { open_hint() })
            }
            _ => Error::open(path, Cause::new(source)),
        }
    })?;
    // rusqlite sets a busy handler by default.
    connection.busy_handler(None)?;
    configure(&connection)?;
    Ok(connection)
}

/// Returns whether the name of the file no longer refers to the file that the connection has opened.
pub(crate) fn has_moved(connection: &Connection) -> bool {
    let mut moved: c_int = 0;
    // SAFETY: the connection is open, and SQLite writes an integer to the pointer.
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

/// Makes a sync wait for the storage medium. On Apple's systems, `fsync` waits only until the disk has received the data.
fn sync_fully(connection: &Connection) -> rusqlite::Result<()> {
    if cfg!(target_vendor = "apple") {
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    }
    Ok(())
}

/// Sets the size of the page cache, for which SQLite reads the file.
fn keep_pages(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -CACHE)
}

/// Configures the statement cache and the query planner: without the stability guarantee, SQLite prepares a statement again for
/// each value of a limit parameter.
///
/// Also disables triggers, views and functions in the schema, because a file may come from an untrusted source.
pub(crate) fn configure(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// Switches a file to WAL mode. Returns whether that succeeded. While another connection does the same, SQLite fails immediately,
/// without calling the busy handler.
fn use_wal(connection: &Connection) -> Result<bool> {
    let is_wal = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_str()? == "wal");
    let mut attempts = 0;
    loop {
        match connection.query_row("pragma journal_mode = wal", [], is_wal).map_err(Error::from) {
            Err(Error::Busy) if lock::wait(attempts) => attempts += 1,
            result => return result,
        }
    }
}

/// Runs an operation that waits for the lock of writers for at most about a second. Then wakes the next waiting process.
pub(crate) fn wait_briefly<T>(connection: &Connection, operation: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.busy_handler(Some(lock::wait_briefly))?;
    let result = operation(connection);
    lock::released();
    connection.busy_handler(Some(lock::wait))?;
    result
}

//! Opens an existing file, to read it without any change, or to write to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::sqlite::connection::{self, FileConnection};
use crate::sqlite::lock;
use crate::sqlite::pinned::Pinned;
use crate::sqlite::schema;
use crate::{Error, FileProblem, Result};

/// Resolves the path of a file that need not exist. All further access uses the returned name, so that links are followed only
/// once.
pub(super) fn resolve(path: &Path) -> Result<Arc<Pinned>> {
    match Pinned::resolve(path, true) {
        Ok(file) if file.status("").is_ok_and(|status| status.is_directory) => Err(FileProblem::Directory.of(path)),
        Ok(file) => Ok(Arc::new(file)),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(FileProblem::Directory.of(path)),
        Err(error) => Err(FileProblem::io(path)(error)),
    }
}

/// Resolves the path of an existing file.
pub(super) fn find(path: &Path) -> Result<Arc<Pinned>> {
    let file = resolve(path)?;
    file.status("").map_err(FileProblem::io(path))?;
    Ok(file)
}

/// Checks that a file has no hard links, by which other programs could use it.
pub(super) fn require_one_name(file: &Pinned) -> Result<()> {
    if file.status("").is_ok_and(|status| status.has_other_names) {
        return Err(FileProblem::HardLinks.of(file.path()));
    }
    Ok(())
}

/// Opens a file for reads. Neither the file nor its WAL is changed, not even when it is closed.
pub(super) fn open_reader(file: &Arc<Pinned>) -> Result<FileConnection> {
    let has_wal = file.status("-wal").is_ok_and(|wal| wal.size > 0);
    let connection = connect(file, &file.file(""), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare_to_read(&connection, has_wal)?;
    match first_read(&connection) {
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if matches!(failure.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly) =>
        {
            if has_wal {
                return Err(FileProblem::WalUnreadable.of(file.path()));
            }
            // SQLite cannot create a WAL in a read-only directory. Without one, the file does not change.
            drop(connection);
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let connection = connect(file, &immutable_uri(file), flags)?;
            prepare_to_read(&connection, false)?;
            Ok(connection)
        }
        // The next read returns any other error again, and handles it.
        _ => Ok(connection),
    }
}

/// Begins a read transaction, which reads one snapshot of the file.
pub(super) fn snapshot(connection: &Connection) -> Result<Transaction<'_>> {
    let snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    first_read(&snapshot)?;
    Ok(snapshot)
}

/// Opens a file for writes.
pub(super) fn open_writer(file: &Arc<Pinned>) -> Result<FileConnection> {
    require_one_name(file)?;
    let connection = connect(file, &file.file(""), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if connection.is_readonly(rusqlite::MAIN_DB)? { Err(FileProblem::ReadOnly.of(file.path())) } else { Ok(connection) }
}

/// Checks that the file has the current version of the format, and no foreign objects.
pub(super) fn require_current(connection: &Connection, path: &Path) -> Result<()> {
    schema::reject_foreign(connection).map_err(|error| error.of(path))?;
    match schema::version(connection)? {
        schema::KNOWN => Ok(()),
        found if found > schema::KNOWN => Err(Error::NewerFormat { found, known: schema::KNOWN }),
        0 => Err(FileProblem::NotKv.of(path)),
        found => Err(FileProblem::OlderFormat { found, known: schema::KNOWN }.of(path)),
    }
}

fn connect(file: &Arc<Pinned>, name: &Path, flags: OpenFlags) -> Result<FileConnection> {
    let connection = connection::connect_by(file, name, flags).map_err(|error| {
        // The error of the operating system is more precise.
        match access(&file.file("")) {
            Err(error) => FileProblem::io(file.path())(error),
            Ok(()) => Error::from(error),
        }
    })?;
    connection::configure(&connection)?;
    connection.busy_handler(Some(lock::wait))?;
    Ok(connection)
}

/// Checks whether a file can be read, without opening it: closing it again would drop the locks of this process.
#[cfg(unix)]
fn access(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::READ_OK)?)
}

#[cfg(not(unix))]
fn access(path: &Path) -> io::Result<()> {
    std::fs::File::open(path).map(drop)
}

fn prepare_to_read(connection: &Connection, has_wal: bool) -> Result<()> {
    connection.pragma_update(None, "query_only", true)?;
    // By default, the last connection checkpoints the WAL when it is closed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_wal)?;
    // Detects a corrupt page when it is read, rather than later by its effects.
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

fn first_read(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))
}

fn immutable_uri(file: &Pinned) -> PathBuf {
    let mut uri = "file://".to_owned();
    for byte in file.file("").as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

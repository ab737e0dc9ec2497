//! Opens a file that is there: to read it and change nothing, or to work on it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::sqlite::{connection, schema};
use crate::{Error, FileProblem, Result};

/// Opens a file to read it. Neither the file nor its log is changed, not even by closing it.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let log = beside(path, "-wal");
    let logged = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let connection = connect(path, path.as_os_str(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare_to_read(&connection, logged)?;
    match first_read(&connection) {
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if matches!(failure.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly) =>
        {
            if logged {
                return Err(FileProblem::LogUnreadable.of(path));
            }
            // SQLite cannot make the log in such a folder. Without a log, nobody writes: the file is as it is.
            drop(connection);
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let connection = connect(path, OsStr::new(&immutable_uri(path)?), flags)?;
            prepare_to_read(&connection, false)?;
            Ok(connection)
        }
        // What else fails comes back with the next read, which knows what to make of it.
        _ => Ok(connection),
    }
}

/// Begins to read one state of a file, whatever others write meanwhile.
pub(super) fn snapshot(connection: &Connection) -> Result<Transaction<'_>> {
    let snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    first_read(&snapshot)?;
    Ok(snapshot)
}

/// Opens a file to change it.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    let connection = connect(path, path.as_os_str(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    match connection.is_readonly(rusqlite::MAIN_DB)? {
        true => Err(FileProblem::ReadOnly.of(path)),
        false => Ok(connection),
    }
}

/// Finds the file to have the present version of the format.
pub(super) fn require_present(connection: &Connection, path: &Path) -> Result<()> {
    match schema::version(connection)? {
        schema::KNOWN => Ok(()),
        found if found > schema::KNOWN => Err(Error::NewerFormat { found, known: schema::KNOWN }),
        0 => Err(FileProblem::NotKv.of(path)),
        found => Err(FileProblem::OlderFormat { found, known: schema::KNOWN }.of(path)),
    }
}

/// Finds a file to be there, for a text that is better than SQLite's.
pub(super) fn require_file(path: &Path) -> Result<()> {
    match fs::metadata(path).map_err(FileProblem::io(path))?.is_dir() {
        true => Err(FileProblem::Folder.of(path)),
        false => Ok(()),
    }
}

/// The file of a name that SQLite keeps beside a database. That is beside the file, not beside a link to it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.into_os_string();
    name.push(suffix);
    name.into()
}

fn connect(path: &Path, name: &OsStr, flags: OpenFlags) -> Result<Connection> {
    require_file(path)?;
    let connection = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|error| {
        // The operating system says why.
        match fs::File::open(path) {
            Err(error) => FileProblem::io(path)(error),
            Ok(_) => Error::from(error),
        }
    })?;
    connection::configure(&connection)?;
    connection.busy_handler(Some(connection::wait_for_lock))?;
    Ok(connection)
}

fn prepare_to_read(connection: &Connection, logged: bool) -> Result<()> {
    connection.pragma_update(None, "query_only", true)?;
    // The last one to close a file would merge its log into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, logged)?;
    // Finds damage where it is, rather than what it leads to.
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

fn first_read(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))
}

fn immutable_uri(path: &Path) -> Result<String> {
    let path = path.canonicalize().map_err(FileProblem::io(path))?;
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    Ok(uri)
}

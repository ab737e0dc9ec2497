use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Conflict, KeyError, ParseVersionstampError};

/// The result of a call to the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The errors of the engine. Their messages are those of Deno where it has the same error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key to write has no parts.
    #[error("key cannot be empty")]
    EmptyKey,
    /// A key part cannot be encoded, or a stored key is corrupt.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A string is not a versionstamp.
    #[error(transparent)]
    Versionstamp(#[from] ParseVersionstampError),
    /// A key to write is longer than the limit, in encoded form.
    #[error("Key too large for write (max {max} bytes)")]
    KeyTooLargeToWrite {
        /// The limit in bytes.
        max: usize,
    },
    /// A key to read, or a bound of a range, is longer than the limit, in encoded form.
    #[error("Key too large for read (max {max} bytes)")]
    KeyTooLargeToRead {
        /// The limit in bytes.
        max: usize,
    },
    /// A value is longer than the limit.
    #[error("Value too large (max {max} bytes)")]
    ValueTooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// A queue message is longer than the limit.
    #[error("enqueue payload too large (max {max} bytes)")]
    MessageTooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// A read has more ranges than the limit.
    #[error("Too many ranges (max {max})")]
    TooManyRanges {
        /// The limit in ranges.
        max: usize,
    },
    /// A read requests more entries than the limit.
    #[error("Too many entries (max {max})")]
    TooManyEntries {
        /// The limit in entries.
        max: usize,
    },
    /// A write has more checks than the limit.
    #[error("Too many checks (max {max})")]
    TooManyChecks {
        /// The limit in checks.
        max: usize,
    },
    /// A write has more mutations and messages than the limit.
    #[error("Too many mutations (max {max})")]
    TooManyMutations {
        /// The limit in mutations.
        max: usize,
    },
    /// A watch has more keys than the limit.
    #[error("Too many keys (max {max})")]
    TooManyKeys {
        /// The limit in keys.
        max: usize,
    },
    /// The total size of the keys and values of a write exceeds the limit.
    #[error("Total mutation size too large (max {max} bytes)")]
    WriteTooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// The total size of the keys of a write exceeds the limit.
    #[error("Total key size too large (max {max} bytes)")]
    KeysTooLarge {
        /// The limit in bytes.
        max: usize,
    },

    /// The start of a selector is outside its prefix.
    #[error("Start key is not in the keyspace defined by prefix")]
    StartOutsidePrefix,
    /// The end of a selector is outside its prefix.
    #[error("End key is not in the keyspace defined by prefix")]
    EndOutsidePrefix,
    /// The start of a selector is after its end.
    #[error("Start key is greater than end key")]
    StartAfterEnd,
    /// A selector has neither a prefix nor a start.
    #[error("Invalid range")]
    IncompleteSelector,
    /// A cursor is not URL-safe base64.
    #[error("invalid cursor")]
    InvalidCursor,
    /// A cursor belongs to another selector.
    #[error("cursor out of bounds")]
    CursorOutOfBounds,
    /// A cursor was requested for a key that the selector does not contain.
    #[error("Invalid boundary key")]
    KeyOutsideSelector,

    /// The operand of sum, min or max is not a 64-bit unsigned integer.
    #[error("Failed to perform '{operation}' mutation on a non-U64 operand")]
    OperandNotU64 {
        /// "sum", "min" or "max".
        operation: &'static str,
    },
    /// The stored value for sum, min or max is not a 64-bit unsigned integer.
    #[error("Failed to perform '{operation}' mutation on a non-U64 value in the database")]
    StoredNotU64 {
        /// "sum", "min" or "max".
        operation: &'static str,
    },

    /// The operand of a sum is not numeric.
    #[error("Some of the parameters are not valid V8 values")]
    OperandNotNumeric,
    /// The stored value for a sum is not numeric.
    #[error("unsupported value type")]
    StoredNotNumeric,
    /// The operand of a sum and the stored value are of different types.
    #[error("Cannot sum {stored} with {operand}")]
    OperandKindMismatch {
        /// The type of the stored value.
        stored: &'static str,
        /// The type of the operand.
        operand: &'static str,
    },
    /// A bound of a sum has a different type than the operand.
    #[error("Min/max parameters have different types than the operand")]
    BoundKindMismatch,
    /// A sum is outside its bounds.
    #[error("The result of a Sum operation would exceed its range limit")]
    SumOutOfRange,

    /// Checks of a write failed. Not returned by calls to a database: converted from the error of
    /// [`Commit::into_result`](crate::Commit::into_result).
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A value could not be converted from or to a Rust type.
    #[cfg(feature = "serde")]
    #[error(transparent)]
    Value(#[from] crate::v8::Error),
    /// A call from within a visit would have to wait for the end of the visit, which is a deadlock.
    #[error("a blocking call within a visit would deadlock: make it after the visit")]
    WaitInVisit,
    /// The database was closed.
    #[error("Database is closed.")]
    Closed,
    /// A write to a read-only file.
    #[error("Can not write to a read-only database.")]
    ReadOnly,
    /// The file has a newer version of the format than this program supports.
    #[error(
        "the database file has format version {found}, and this program supports versions up to {known}: use a newer one"
    )]
    NewerFormat {
        /// The version in the file.
        found: i64,
        /// The newest supported version.
        known: i64,
    },
    /// A stored value is corrupt, or of an unknown encoding.
    #[error(
        "a stored value of {len} bytes has encoding {encoding}, which is unknown or does not fit: the file is corrupt or newer than this program"
    )]
    CorruptValue {
        /// The encoding in the file.
        encoding: i64,
        /// The length of the value in bytes.
        len: usize,
    },
    /// The last commit has the greatest possible version, which only a corrupt file has.
    #[error("the database has no versions left for further commits: the file is corrupt")]
    NoVersionLeft,
    /// Another process held the database for longer than the engine waits.
    #[error("the database is locked by another process")]
    Busy,
    /// The file could not be opened as a database.
    #[error("{message}")]
    Open {
        /// The requested file.
        path: PathBuf,
        /// The message, with the path.
        message: String,
        /// The error of SQLite or the operating system.
        source: Cause,
    },
    /// The stored data is inconsistent: another program wrote to the file, or the disk lost data.
    #[error("the database is corrupt: {0}: check it, and restore it from a backup")]
    Corrupt(#[source] Cause),
    /// The disk has no space for a write. Nothing was stored.
    #[error("the disk is full: {0}")]
    Full(#[source] Cause),
    /// The file was deleted, moved or replaced while it was open. Further writes would be lost.
    #[error("the database file was deleted or moved while it was open: {}", path.display())]
    Moved {
        /// The file that was opened.
        path: PathBuf,
    },
    /// The WAL of the database or its index was deleted or replaced while it was open. Further writes would be lost, and are
    /// rejected. The file can be opened again once all databases that have it open are closed.
    #[error(
        "{} was deleted or replaced while the database was open, and writes are no longer possible: {}: close the database, and \
         open it again",
        path.display(),
        if *is_saved { "all earlier writes are saved" } else { "earlier writes may be lost" }
    )]
    Displaced {
        /// The path of the WAL or its index.
        path: PathBuf,
        /// Whether all earlier writes are saved in the database file.
        is_saved: bool,
    },
    /// It is unknown whether a write was committed: the storage, or the connection to it, failed before it confirmed the commit.
    #[error("the outcome of the write is unknown: {0}: read the entries before you write them again")]
    OutcomeUnknown(#[source] Arc<Error>),
    /// A remote database could not be opened. The message includes its URL.
    #[error("{0}")]
    Connect(#[source] Cause),
    /// The host denied the call, for example for lack of a permission.
    #[error("{0}")]
    Denied(#[source] Cause),
    /// The backend does not support the operation.
    #[error("{backend} cannot {what}")]
    Unsupported {
        /// The name of the backend.
        backend: &'static str,
        /// The operation, such as "watch keys".
        what: &'static str,
    },
    /// The file has an object on the tables of the format that is not part of it. SQLite would run it with reads and writes.
    #[error("{}", FileProblem::Foreign(object.clone()))]
    ForeignObject {
        /// The kind and the name of the object.
        object: String,
    },
    /// A file cannot be used for the call.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem of the file.
        problem: FileProblem,
    },
    /// SQLite or the disk failed.
    #[error("the database failed: {0}")]
    Storage(#[source] Cause),
    /// A thread could not be started.
    #[error("unable to start the database's writer thread: {0}")]
    Thread(#[source] Arc<std::io::Error>),
}

/// The error of a backend.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn std::error::Error + Send + Sync>);

impl Cause {
    /// Wraps an error of a backend.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// Returns the error of the backend.
    pub fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Why a file cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The file does not exist.
    #[error("no such file")]
    Missing,
    /// The path is a directory.
    #[error("this is a directory, not a file")]
    Directory,
    /// The file to create already exists.
    #[error("the file already exists")]
    Exists,
    /// The file to write is the file to read.
    #[error("this is the file to read from")]
    Same,
    /// A file to create or replace has a WAL, which SQLite would apply to the new file.
    #[error(
        "its WAL {} exists, so a program has the file open or did not close it: choose another name",
        wal.display()
    )]
    WalLeft {
        /// The WAL.
        wal: PathBuf,
    },
    /// The WAL contains commits, but cannot be read in a read-only directory.
    #[error("its WAL cannot be read in a directory that is not writable: copy the file and its WAL elsewhere")]
    WalUnreadable,
    /// The file has several names. SQLite keeps a WAL per name: programs that use different names do not see each other's writes,
    /// and corrupt the file.
    #[error(
        "this file has hard links, and opening it by two names would corrupt it: remove the other names, or copy it"
    )]
    HardLinks,
    /// The file contains an object that is not part of the format. SQLite would run it with reads and writes.
    #[error("the file contains an object that is not part of the Deno KV format, {0}: drop it, or salvage the file")]
    Foreign(String),
    /// Another process has the file open.
    #[error("another process has it open: stop it first")]
    InUse,
    /// The file is read-only.
    #[error("this file is read-only")]
    ReadOnly,
    /// The file is not an SQLite database, or its first page is corrupt.
    #[error("this is not an SQLite database, or its first page is corrupt")]
    NotADatabase,
    /// The file is an SQLite database without the tables of Deno KV.
    #[error("this is an SQLite database, but not a Deno KV database")]
    NotKv,
    /// The file has an older version of the format, which opening it migrates.
    #[error("this file has format version {found} instead of {known}: open it once in a script, which updates it")]
    OlderFormat {
        /// The version in the file.
        found: i64,
        /// The current version.
        known: i64,
    },
    /// The file is corrupt.
    #[error("the file is corrupt: {0}")]
    Corrupt(String),
    /// The disk has no space for the file.
    #[error("the disk is full")]
    DiskFull,
    /// The operating system returned an error.
    #[error("{0}")]
    Io(#[source] Arc<std::io::Error>),
}

impl FileProblem {
    /// Returns the error for a file with this problem.
    pub(crate) fn of(self, path: &Path) -> Error {
        Error::File { path: path.to_owned(), problem: self }
    }

    /// Returns a function that converts an error of the operating system for a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |error| {
            let problem = match error.kind() {
                ErrorKind::NotFound => FileProblem::Missing,
                ErrorKind::AlreadyExists => FileProblem::Exists,
                ErrorKind::StorageFull => FileProblem::DiskFull,
                _ => FileProblem::Io(Arc::new(error)),
            };
            problem.of(&path)
        }
    }
}

impl Error {
    /// Returns whether the storage failed or is corrupt, as opposed to an invalid call.
    pub fn is_failure(&self) -> bool {
        match self {
            Error::Open { .. }
            | Error::Busy
            | Error::Corrupt(_)
            | Error::Full(_)
            | Error::Moved { .. }
            | Error::Displaced { .. }
            | Error::OutcomeUnknown(_)
            | Error::ForeignObject { .. }
            | Error::File { .. }
            | Error::Storage(_)
            | Error::Thread(_)
            | Error::NewerFormat { .. }
            | Error::CorruptValue { .. }
            | Error::NoVersionLeft => true,
            Error::Key(error) => error.is_corruption(),
            _ => false,
        }
    }

    /// Returns whether the call exceeds the [`Limits`](crate::Limits).
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Error::KeyTooLargeToWrite { .. }
                | Error::KeyTooLargeToRead { .. }
                | Error::ValueTooLarge { .. }
                | Error::MessageTooLarge { .. }
                | Error::TooManyRanges { .. }
                | Error::TooManyEntries { .. }
                | Error::TooManyChecks { .. }
                | Error::TooManyMutations { .. }
                | Error::TooManyKeys { .. }
                | Error::WriteTooLarge { .. }
                | Error::KeysTooLarge { .. }
        )
    }

    /// Returns whether a retry may succeed: the storage failed or is full, or is locked by another process.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Busy | Error::Full(_) | Error::Storage(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{self, Location, Options};
    use crate::{Key, Read, ReadOptions, Value, Versionstamp};

    #[test]
    fn is_limit_is_true_for_errors_of_limits_only() {
        let database = sqlite::open(Location::Memory, Options::default()).unwrap();
        let long = Key::from(["a".repeat(3000).as_str()]);
        assert!(database.get_blocking(&long).unwrap_err().is_limit());
        assert!(database.set_blocking(long, Value::U64(1)).unwrap_err().is_limit());
        let large = database.set_blocking(Key::from(["a"]), Value::Bytes(vec![0; 1 << 17]));
        assert!(large.unwrap_err().is_limit());
        let key = Key::from(["a"]);
        let reads = futures_executor::block_on(database.read(&[Read::Key(&key); 11], ReadOptions::default()));
        assert!(reads.unwrap_err().is_limit());
        assert!(!database.set_blocking(Key::new(), Value::U64(1)).unwrap_err().is_limit());
        database.close();
        assert!(!database.get_blocking(&key).unwrap_err().is_limit());
    }

    #[test]
    fn every_error_of_the_crate_converts_to_this_one() {
        fn all() -> Result<()> {
            let _: Versionstamp = "0".repeat(20).parse()?;
            Key::from_parts(&["a".into()])?;
            #[cfg(feature = "serde")]
            Value::encode("a")?.decode::<String>()?;
            Err(Conflict { failed: vec![2] })?
        }
        assert!(matches!(all(), Err(Error::Conflict(Conflict { failed })) if failed == [2]));
    }
}

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Conflict, KeyError, ParseVersionstampError};

/// The result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that a call to the engine can answer instead of a result. The texts are those of Deno
/// wherever it has one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of a write without parts.
    #[error("key cannot be empty")]
    EmptyKey,
    /// A key part that has no encoded form, or a stored key that no version of the format writes.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A text that is no versionstamp.
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
    /// More ranges in one read than the limit.
    #[error("Too many ranges (max {max})")]
    TooManyRanges {
        /// The limit in ranges.
        max: usize,
    },
    /// More entries asked for in one read than the limit.
    #[error("Too many entries (max {max})")]
    TooManyEntries {
        /// The limit in entries.
        max: usize,
    },
    /// More checks in one write than the limit.
    #[error("Too many checks (max {max})")]
    TooManyChecks {
        /// The limit in checks.
        max: usize,
    },
    /// More mutations and messages in one write than the limit.
    #[error("Too many mutations (max {max})")]
    TooManyMutations {
        /// The limit in mutations.
        max: usize,
    },
    /// More keys in one watch than the limit.
    #[error("Too many keys (max {max})")]
    TooManyKeys {
        /// The limit in keys.
        max: usize,
    },
    /// The keys and values of one write are longer together than the limit.
    #[error("Total mutation size too large (max {max} bytes)")]
    WriteTooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// The keys of one write are longer together than the limit.
    #[error("Total key size too large (max {max} bytes)")]
    KeysTooLarge {
        /// The limit in bytes.
        max: usize,
    },

    /// The start of a selector lies outside its prefix.
    #[error("Start key is not in the keyspace defined by prefix")]
    StartOutsidePrefix,
    /// The end of a selector lies outside its prefix.
    #[error("End key is not in the keyspace defined by prefix")]
    EndOutsidePrefix,
    /// The start of a selector lies after its end.
    #[error("Start key is greater than end key")]
    StartAfterEnd,
    /// A selector that names neither a prefix nor a start.
    #[error("Invalid range")]
    IncompleteSelector,
    /// A cursor that is not URL-safe base64.
    #[error("invalid cursor")]
    InvalidCursor,
    /// A cursor that was made for another selector.
    #[error("cursor out of bounds")]
    CursorOutOfBounds,
    /// A cursor was asked for a key that the selector does not hold.
    #[error("Invalid boundary key")]
    KeyOutsideSelector,

    /// Sum, min or max with something else than a 64-bit unsigned integer.
    #[error("Failed to perform '{operation}' mutation on a non-U64 operand")]
    OperandNotU64 {
        /// "sum", "min" or "max".
        operation: &'static str,
    },
    /// Sum, min or max of a key that holds something else than a 64-bit unsigned integer.
    #[error("Failed to perform '{operation}' mutation on a non-U64 value in the database")]
    StoredNotU64 {
        /// "sum", "min" or "max".
        operation: &'static str,
    },

    /// A sum with an operand that is no number of any kind.
    #[error("Some of the parameters are not valid V8 values")]
    OperandNotNumeric,
    /// A sum with a stored value that is no number of any kind.
    #[error("unsupported value type")]
    StoredNotNumeric,
    /// A sum of numbers of two kinds.
    #[error("Cannot sum {stored} with {operand}")]
    OperandKindMismatch {
        /// The kind of the stored value.
        stored: &'static str,
        /// The kind of the operand.
        operand: &'static str,
    },
    /// A sum with a bound of another kind than its operand.
    #[error("Min/max parameters have different types than the operand")]
    BoundKindMismatch,
    /// A sum outside of its bounds.
    #[error("The result of a Sum operation would exceed its range limit")]
    SumOutOfRange,

    /// Checks of a write did not hold: what [`Commit::into_result`](crate::Commit::into_result) makes of that. No call to a database
    /// returns it.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A value could not be encoded, or decoded, as a type of Rust's.
    #[cfg(feature = "serde")]
    #[error(transparent)]
    Value(#[from] crate::v8::Error),
    /// A call from within a visit of a read would have to wait, which in memory would be to wait for the end of the visit.
    #[error("a blocking call that must wait was made from within a visit of a read: make it after the visit")]
    WaitInVisit,
    /// The database was closed.
    #[error("Database is closed.")]
    Closed,
    /// A write to a database whose file may only be read.
    #[error("Can not write to a read-only database.")]
    ReadOnly,
    /// The file was written by a later version of the format than this one knows.
    #[error(
        "the database file has format version {found}, and this program knows versions up to {known}: use a newer one"
    )]
    NewerFormat {
        /// The version in the file.
        found: i64,
        /// The last version known here.
        known: i64,
    },
    /// A stored value that no version of the format writes.
    #[error(
        "a stored value of {len} bytes has encoding {encoding}, which is unknown or does not fit: the file is damaged or newer than this program"
    )]
    CorruptValue {
        /// The encoding in the file.
        encoding: i64,
        /// The length of the value in bytes.
        len: usize,
    },
    /// The last commit has the greatest version there is, as no file has that programs wrote.
    #[error("the database has no version left for another commit: the file is damaged")]
    NoVersionLeft,
    /// Another process held the database for longer than the engine waits.
    #[error("the database is locked by another process")]
    Busy,
    /// The file could not be opened as a database.
    #[error("{message}")]
    Open {
        /// The file asked for.
        path: PathBuf,
        /// What is wrong, and with which file.
        message: String,
        /// What SQLite or the operating system returned.
        source: Cause,
    },
    /// What is stored contradicts itself: something else than the engine wrote to the file, or the disk lost some of it.
    #[error("the database is damaged: {0}: check it, and restore it from a backup")]
    Corrupt(#[source] Cause),
    /// There is no space for what was to be written. Nothing of it was stored.
    #[error("the disk is full: {0}")]
    Full(#[source] Cause),
    /// The file was deleted, or moved, or replaced by another while it was open. What is written would be lost.
    #[error("the database file was deleted or moved while it was open: {}", path.display())]
    Moved {
        /// The file that was opened.
        path: PathBuf,
    },
    /// The WAL of the database or its index was deleted or replaced while it was open. What is written would be lost, so nothing
    /// is. Once all databases that have the file open are closed, it can be opened again.
    #[error(
        "{} was deleted or replaced while the database was open, so nothing is written any more: {}: close the database, and \
         open it again",
        path.display(),
        if *is_saved { "what was written before is saved" } else { "what was written before may be lost" }
    )]
    Displaced {
        /// The file beside the database.
        path: PathBuf,
        /// Whether all that was written before is in the database.
        is_saved: bool,
    },
    /// Whether a write was committed is not known: the storage failed, or the connection to it, before it said so.
    #[error("it is not known whether this was stored: {0}: read it before you write it again")]
    OutcomeUnknown(#[source] Arc<Error>),
    /// A database on another machine could not be opened. The message names its URL.
    #[error("{0}")]
    Connect(#[source] Cause),
    /// The program, or the server of a database, does not allow what was asked for.
    #[error("{0}")]
    Denied(#[source] Cause),
    /// What was asked for is not what this backend can do.
    #[error("{backend} cannot {what}")]
    Unsupported {
        /// The name of the backend.
        backend: &'static str,
        /// What it was to do, as "watch keys".
        what: &'static str,
    },
    /// The file has something on the tables of the format that the format has not. It would be run with reads and writes.
    #[error("{}", FileProblem::Foreign(object.clone()))]
    ForeignObject {
        /// The kind and the name of the object.
        object: String,
    },
    /// A file is not what the call needs.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// SQLite or the disk failed.
    #[error("the database failed: {0}")]
    Storage(#[source] Cause),
    /// The operating system refused to start the writer's thread.
    #[error("unable to start the database's writer thread: {0}")]
    Thread(#[source] Arc<std::io::Error>),
}

/// What a backend returned, as it words it.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn std::error::Error + Send + Sync>);

impl Cause {
    /// The cause that an error of a backend is.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// The error of the backend.
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

/// Why a file cannot be worked on, or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// Nothing has the name.
    #[error("there is no such file")]
    Missing,
    /// A directory has the name.
    #[error("this is a directory, not a file")]
    Directory,
    /// A file that is to be made is there already.
    #[error("there is a file already")]
    Exists,
    /// The file to write is the one to read.
    #[error("this is the file to read from")]
    Same,
    /// A WAL stands beside a file that is to be made or replaced. It would be taken for a part of the new one.
    #[error(
        "its WAL {} exists, so a program has the file open or did not close it: choose another name",
        wal.display()
    )]
    WalLeft {
        /// The WAL.
        wal: PathBuf,
    },
    /// The WAL holds commits, but cannot be read where it is.
    #[error("its WAL cannot be read in a directory that is not writable: copy the file and its WAL elsewhere")]
    WalUnreadable,
    /// The file has several names. SQLite keeps a WAL for each name: what is written by one is not seen by the other, and the file
    /// is damaged.
    #[error(
        "this file has hard links, and opened by two names it would be damaged: remove the other names, or copy it"
    )]
    HardLinks,
    /// Something in the file is not of the format, and would be run with reads and writes.
    #[error("the file has an object that is not of Deno KV, {0}: remove it, or salvage the file")]
    Foreign(String),
    /// Another process has the file open.
    #[error("another process has it open: stop it first")]
    InUse,
    /// The file may be read only.
    #[error("this file may not be written")]
    ReadOnly,
    /// Something else than a SQLite database, or one whose first page is damaged.
    #[error("this is not a SQLite database, or its first page is damaged")]
    NotADatabase,
    /// A SQLite database with other tables.
    #[error("this is a SQLite database, but not one of Deno KV")]
    NotKv,
    /// An early version of the format, which opening brings to the present one.
    #[error("this file has format version {found} instead of {known}: open it once in a script, which updates it")]
    OlderFormat {
        /// The version in the file.
        found: i64,
        /// The present version.
        known: i64,
    },
    /// What was found in the file is not what was written there.
    #[error("the file is damaged: {0}")]
    Corrupt(String),
    /// The disk has no room for the file.
    #[error("the disk is full")]
    DiskFull,
    /// The operating system refused.
    #[error("{0}")]
    Io(#[source] Arc<std::io::Error>),
}

impl FileProblem {
    /// The problem of a file.
    pub(crate) fn of(self, path: &Path) -> Error {
        Error::File { path: path.to_owned(), problem: self }
    }

    /// What the operating system answered about a file.
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
    /// Whether the storage failed or is damaged, as against a call that asks for what cannot be, or came too late.
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

    /// Whether the call asks for more than [`Limits`](crate::Limits) allow.
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

    /// Whether the same call may succeed later: the storage failed or is full, or another process kept it locked.
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
    fn errors_of_limits_are_told_from_others() {
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
    fn every_error_of_the_crate_becomes_this_one() {
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

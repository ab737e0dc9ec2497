//! Converts errors of SQLite and the operating system to errors of the engine.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::error::Cause;
use crate::sqlite::file::pinned::is_link;
use crate::{Error, FileProblem};

// For `?` within this backend. Hidden, because it is not part of the public API: an update of rusqlite is not a breaking change.
#[doc(hidden)]
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        if let rusqlite::Error::InvalidColumnType(..) = error {
            return Error::Corrupt(Cause::new(error));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy,
            Some(ErrorCode::ReadOnly) => Error::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt(Cause::new(error)),
            Some(ErrorCode::DiskFull) => Error::Full(Cause::new(error)),
            _ => Error::Storage(Cause::new(error)),
        }
    }
}

impl Cause {
    /// Returns the code of an SQLite error.
    pub(super) fn sqlite_code(&self) -> Option<ErrorCode> {
        self.get_ref().downcast_ref::<rusqlite::Error>()?.sqlite_error_code()
    }
}

impl Error {
    /// Adds the path to an error that concerns a file. Returns other errors unchanged.
    pub(crate) fn of(self, path: &Path) -> Self {
        let problem = match &self {
            Error::ReadOnly => FileProblem::ReadOnly,
            Error::Corrupt(source) => match source.sqlite_code() {
                Some(ErrorCode::NotADatabase) => FileProblem::NotADatabase,
                _ => FileProblem::Corrupt(source.to_string()),
            },
            Error::Full(_) => FileProblem::DiskFull,
            Error::ForeignObject { object } => FileProblem::Foreign(object.clone()),
            _ => return self,
        };
        problem.of(path)
    }

    /// Converts an error that occurred while a file was opened, if it concerns the file.
    pub(super) fn opening(self, path: &Path) -> Self {
        match self {
            Error::Storage(source) if source.sqlite_code() == Some(ErrorCode::CannotOpen) => {
                Self::cannot_open(path, open_hint())
            }
            Error::Storage(source) | Error::Corrupt(source) | Error::Full(source) => Self::open(path, source),
            Error::ReadOnly => {
                let message = Some("attempt to write a readonly database".into());
                let source = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), message);
                Self::open(path, Cause::new(source))
            }
            Error::ForeignObject { object } => FileProblem::Foreign(object).of(path),
            error => error,
        }
    }

    /// Returns the error of a file that could not be opened.
    pub(super) fn open(path: &Path, source: Cause) -> Self {
        Error::Open { path: path.to_owned(), message: open_message(path, &source), source }
    }

    /// Returns the error of a path that could not be resolved, in the form of SQLite.
    pub(super) fn unresolved(path: &Path, error: &std::io::Error) -> Self {
        let directory = path.parent().unwrap_or(path).display();
        let hint = match error.kind() {
            _ if is_out_of_files(error) => return Self::too_many_files(path),
            _ if is_link(error) => "a part of this path is a symbolic link, which is not followed".into(),
            ErrorKind::NotFound => format!("directory {directory} does not exist"),
            ErrorKind::NotADirectory => format!("{directory} is not a directory"),
            ErrorKind::IsADirectory => IS_DIRECTORY.into(),
            ErrorKind::PermissionDenied => NOT_PERMITTED.into(),
            _ => error.to_string(),
        };
        Self::cannot_open(path, &hint)
    }

    /// Returns the error of a file for which the process has no file descriptor left.
    pub(super) fn too_many_files(path: &Path) -> Self {
        Self::cannot_open(path, TOO_MANY_FILES)
    }

    /// Returns the error of a file that cannot be opened, in the form of SQLite with a hint.
    pub(super) fn cannot_open(path: &Path, hint: &str) -> Self {
        let message = format!("unable to open database file: {}: {hint}", path.display());
        let source = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(message));
        Self::open(path, Cause::new(source))
    }
}

/// The reasons why a file cannot be opened.
pub(super) const IS_DIRECTORY: &str = "it is a directory";
const NOT_PERMITTED: &str = "this user has no permission to open or create it";
const TOO_MANY_FILES: &str = "too many open files: close some, or raise the limit of the process";

/// The number of files that a connection has open: the database, its WAL, and the index of the WAL.
pub(super) const CONNECTION_FILES: usize = 3;

/// Returns why SQLite could not open a file, which its error does not contain. Called immediately after the failure.
pub(super) fn open_hint() -> &'static str {
    if can_open(CONNECTION_FILES) { NOT_PERMITTED } else { TOO_MANY_FILES }
}

/// Returns whether the process can open `count` more files.
pub(super) fn can_open(count: usize) -> bool {
    // Not a database file: closing it would drop the locks of the process on it.
    let opened: Vec<_> = (0..count).map(|_| std::fs::File::open("/")).collect();
    !opened.iter().filter_map(|file| file.as_ref().err()).any(is_out_of_files)
}

/// Returns whether an error means that the process, or the system, has no file descriptor left.
#[cfg(unix)]
fn is_out_of_files(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// On other systems, such an error is not known.
#[cfg(not(unix))]
fn is_out_of_files(_: &std::io::Error) -> bool {
    false
}

/// Returns SQLite's message with the path, which it lacks if the file is not a database, or its WAL cannot be opened, and with a
/// hint.
fn open_message(path: &Path, source: &Cause) -> String {
    let mut message = source.to_string();
    let name = path.display().to_string();
    if !message.contains(&name) {
        message = format!("{message}: {name}");
    }
    let hint = match source.sqlite_code() {
        Some(ErrorCode::DatabaseCorrupt) => "it is corrupt: check it, and restore it from a backup",
        Some(ErrorCode::ReadOnly) => "both the file and its directory must be writable",
        _ => return message,
    };
    format!("{message}: {hint}")
}

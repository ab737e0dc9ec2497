//! What SQLite and the operating system return, as errors of the engine.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::error::Cause;
use crate::sqlite::file::pinned::is_link;
use crate::{Error, FileProblem};

// For the `?` of this backend. It is no part of the interface: another version of rusqlite is no breaking change.
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
    /// The code of an error of SQLite.
    pub(super) fn sqlite_code(&self) -> Option<ErrorCode> {
        self.get_ref().downcast_ref::<rusqlite::Error>()?.sqlite_error_code()
    }
}

impl Error {
    /// The error that says of which file it is, where it is one that files have.
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

    /// The error of opening a file as a database, where it is one that the file is the cause of.
    pub(super) fn opening(self, path: &Path) -> Self {
        match self {
            Error::Storage(source) if source.sqlite_code() == Some(ErrorCode::CannotOpen) => {
                Self::cannot_open(path, open_hint())
            }
            Error::Storage(source) | Error::Corrupt(source) | Error::Full(source) => Self::open(path, source),
            Error::ReadOnly => {
                let text = Some("attempt to write a readonly database".into());
                let source = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), text);
                Self::open(path, Cause::new(source))
            }
            Error::ForeignObject { object } => FileProblem::Foreign(object).of(path),
            error => error,
        }
    }

    /// The error of a file that is not opened.
    pub(super) fn open(path: &Path, source: Cause) -> Self {
        Error::Open { path: path.to_owned(), message: open_message(path, &source), source }
    }

    /// The error of a path that leads to no directory with a file to open, as SQLite has it.
    pub(super) fn unresolved(path: &Path, error: &std::io::Error) -> Self {
        let directory = path.parent().unwrap_or(path).display();
        let hint = match error.kind() {
            _ if is_out_of_files(error) => return Self::too_many_files(path),
            _ if is_link(error) => "a part of this path is a symbolic link, which is not followed".into(),
            ErrorKind::NotFound => format!("there is no directory {directory}"),
            ErrorKind::NotADirectory => format!("{directory} is not a directory"),
            ErrorKind::IsADirectory => IS_DIRECTORY.into(),
            ErrorKind::PermissionDenied => NOT_PERMITTED.into(),
            _ => error.to_string(),
        };
        Self::cannot_open(path, &hint)
    }

    /// The error of a file for which the process has no descriptor left.
    pub(super) fn too_many_files(path: &Path) -> Self {
        Self::cannot_open(path, TOO_MANY_FILES)
    }

    /// The error of a file that cannot be opened, as SQLite has it, and why.
    pub(super) fn cannot_open(path: &Path, hint: &str) -> Self {
        let text = format!("unable to open database file: {}: {hint}", path.display());
        let source = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(text));
        Self::open(path, Cause::new(source))
    }
}

/// Why a file cannot be opened.
pub(super) const IS_DIRECTORY: &str = "it is a directory";
const NOT_PERMITTED: &str = "it may not be opened, or created, by this user";
const TOO_MANY_FILES: &str = "too many open files: close some, or raise the limit of the process";

/// How many files a connection has open: the database, its WAL, and the index of that.
pub(super) const CONNECTION_FILES: usize = 3;

/// Why SQLite could not open a file, which it does not say: to be asked as soon as it has failed.
pub(super) fn open_hint() -> &'static str {
    if can_open(CONNECTION_FILES) { NOT_PERMITTED } else { TOO_MANY_FILES }
}

/// Whether the process has so many file descriptors left.
pub(super) fn can_open(count: usize) -> bool {
    // Not a file of SQLite: when it is closed, the process would lose its locks on it.
    let opened: Vec<_> = (0..count).map(|_| std::fs::File::open("/")).collect();
    !opened.iter().filter_map(|file| file.as_ref().err()).any(is_out_of_files)
}

/// Whether the process, or the system, has no file descriptor left.
fn is_out_of_files(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    return [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    #[cfg(not(unix))]
    return false;
}

/// SQLite does not name the path where the file is no database, or one beside it cannot be opened. It never says why.
fn open_message(path: &Path, source: &Cause) -> String {
    let mut text = source.to_string();
    let name = path.display().to_string();
    let is_named = text.contains(&name);
    if !is_named {
        text = format!("{text}: {name}");
    }
    let hint = match source.sqlite_code() {
        Some(ErrorCode::DatabaseCorrupt) => "it is damaged: check it, and restore it from a backup",
        Some(ErrorCode::ReadOnly) => "both the file and its directory must be writable",
        _ => return text,
    };
    format!("{text}: {hint}")
}

//! Maintenance of database files: backups, checks and repairs, also while programs use the file.
//!
//! Each call opens the file by its path, follows symbolic links, and closes it again. Each path is resolved once: if a directory is
//! replaced meanwhile, the call continues in the original one. No call creates the file that it reads. The calling process must not
//! have the same file open by other means than this crate: when a process closes a file, POSIX drops all its locks on it.
//!
//! ```
//! use openkv_engine::maintenance;
//! use openkv_engine::sqlite::{self, Location, Options};
//! use openkv_engine::{Key, Value};
//!
//! # let directory = tempfile::tempdir().expect("a directory");
//! # let (path, copy) = (directory.path().join("kv.sqlite3"), directory.path().join("copy.sqlite3"));
//! let database = sqlite::open(Location::file(&path), Options::default())?;
//! database.set_blocking(Key::from(["a"]), Value::U64(1))?;
//!
//! // The database stays open.
//! let backup = maintenance::backup(&path, &copy, false, &mut |_progress| {})?;
//! assert!(backup.size > 0);
//!
//! let report = maintenance::check(&copy, &mut |progress| {
//!     println!("{}: {} of {}", progress.doing, progress.done, progress.total);
//! })?;
//! assert_eq!((report.entries, report.problems), (1, vec![]));
//! # Ok::<(), openkv_engine::Error>(())
//! ```

mod backup;
mod check;
mod compact;
mod info;
mod pages;
mod queue;
mod restore;
mod salvage;
mod source;
mod stage;
mod tables;
mod target;
#[cfg(test)]
mod tests;

pub use backup::{Backup, backup};
pub use check::{Report, check};
pub use compact::{Compaction, Size, compact};
pub use info::{Encodings, Info, info};
pub use queue::{Queue, QueuedMessage, queue};
pub use restore::{Restoration, restore};
pub use salvage::{Salvage, salvage};
pub use stage::abandon;
pub use tables::{Problem, ProblemLocation};

/// The progress of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The current activity, such as "copying pages".
    pub doing: &'static str,
    /// The number of pages or rows processed so far.
    pub done: u64,
    /// Their total number, or 0 if unknown.
    pub total: u64,
}

/// A callback for progress, called many times per second.
pub type OnProgress<'a> = dyn FnMut(Progress) + 'a;

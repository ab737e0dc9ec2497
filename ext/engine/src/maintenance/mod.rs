//! What an operator does with the file of a database, while programs use it or while none does.
//!
//! Each call opens the file by its path, follows symbolic links, and closes it again. It resolves each path once: whatever is
//! put in the place of a directory meanwhile, it reads and writes in the one that it found. None of them creates the file that
//! it reads. The process that calls must not have the same file open by other means than this crate: where a process closes
//! a file, POSIX drops all of its locks on it.
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
//! // The database stays in use.
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
pub use restore::{Restoration, restore};
pub use salvage::{Salvage, salvage};
pub use stage::abandon;
pub use tables::{Place, Problem};

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What it does at present: "copying", for instance.
    pub doing: &'static str,
    /// How many pages or rows it has done.
    pub done: u64,
    /// How many there are. 0 where that is not known.
    pub total: u64,
}

/// Is told how far a call has come, many times a second.
pub type OnProgress<'a> = dyn FnMut(Progress) + 'a;

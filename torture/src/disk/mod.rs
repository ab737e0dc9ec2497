//! A disk that injects faults and simulates power failures. It is a layer between SQLite and the files of a directory: it forwards all
//! calls, but can make any call fail, and records which changes were synced.
//!
//! The first [`Disk::mount`] makes it SQLite's default file system. Calls for files in other directories are only forwarded.

mod image;
mod vfs;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use rusqlite::ffi;

pub use image::{Change, Files, Image};

/// The mounted disks.
static MOUNTED: RwLock<Vec<Weak<Disk>>> = RwLock::new(Vec::new());

/// A call of SQLite to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opens a file, or creates it.
    Open,
    /// Reads from a file.
    Read,
    /// Writes to a file.
    Write,
    /// Truncates a file.
    Truncate,
    /// Syncs a file.
    Sync,
    /// Returns the length of a file.
    Size,
    /// Locks a file.
    Lock,
    /// Maps the shared memory of the WAL index.
    Map,
    /// Checks whether a file exists.
    Access,
    /// Deletes a file.
    Delete,
}

/// A fault to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of calls that succeed before the first one that fails.
    pub nth: u64,
    /// The number of calls that fail.
    pub times: u64,
    /// Whether the disk is full: only calls that allocate space fail, and are counted. Otherwise any call fails.
    pub full: bool,
}

/// A directory of files for SQLite.
pub struct Disk {
    directory: PathBuf,
    state: Mutex<State>,
}

struct State {
    files: Files,
    fault: Option<Fault>,
    /// The calls since the injection that the fault applies to.
    calls: u64,
    /// Those that failed.
    failed: u64,
    /// Called after each change.
    observer: Option<Box<Observer>>,
}

type Observer = dyn FnMut(&Files, &OsStr, &Change) + Send;

impl Disk {
    /// Mounts a disk on the files of a directory, until it is dropped.
    pub fn mount(directory: &Path) -> std::io::Result<Arc<Self>> {
        vfs::install();
        let directory = directory.canonicalize()?;
        let state = State { files: Files::read(&directory)?, fault: None, calls: 0, failed: 0, observer: None };
        let disk = Arc::new(Self { directory, state: Mutex::new(state) });
        let mut mounted = MOUNTED.write();
        mounted.retain(|disk| disk.strong_count() > 0);
        mounted.push(Arc::downgrade(&disk));
        Ok(disk)
    }

    /// Injects a fault, which replaces the previous one.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.state.lock();
        (state.fault, state.calls, state.failed) = (Some(fault), 0, 0);
    }

    /// Removes the fault. Returns how many calls it applied to since the injection, and how many failed.
    pub fn heal(&self) -> (u64, u64) {
        let mut state = self.state.lock();
        state.fault = None;
        (state.calls, state.failed)
    }

    /// Calls a function after each change, with all files and the name of the changed one. It must not use the disk.
    pub fn observe(&self, observer: impl FnMut(&Files, &OsStr, &Change) + Send + 'static) {
        self.state.lock().observer = Some(Box::new(observer));
    }

    /// Removes the observer.
    pub fn unobserve(&self) {
        self.state.lock().observer = None;
    }

    /// Returns the disk that a file is on, and the name of the file.
    fn of(path: &Path) -> Option<(Arc<Self>, OsString)> {
        let mounted = MOUNTED.read();
        let disk = mounted.iter().filter_map(Weak::upgrade).find(|disk| path.parent() == Some(&disk.directory))?;
        Some((disk, path.file_name()?.to_owned()))
    }

    /// Returns the error that a call must fail with, if any.
    fn fails(&self, call: Call) -> Option<i32> {
        let mut state = self.state.lock();
        let Fault { nth, times, full } = state.fault?;
        if full && !matches!(call, Call::Write | Call::Map) {
            return None;
        }
        let position = state.calls;
        state.calls += 1;
        if position < nth || position - nth >= times {
            return None;
        }
        state.failed += 1;
        Some(match call {
            Call::Write if full => ffi::SQLITE_FULL,
            Call::Open => ffi::SQLITE_CANTOPEN,
            Call::Read => ffi::SQLITE_IOERR_READ,
            Call::Write => ffi::SQLITE_IOERR_WRITE,
            Call::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Call::Sync => ffi::SQLITE_IOERR_FSYNC,
            Call::Size => ffi::SQLITE_IOERR_FSTAT,
            Call::Lock => ffi::SQLITE_IOERR_LOCK,
            Call::Map => ffi::SQLITE_IOERR_SHMSIZE,
            Call::Access => ffi::SQLITE_IOERR_ACCESS,
            Call::Delete => ffi::SQLITE_IOERR_DELETE,
        })
    }

    /// Records a change of a file.
    fn changed(&self, name: &OsStr, change: Change) {
        let State { files, observer, .. } = &mut *self.state.lock();
        files.apply(name, change.clone());
        if let Some(observer) = observer {
            observer(files, name, &change);
        }
    }
}

//! A disk that fails and forgets. It stands between SQLite and the files of a directory: everything goes through to them, but any
//! call can be made to fail, and what was not synced can be told from what was, so that a power failure can be played.
//!
//! It is SQLite's default file system from the first [`Disk::mount`] on, and hands on all calls for files in other directories.

mod image;
mod vfs;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use rusqlite::ffi;

pub use image::{Change, Files, Image};

/// The disks that are mounted.
static MOUNTED: RwLock<Vec<Weak<Disk>>> = RwLock::new(Vec::new());

/// What SQLite asks of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opens a file, or creates it.
    Open,
    /// Reads from a file.
    Read,
    /// Writes to a file.
    Write,
    /// Cuts a file short.
    Truncate,
    /// Waits until a file is on the disk.
    Sync,
    /// Asks how long a file is.
    Size,
    /// Locks a file.
    Lock,
    /// Maps the memory that processes share for the WAL.
    Map,
    /// Asks whether a file is there.
    Access,
    /// Deletes a file.
    Delete,
}

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first call that fails, counted from the injection on: 0 for the next.
    pub nth: u64,
    /// How many calls fail from then on.
    pub times: u64,
    /// Whether the disk is full: only calls that need space fail, and are counted. Otherwise any call fails.
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
    /// How many calls there were since the fault was injected that it could have let fail, and how many it did.
    calls: u64,
    failed: u64,
    /// Called after each change, with all the files.
    observer: Option<Box<Observer>>,
}

type Observer = dyn FnMut(&Files, &OsStr, &Change) + Send;

impl Disk {
    /// A disk of the files in a directory, as they are, until it is dropped.
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

    /// Lets calls fail, instead of those that were to fail before.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.state.lock();
        (state.fault, state.calls, state.failed) = (Some(fault), 0, 0);
    }

    /// Lets no more calls fail. Returns how many there were since the injection, and how many did.
    pub fn heal(&self) -> (u64, u64) {
        let mut state = self.state.lock();
        state.fault = None;
        (state.calls, state.failed)
    }

    /// Calls a function after each change, with all files, and the name of the one that was changed. It must not use the disk.
    pub fn observe(&self, observer: impl FnMut(&Files, &OsStr, &Change) + Send + 'static) {
        self.state.lock().observer = Some(Box::new(observer));
    }

    /// Calls the function no more.
    pub fn ignore(&self) {
        self.state.lock().observer = None;
    }

    /// The disk that a file is on, and the file's name there.
    fn of(path: &Path) -> Option<(Arc<Self>, OsString)> {
        let mounted = MOUNTED.read();
        let disk = mounted.iter().filter_map(Weak::upgrade).find(|disk| path.parent() == Some(&disk.directory))?;
        Some((disk, path.file_name()?.to_owned()))
    }

    /// Returns the error that a call fails with, if it is to fail.
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

    /// Notes what was done to a file.
    fn changed(&self, name: &OsStr, change: Change) {
        let State { files, observer, .. } = &mut *self.state.lock();
        files.apply(name, change.clone());
        if let Some(observer) = observer {
            observer(files, name, &change);
        }
    }
}

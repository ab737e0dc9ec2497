//! The header of the WAL's index, which changes with every commit to the file, by any process.
//!
//! The index is memory shared by the processes that have the file open. Its layout is part of SQLite's file format: the header is
//! its first 48 bytes, and a copy of it follows. SQLite itself compares the header to detect that its page cache is outdated.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, fence};

use rusqlite::{Connection, ffi};

/// The words of the header, which include a counter of commits, the length of the WAL, and a checksum.
pub(crate) type Header = [u32; WORDS];

const WORDS: usize = 12;

/// The size of the regions of the index in bytes.
const REGION: c_int = 32 * 1024;

/// The index as mapped by a connection.
pub(crate) struct WalIndex {
    header: NonNull<AtomicU32>,
}

// SAFETY: the memory is shared by threads and processes, and is only read here, atomically.
unsafe impl Send for WalIndex {}
// SAFETY: see above.
unsafe impl Sync for WalIndex {}

impl WalIndex {
    /// Finds the index of the main file of a connection that has read from it. Returns `None` if the file has no WAL.
    ///
    /// # Safety
    /// The index must not be used after the connection was closed.
    pub unsafe fn of(connection: &Connection) -> Option<Self> {
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).ok()?;
        if mode != "wal" {
            return None;
        }
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        let mut region: *mut c_void = ptr::null_mut();
        // SAFETY: the handle belongs to an open connection. SQLite writes a pointer to its file, which stays open as long as the
        // connection. For a file with a WAL, an existing region is returned as mapped, and stays mapped while the file is open.
        unsafe {
            let name = c"main".as_ptr();
            let code = ffi::SQLITE_FCNTL_FILE_POINTER;
            let result = ffi::sqlite3_file_control(connection.handle(), name, code, (&raw mut file).cast());
            if result != ffi::SQLITE_OK || file.is_null() {
                return None;
            }
            let methods = (*file).pMethods.as_ref().filter(|methods| methods.iVersion >= 2)?;
            if methods.xShmMap?(file, 0, REGION, 0, &raw mut region) != ffi::SQLITE_OK {
                return None;
            }
        }
        Some(Self { header: NonNull::new(region.cast())? })
    }

    /// Reads the header. During a concurrent change, the result may mix old and new words, and equals neither header.
    pub fn header(&self) -> Header {
        // SAFETY: the region is mapped, larger than the header, and aligned to a page.
        let words = unsafe { std::slice::from_raw_parts(self.header.as_ptr(), WORDS) };
        let header = std::array::from_fn(|i| words[i].load(Ordering::Relaxed));
        // The frames that the header describes were written before it.
        fence(Ordering::Acquire);
        header
    }
}

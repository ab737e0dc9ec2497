//! The header of the WAL's index, which changes with every commit to the file, by any process.
//!
//! The index is memory that the processes share which have the file open. Its layout is a part of SQLite's file format: the header is its first
//! 48 bytes, and a copy of it follows. SQLite itself compares it to find out whether its pages in memory are out of date.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, fence};

use rusqlite::{Connection, ffi};

/// The words of the header: among them a count of the commits, the length of the WAL, and a checksum.
pub(crate) type Header = [u32; WORDS];

const WORDS: usize = 12;

/// How SQLite divides the index, in bytes.
const REGION: c_int = 32 * 1024;

/// The index as a connection has it mapped.
pub(crate) struct WalIndex {
    header: NonNull<AtomicU32>,
}

// SAFETY: the memory is shared by threads and processes, and is only read here, atomically.
unsafe impl Send for WalIndex {}
// SAFETY: see above.
unsafe impl Sync for WalIndex {}

impl WalIndex {
    /// Finds the index of the main file of a connection, which has read from the file. None where the file has no WAL.
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
        // SAFETY: the handle is that of an open connection. SQLite writes a pointer to its file, which is open as long as the
        // connection. Of a file with a WAL, a region that is there already is returned as it was mapped, for as long as the file is open.
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

    /// Reads the header. While somebody changes it, the result may be a mixture of old and new words, which equals neither.
    pub fn header(&self) -> Header {
        // SAFETY: the region is mapped, larger than the header, and aligned to a page.
        let words = unsafe { std::slice::from_raw_parts(self.header.as_ptr(), WORDS) };
        let header = std::array::from_fn(|i| words[i].load(Ordering::Relaxed));
        // What the header says was written before it.
        fence(Ordering::Acquire);
        header
    }
}

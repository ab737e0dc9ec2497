//! The header of the WAL's index, which changes with every commit to the file, by any process.
//!
//! The index is memory shared by the processes that have the file open. Its layout is part of SQLite's file format: the header is
//! its first 48 bytes, and a copy of it follows. SQLite itself compares the header to detect that its page cache is outdated.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use rusqlite::{Connection, ffi};

/// The words of the header, which include a counter of commits, the length of the WAL, and a checksum.
pub(crate) type Header = [u32; WORDS];

const WORDS: usize = 12;

/// The size of the regions of the index in bytes.
const REGION: c_int = 32 * 1024;

/// Who waits for a commit, on which word of the header: both change with each commit.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Waiting {
    /// On the counter of commits.
    Next = 2,
    /// On the length of the WAL.
    InQueue = 4,
}

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

    /// Waits until it is woken, for the given time at most. Returns whether it was woken.
    pub fn wait(&self, waiting: Waiting, timeout: Duration) -> bool {
        let word = self.word(waiting);
        // If the word changes first, there was a commit: nothing is waited for. One between the last attempt to acquire the lock and
        // this read is not noticed, which the timeout bounds.
        futex::wait(word, word.load(Ordering::Relaxed), timeout)
    }

    /// Wakes the thread, of any process, that has waited for the longest time. Returns whether there is one.
    pub fn wake(&self, waiting: Waiting) -> bool {
        futex::wake(self.word(waiting))
    }

    fn word(&self, waiting: Waiting) -> &AtomicU32 {
        // SAFETY: the region is mapped, larger than the header, and aligned to a page.
        unsafe { self.header.add(waiting as usize).as_ref() }
    }
}

/// The queues of the kernel.
#[cfg(target_os = "linux")]
mod futex {
    use std::sync::atomic::AtomicU32;
    use std::thread;
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::thread::futex::{self, Flags, Timespec};

    pub fn wait(word: &AtomicU32, value: u32, timeout: Duration) -> bool {
        let limit = Timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos().into() };
        match futex::wait(word, Flags::empty(), value, Some(&limit)) {
            Ok(()) => true,
            // The word has changed, nobody woke this thread, or a signal arrived.
            Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => false,
            // A sandbox forbids the call, for example.
            Err(_) => {
                thread::sleep(timeout);
                false
            }
        }
    }

    pub fn wake(word: &AtomicU32) -> bool {
        futex::wake(word, Flags::empty(), 1).is_ok_and(|woken| woken > 0)
    }
}

/// Other systems have no such queues for memory that processes share.
#[cfg(not(target_os = "linux"))]
mod futex {
    use std::sync::atomic::AtomicU32;
    use std::thread;
    use std::time::Duration;

    pub fn wait(_word: &AtomicU32, _value: u32, timeout: Duration) -> bool {
        thread::sleep(timeout);
        false
    }

    pub fn wake(_word: &AtomicU32) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use rusqlite::Connection;

    use super::*;
    use crate::sqlite::{self, Location, Options};
    use crate::{Key, Value};

    #[test]
    fn thread_that_waits_is_woken_through_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv.sqlite3");
        let database = sqlite::open(Location::file(&path), Options::default()).unwrap();
        database.set_blocking(Key::from(["a"]), Value::U64(1)).unwrap();
        let open = || {
            let connection = Connection::open(&path).unwrap();
            let _: i64 = connection.query_row("select count(*) from kv", [], |row| row.get(0)).unwrap();
            connection
        };
        let (one, other) = (open(), open());
        // SAFETY: the connections are closed last.
        let (one_index, other_index) = unsafe { (WalIndex::of(&one).unwrap(), WalIndex::of(&other).unwrap()) };
        thread::scope(|scope| {
            // Longer than the test may take.
            let waiting = scope.spawn(|| one_index.wait(Waiting::InQueue, Duration::from_secs(3600)));
            assert!(!other_index.wake(Waiting::Next), "it waits in the queue");
            while !other_index.wake(Waiting::InQueue) {}
            assert!(waiting.join().unwrap(), "it was woken");
        });
        assert!(!other_index.wake(Waiting::InQueue), "none is left");
        let begin = std::time::Instant::now();
        assert!(!one_index.wait(Waiting::Next, Duration::from_millis(1)), "the time has passed");
        assert!(begin.elapsed() >= Duration::from_millis(1));
    }
}

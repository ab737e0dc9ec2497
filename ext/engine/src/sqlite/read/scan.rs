//! Bounds how long a read may scan on its caller's thread. Expired entries stay in the file until the sweep removes them, and a
//! read steps over each of them: the limit on its results does not limit what it scans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, ErrorCode};

use crate::{Error, Result};

/// How many steps SQLite's virtual machine takes between two calls of the progress handler. An expired entry takes about six.
const STEPS: i32 = 4096;

/// How many such calls a read may take from one entry to the next: about 30,000 expired entries, or a few milliseconds.
const MAX_CALLS: u32 = 45;

/// The value of [`Scan::left`] for an unbounded read.
const UNBOUNDED: u32 = u32::MAX;

/// The budget of the reads on one connection.
pub(crate) struct Scan {
    /// How many more calls of the progress handler there may be before the read is interrupted.
    left: Arc<AtomicU32>,
}

impl Default for Scan {
    fn default() -> Self {
        Self { left: Arc::new(AtomicU32::new(UNBOUNDED)) }
    }
}

/// Bounds a read until dropped.
pub(crate) struct Bounded<'a> {
    scan: &'a Scan,
    /// What was left to the outer read.
    before: u32,
}

impl Scan {
    /// Installs the progress handler, which interrupts the bounded reads of a connection.
    pub fn watch(&self, connection: &Connection) -> Result<()> {
        let left = self.left.clone();
        let count = move || {
            let before = left.load(Ordering::Relaxed);
            if before != UNBOUNDED {
                left.store(before.saturating_sub(1), Ordering::Relaxed);
            }
            before == 0
        };
        Ok(connection.progress_handler(STEPS, Some(count))?)
    }

    /// Bounds the reads of a connection that this thread has locked.
    pub fn bound(&self) -> Bounded<'_> {
        let before = self.left.load(Ordering::Relaxed);
        self.left.store(MAX_CALLS, Ordering::Relaxed);
        Bounded { scan: self, before }
    }

    /// Resets the budget of a bounded read, which found an entry.
    pub fn found(&self) {
        self.left.store(MAX_CALLS, Ordering::Relaxed);
    }
}

impl Drop for Bounded<'_> {
    fn drop(&mut self) {
        self.scan.left.store(self.before, Ordering::Relaxed);
    }
}

/// Returns whether a read failed because it was interrupted.
pub(crate) fn is_interrupted(error: &Error) -> bool {
    matches!(error, Error::Storage(error) if error.sqlite_code() == Some(ErrorCode::OperationInterrupted))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use futures_executor::block_on;

    use crate::sqlite::{self, Location, Options};
    use crate::{Key, KeyPart, Read, ReadOptions};

    #[test]
    fn read_over_many_expired_entries_moves_to_another_thread() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv.sqlite3");
        let database = sqlite::open(Location::file(&path), Options::default()).unwrap();
        let key = |number: f64| Key::from_parts(&[KeyPart::from(number)]).unwrap().into_bytes();
        let mut file = rusqlite::Connection::open(&path).unwrap();
        let insert = file.transaction().unwrap();
        let sql = "insert into kv (k, v, v_encoding, version, expiration_ms) values (?1, x'', 3, 1, ?2)";
        for number in 0..100_000 {
            insert.prepare_cached(sql).unwrap().execute((key(f64::from(number)), 1)).unwrap();
        }
        insert.execute(sql, (key(1e9), -1)).unwrap();
        insert.commit().unwrap();

        let range = Read::Range { start: &[], end: &[255], limit: 1, reverse: false, values: true };
        let local = database.local().unwrap();
        assert!(!local.try_read(&[range], &mut |_, _| ControlFlow::Continue(())).unwrap());
        let found = block_on(local.read_later(&[range], ReadOptions::default())).unwrap().remove(0);
        assert_eq!(found[0].key.as_bytes(), key(1e9));
        // A blocking read is not bounded.
        assert_eq!(database.read_blocking(&[range]).unwrap(), [found]);
        let last = Read::Range { start: &[], end: &[255], limit: 1, reverse: true, values: true };
        assert!(local.try_read(&[last], &mut |_, _| ControlFlow::Continue(())).unwrap());
    }
}

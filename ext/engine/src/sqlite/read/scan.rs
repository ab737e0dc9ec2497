//! How long a read may scan on its caller's thread. Expired entries stay in the file until the sweep removes them, and a read
//! steps over each of them: a limit on what it finds is none on what it scans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, ErrorCode};

use crate::{Error, Result};

/// After how many steps of SQLite's virtual machine to count one. An expired entry takes some six of them.
const STEPS: i32 = 4096;

/// How many of these a read may take from one entry that it finds to the next: some 30,000 expired entries, a few milliseconds.
const MOST: u32 = 45;

/// The count of an unbounded read.
const UNBOUNDED: u32 = u32::MAX;

/// The scan of a read.
pub(crate) struct Scan {
    /// How many times [`STEPS`] may still follow until it is interrupted.
    left: Arc<AtomicU32>,
}

impl Default for Scan {
    fn default() -> Self {
        Self { left: Arc::new(AtomicU32::new(UNBOUNDED)) }
    }
}

/// A read that is bounded, until this is dropped.
pub(crate) struct Bounded<'a> {
    scan: &'a Scan,
    /// How many were left to the read around it.
    before: u32,
}

impl Scan {
    /// Interrupts the bounded reads of a connection.
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

    /// Bounds the reads of a connection, by whoever has locked it.
    pub fn bound(&self) -> Bounded<'_> {
        let before = self.left.load(Ordering::Relaxed);
        self.left.store(MOST, Ordering::Relaxed);
        Bounded { scan: self, before }
    }

    /// Notes that a bounded read found an entry.
    pub fn found(&self) {
        self.left.store(MOST, Ordering::Relaxed);
    }
}

impl Drop for Bounded<'_> {
    fn drop(&mut self) {
        self.scan.left.store(self.before, Ordering::Relaxed);
    }
}

/// Whether a read failed because it was interrupted.
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
    fn a_read_over_many_expired_entries_is_left_to_another_thread() {
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
        // Those who wait for it themselves read it all.
        assert_eq!(database.read_blocking(&[range]).unwrap(), [found]);
        let last = Read::Range { start: &[], end: &[255], limit: 1, reverse: true, values: true };
        assert!(local.try_read(&[last], &mut |_, _| ControlFlow::Continue(())).unwrap());
    }
}

//! The read transaction of a connection, which stays open from one read to the next.
//!
//! Beginning and ending a read transaction takes two system calls, for SQLite's lock on the WAL. If the file has not changed
//! since the previous read, the transaction stays open, and later reads use it. Each first compares the header of the
//! [`WalIndex`], which takes no system call: every commit, by any process, changes it before it is acknowledged. Therefore, each
//! read sees all earlier commits, as it would in its own transaction.
//!
//! An open transaction prevents the WAL from being reset. Therefore, none stays open for long, or during a checkpoint of this
//! process: see [`snapshots`](crate::sqlite::file::snapshots).

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rusqlite::Connection;

use crate::Result;
use crate::sqlite::file::wal_index::{Header, WalIndex};

/// The number of times that the open transactions of the process have been expired.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// The number of running checkpoints that an open transaction would obstruct.
static PAUSES: AtomicUsize = AtomicUsize::new(0);

/// Expires the open transactions: each ends with the next read of its connection.
pub(super) fn expire() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
}

/// Prevents transactions from staying open until it is dropped.
pub(super) struct Pause(());

impl Pause {
    pub fn begin() -> Self {
        PAUSES.fetch_add(1, Ordering::Relaxed);
        expire();
        Self(())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        PAUSES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The read transaction of a connection. Only the thread that has locked the connection may use it.
pub(crate) struct Snapshot {
    index: WalIndex,
    /// The header as of the last read.
    header: Cell<Header>,
    /// The epoch in which the transaction was opened.
    epoch: Cell<u64>,
    is_open: Cell<bool>,
    /// The number of running reads: one, and those of its visitor.
    reads: Cell<u32>,
    /// Whether the connection is in the list of [`snapshots`](crate::sqlite::file::snapshots).
    pub(super) is_listed: Cell<bool>,
}

impl Snapshot {
    /// Returns the read transaction of a connection that has read from its file, or `None` if the file has no WAL.
    ///
    /// # Safety
    /// It must not be used after the connection was closed.
    pub unsafe fn of(connection: &Connection) -> Option<Self> {
        // SAFETY: the caller upholds the contract, which is the same.
        let index = unsafe { WalIndex::of(connection) }?;
        Some(Self {
            index,
            header: Cell::default(),
            epoch: Cell::default(),
            is_open: Cell::default(),
            reads: Cell::default(),
            is_listed: Cell::default(),
        })
    }

    /// Begins a read, in the open transaction if that has the latest commit. A read of a visitor uses the snapshot of the visit.
    /// Before a transaction is left open, `add` is called, which returns whether it will be ended in time.
    ///
    /// # Errors
    /// A failure of the storage. The read did not begin.
    pub fn begin_read(&self, connection: &Connection, add: impl FnOnce() -> bool) -> Result<()> {
        if self.reads.get() == 0 {
            self.refresh(connection, add)?;
        }
        self.reads.set(self.reads.get() + 1);
        Ok(())
    }

    /// Returns whether the transaction is open.
    pub fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Ends a read.
    pub fn end_read(&self, connection: &Connection) {
        self.reads.set(self.reads.get() - 1);
        if self.is_open.get() && PAUSES.load(Ordering::Relaxed) > 0 {
            self.release(connection);
        }
    }

    fn refresh(&self, connection: &Connection, add: impl FnOnce() -> bool) -> Result<()> {
        let header = self.index.header();
        let is_same = header == self.header.get();
        let may_stay_open = is_same && PAUSES.load(Ordering::Relaxed) == 0;
        let epoch = EPOCH.load(Ordering::Relaxed);
        if self.is_open.get() {
            if may_stay_open && epoch == self.epoch.get() {
                return Ok(());
            }
            self.end(connection)?;
        }
        self.header.set(header);
        if may_stay_open && add() {
            // The snapshot is taken by the first statement, so it is at least as recent as the header.
            connection.prepare_cached("begin")?.execute([])?;
            self.is_open.set(true);
            self.epoch.set(epoch);
        }
        Ok(())
    }

    /// Ends the transaction if it is open and no read runs. A failure is reported by the next read.
    pub fn release(&self, connection: &Connection) {
        if self.is_open.get() && self.reads.get() == 0 {
            let _ = self.end(connection);
        }
    }

    fn end(&self, connection: &Connection) -> Result<()> {
        // SQLite may have rolled it back after a failure.
        if !connection.is_autocommit() {
            connection.prepare_cached("commit")?.execute([])?;
        }
        self.is_open.set(false);
        Ok(())
    }

    /// Makes the next read begin a new transaction, for example after a failed read.
    pub fn invalidate(&self) {
        self.header.set(Header::default());
    }
}

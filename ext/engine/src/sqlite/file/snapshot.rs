//! The read transaction of a connection, which stays open from one read to the next.
//!
//! To begin and to end a read transaction takes two system calls, for SQLite's lock on the WAL. Where a read finds the file as
//! the read before left it, its transaction stays open, and further reads use it. Each first compares the header of the
//! [`WalIndex`], which takes no system call: a commit changes it before it is acknowledged, whichever process commits. So
//! each read sees what was committed before it, as it would in a transaction of its own.
//!
//! An open transaction keeps the WAL from being reset. So none stays open for long, nor during a checkpoint of this process:
//! see [`snapshots`](crate::sqlite::file::snapshots).

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rusqlite::Connection;

use crate::Result;
use crate::sqlite::file::wal_index::{Header, WalIndex};

/// Counts how often the open transactions of the process were to end.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// How many checkpoints run that no transaction may get in the way of.
static PAUSES: AtomicUsize = AtomicUsize::new(0);

/// Ends the transactions that are open, each at the next read of its connection.
pub(super) fn expire() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
}

/// Keeps transactions from staying open, until it is dropped.
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

/// The read transaction of a connection. Used by the thread that has the connection locked.
pub(crate) struct Snapshot {
    index: WalIndex,
    /// The header that the last read found.
    header: Cell<Header>,
    /// The epoch in which the transaction was opened.
    epoch: Cell<u64>,
    is_open: Cell<bool>,
    /// How many reads run: one, and those within its visit.
    reads: Cell<u32>,
    /// Whether [`snapshots`](crate::sqlite::file::snapshots) has it on its list.
    pub(super) is_listed: Cell<bool>,
}

impl Snapshot {
    /// The read transaction of a connection that has read from its file. None where the file has no WAL.
    ///
    /// # Safety
    /// It must not be used after the connection was closed.
    pub unsafe fn of(connection: &Connection) -> Option<Self> {
        // SAFETY: as the caller says.
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

    /// Begins a read, in the transaction that is open if that has the latest commit. A read within a visit is a part of the
    /// visit's read. Where a transaction is to stay open, calls `add` first, which returns whether it will be ended in time.
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
            // Its snapshot is that of the first statement, so at least as late as the header.
            connection.prepare_cached("begin")?.execute([])?;
            self.is_open.set(true);
            self.epoch.set(epoch);
        }
        Ok(())
    }

    /// Ends the transaction if it is open and no read runs. A failure comes back with the next read.
    pub fn release(&self, connection: &Connection) {
        if self.is_open.get() && self.reads.get() == 0 {
            let _ = self.end(connection);
        }
    }

    fn end(&self, connection: &Connection) -> Result<()> {
        // SQLite may have ended it itself, after a failure.
        if !connection.is_autocommit() {
            connection.prepare_cached("commit")?.execute([])?;
        }
        self.is_open.set(false);
        Ok(())
    }

    /// Lets the next read begin a transaction of its own, as after a read that failed.
    pub fn forget(&self) {
        self.header.set(Header::default());
    }
}

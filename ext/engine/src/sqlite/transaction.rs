use std::cell::{Cell, RefCell};

use rusqlite::{Connection, TransactionBehavior};

use crate::{Random, Result};

const GET_VERSION: &str = "select version from data_version where k = 0";
const SET_VERSION: &str = "update data_version set version = ?1 where k = 0";

/// When a transaction is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Once it is committed.
    Synced,
    /// Together with the next one that is synced. For what a power failure may undo: that a message was taken from the
    /// queue, or an expired entry removed.
    Deferred,
}

impl Durability {
    /// Sets a connection to it.
    pub fn apply(self, connection: &Connection) -> Result<()> {
        let synchronous = match self {
            Durability::Synced => "full",
            Durability::Deferred => "normal",
        };
        Ok(connection.pragma_update(None, "synchronous", synchronous)?)
    }
}

/// A transaction of the writer, with what its operations share. Rolled back when it is dropped.
pub(super) struct Transaction<'a> {
    inner: rusqlite::Transaction<'a>,
    /// Randomness, for the ids of messages.
    pub random: &'a dyn Random,
    /// The time of the transaction, in milliseconds since the Unix epoch.
    pub now: u64,
    /// The number of the last commit before the transaction, and with it.
    first_version: i64,
    version: Cell<i64>,
    effects: RefCell<Effects>,
}

/// What a transaction did that concerns others.
#[derive(Default)]
pub(super) struct Effects {
    /// The keys that it changed.
    pub touched: Vec<Vec<u8>>,
    /// When the first of the values that it stored expires, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
    /// Whether it put messages into the queue.
    pub enqueued: bool,
}

impl<'a> Transaction<'a> {
    /// Begins a transaction. Waits for another process that is writing.
    pub fn begin(connection: &'a Connection, random: &'a dyn Random, now: u64) -> Result<Self> {
        let inner = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let version = inner.prepare_cached(GET_VERSION)?.query_row([], |row| row.get(0))?;
        Ok(Self {
            inner,
            random,
            now,
            first_version: version,
            version: Cell::new(version),
            effects: RefCell::default(),
        })
    }

    /// Runs an operation under a savepoint: where it fails, what it did is undone. The inner result is that of the
    /// operation, the outer error the end of the transaction.
    pub fn attempt<T>(&self, operation: impl FnOnce(&Self) -> Result<T>) -> Result<Result<T>> {
        let run = |sql| self.inner.prepare_cached(sql)?.execute([]).map(drop);
        let version = self.version.get();
        let touched = self.effects.borrow().touched.len();
        run("savepoint one")?;
        let result = operation(self);
        if let Err(error) = &result {
            // Where the disk is full or fails, SQLite itself rolls back all of the transaction. Then there is no savepoint
            // to return to, and what was done before is lost as well.
            if self.inner.is_autocommit() {
                return Err(error.clone());
            }
            run("rollback to one")?;
            self.version.set(version);
            // That something expires or was enqueued is only a reason to look.
            self.effects.borrow_mut().touched.truncate(touched);
        }
        run("release one")?;
        Ok(result)
    }

    /// The connection, for the statements of operations.
    pub fn connection(&self) -> &Connection {
        &self.inner
    }

    /// Gives an operation its version.
    pub fn next_version(&self) -> i64 {
        let version = self.version.get() + 1;
        self.version.set(version);
        version
    }

    /// Notes that a key was changed.
    pub fn touch(&self, key: Vec<u8>) {
        self.effects.borrow_mut().touched.push(key);
    }

    /// Notes that a value expires.
    pub fn expires(&self, at: u64) {
        let mut effects = self.effects.borrow_mut();
        effects.expires = Some(effects.expires.map_or(at, |first| first.min(at)));
    }

    /// Notes that a message was put into the queue.
    pub fn enqueued(&self) {
        self.effects.borrow_mut().enqueued = true;
    }

    /// Commits.
    pub fn commit(self) -> Result<Effects> {
        let version = self.version.get();
        if version != self.first_version {
            self.inner.prepare_cached(SET_VERSION)?.execute([version])?;
        }
        self.inner.commit()?;
        Ok(self.effects.into_inner())
    }
}

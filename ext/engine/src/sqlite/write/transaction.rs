use std::cell::{Cell, RefCell};

use rusqlite::{CachedStatement, Connection, Params};

use crate::sqlite::file::lock;
use crate::{Clock, Error, Random, Result};

const BEGIN: &str = "begin immediate";
const COMMIT: &str = "commit";
const ROLLBACK: &str = "rollback";
const GET_VERSION: &str = "select version from data_version where k = 0";
const SET_VERSION: &str = "update data_version set version = ?1 where k = 0";
/// Stores an entry, unless the key has one with another expiry.
const SET: &str = "insert into kv (k, v, v_encoding, version, expiration_ms) values (?1, ?2, ?3, ?4, ?5)
    on conflict (k) do update set v = ?2, v_encoding = ?3, version = ?4 where expiration_ms = ?5";

/// A transaction of the writer, with the state that its operations share. On drop, it is rolled back unless it was committed, and
/// the next waiting process gets the lock.
pub(crate) struct Transaction<'a> {
    connection: &'a Connection,
    /// Whether it has a single operation.
    single_op: bool,
    /// Whether to record which keys are touched.
    watched: bool,
    /// Randomness, for the ids of messages.
    pub random: &'a dyn Random,
    /// The time of the transaction, in milliseconds since the Unix epoch. Read after the lock was acquired: entries that expired
    /// while it was waited for are absent.
    pub now: u64,
    /// The number of the last commit before the transaction.
    first_version: i64,
    /// The number of the last operation of the transaction.
    version: Cell<i64>,
    effects: RefCell<Effects>,
    /// The most frequent statement, kept here because looking it up each time took 5% of the writer's time in a bulk load.
    set: RefCell<Option<CachedStatement<'a>>>,
}

/// The parameters of a transaction.
pub(crate) struct Options<'a> {
    /// Randomness, for the ids of messages.
    pub random: &'a dyn Random,
    /// The clock for the time of the transaction.
    pub clock: &'a dyn Clock,
    /// Whether it has a single operation, which then needs no savepoint.
    pub single_op: bool,
    /// Whether to record which keys are touched.
    pub watched: bool,
}

/// The effects of a transaction on the state in memory.
#[derive(Default)]
pub(crate) struct Effects {
    /// The keys that it changed, if there are watchers.
    pub touched: Vec<Vec<u8>>,
    /// The earliest expiry of the values that it stored, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
    /// Whether it enqueued messages.
    pub enqueued: bool,
}

impl<'a> Transaction<'a> {
    /// Begins a transaction. Blocks while another process is writing.
    pub fn begin(connection: &'a Connection, options: Options<'a>) -> Result<Self> {
        let Options { random, clock, single_op, watched } = options;
        run(connection, BEGIN)?;
        let mut transaction = Self {
            connection,
            single_op,
            watched,
            random,
            now: clock.now(),
            first_version: 0,
            version: Cell::default(),
            effects: RefCell::default(),
            set: RefCell::new(None),
        };
        transaction.first_version = connection.prepare_cached(GET_VERSION)?.query_row([], |row| row.get(0))?;
        transaction.version.set(transaction.first_version);
        Ok(transaction)
    }

    /// Runs an operation under a savepoint, and rolls it back if it fails. The inner result is that of the operation; an outer
    /// error ends the transaction. A single operation runs without a savepoint, and its error is an outer one.
    pub fn with_savepoint<T>(&self, operation: impl FnOnce(&Self) -> Result<T>) -> Result<Result<T>> {
        if self.single_op {
            return operation(self).map(Ok);
        }
        let version = self.version.get();
        let touched = self.effects.borrow().touched.len();
        run(self.connection, "savepoint one")?;
        let result = operation(self);
        if let Err(error) = &result {
            // If the disk is full or fails, SQLite itself rolls back the whole transaction, with its savepoints and all operations
            // before this one.
            if self.connection.is_autocommit() {
                return Err(error.clone());
            }
            run(self.connection, "rollback to one")?;
            self.version.set(version);
            // The other effects are hints only: they lead to a query.
            self.effects.borrow_mut().touched.truncate(touched);
        }
        run(self.connection, "release one")?;
        Ok(result)
    }

    /// Returns the connection, for the statements of operations.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// Returns the number of the last operation of this transaction, or of the last commit if it has none.
    pub fn version(&self) -> i64 {
        self.version.get()
    }

    /// Returns the version for the next operation.
    pub fn next_version(&self) -> Result<i64> {
        let version = self.version.get().checked_add(1).ok_or(Error::NoVersionLeft)?;
        self.version.set(version);
        Ok(version)
    }

    /// Makes later versions greater than this one.
    pub fn raise_version(&self, version: i64) {
        self.version.set(self.version.get().max(version));
    }

    /// Runs the statement that stores an entry. Returns the number of stored entries: 0 if the key has one with another expiry.
    pub fn set(&self, parameters: impl Params) -> Result<usize> {
        let mut set = self.set.borrow_mut();
        let statement = match &mut *set {
            Some(statement) => statement,
            none => none.insert(self.connection.prepare_cached(SET)?),
        };
        Ok(statement.execute(parameters)?)
    }

    /// Records that a key was changed.
    pub fn touch(&self, key: &[u8]) {
        if self.watched {
            self.effects.borrow_mut().touched.push(key.to_vec());
        }
    }

    /// Records when a value expires.
    pub fn expires(&self, at: u64) {
        let mut effects = self.effects.borrow_mut();
        effects.expires = Some(effects.expires.map_or(at, |first| first.min(at)));
    }

    /// Records that a message was enqueued.
    pub fn enqueued(&self) {
        self.effects.borrow_mut().enqueued = true;
    }

    /// Commits the transaction. Returns its effects.
    pub fn commit(self) -> Result<Effects> {
        let version = self.version.get();
        if version != self.first_version {
            self.connection.prepare_cached(SET_VERSION)?.execute([version])?;
        }
        run(self.connection, COMMIT)?;
        Ok(self.effects.take())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // If this fails, the next transaction cannot begin, and returns an error.
            let _ = run(self.connection, ROLLBACK);
        }
        lock::released();
    }
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use crate::sqlite::{self, Location, Options};
    use crate::{AtomicWrite, Error, Key, KeyPart, Mutation, Read, Selector, Value};

    #[test]
    fn exhausted_versions_write_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv.sqlite3");
        let database =
            sqlite::open(Location::File { path: path.clone(), follow_links: true }, Options::default()).unwrap();
        let key = Key::from_parts(&[KeyPart::from("a")]).unwrap();
        let set = |value| AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(value)));
        database.write_blocking(set(1)).unwrap().into_result().unwrap();

        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute("update data_version set version = ?1", [i64::MAX - 1]).unwrap();
        let last = database.write_blocking(set(2)).unwrap().versionstamp();
        assert!(matches!(database.write_blocking(set(3)), Err(Error::NoVersionLeft)));
        assert!(matches!(block_on(database.delete_range(&Selector::prefix(&Key::new()))), Err(Error::NoVersionLeft)));
        let entries = database.read_blocking(&[Read::Key(&key)]).unwrap();
        assert_eq!((entries[0][0].value.clone(), Some(entries[0][0].versionstamp)), (Some(Value::U64(2)), last));
    }
}

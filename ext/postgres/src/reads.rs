//! Reads, over a few connections that the reads of an open database share.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use openkv_engine::{Expiry, Key, OwnedRead, Page, ReadEntry, Result, StoredEntry, StoredMessage, Value};
use parking_lot::Mutex;
use tokio::time::timeout_at;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};

use crate::connection::{Connection, Role};
use crate::error::{CallError, Failure};
use crate::row;
use crate::session::{Backoff, Session};
use crate::sql::Sql;

/// The number of connections for reads. The requests of each are pipelined.
const CONNECTIONS: usize = 4;

/// The connections for reads, opened when they are needed.
pub(crate) struct Pool {
    session: Arc<Session>,
    slots: [Slot; CONNECTIONS],
}

/// A connection that is shared by several calls, and opened again after it was lost.
#[derive(Default)]
pub(crate) struct Slot {
    connection: Mutex<Option<Arc<Connection>>>,
    /// Held while the connection is opened.
    opening: tokio::sync::Mutex<()>,
    /// The number of calls that use it.
    calls: AtomicUsize,
}

impl Slot {
    fn current(&self) -> Option<Arc<Connection>> {
        self.connection.lock().clone().filter(|connection| !connection.client.is_closed())
    }

    /// Returns the connection, after opening it if necessary.
    pub async fn get(&self, session: &Session, role: Role) -> Result<Arc<Connection>, Failure> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let connection = Arc::new(session.connector.connect(role).await?);
        *self.connection.lock() = Some(connection.clone());
        Ok(connection)
    }

    /// Closes the connection, after a failure.
    pub fn reset(&self) {
        *self.connection.lock() = None;
    }
}

/// A call that uses a slot.
struct Use<'s>(&'s Slot);

impl<'s> Use<'s> {
    fn begin(slot: &'s Slot) -> Self {
        slot.calls.fetch_add(1, Ordering::Relaxed);
        Self(slot)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub fn new(session: Arc<Session>) -> Self {
        Self { session, slots: Default::default() }
    }

    /// Reads in one snapshot, up to `max_bytes` of values.
    pub async fn read(&self, reads: &[OwnedRead], max_bytes: usize) -> Result<Vec<Vec<ReadEntry>>> {
        let mut attempts = Attempts::new(self);
        loop {
            let Some(connection) = attempts.connect().await? else { continue };
            if let Some(lists) = attempts.within(fetch(&connection, &self.session.sql, reads, max_bytes)).await? {
                return Ok(lists);
            }
        }
    }

    /// Reads when the entries of keys expire.
    pub async fn expiries(&self, keys: &[Key]) -> Result<Vec<Option<Expiry>>> {
        let keys: Vec<_> = keys.iter().map(Key::as_bytes).collect();
        let rows = self.rows(&self.session.sql.expiries, &[&keys]).await?;
        let found: HashMap<&[u8], _> = rows.iter().map(|row| (row.get(0), row::expiry(row))).collect();
        Ok(keys.iter().map(|key| found.get(key).copied()).collect())
    }

    /// Counts the entries of a range.
    pub async fn count(&self, start: &[u8], end: &[u8]) -> Result<u64> {
        self.number(&self.session.sql.count, &[&start, &end]).await
    }

    /// Reads the version of the last commit.
    pub async fn version(&self) -> Result<u64> {
        self.number(&self.session.sql.version, &[]).await
    }

    /// Makes the versions of later commits greater than this one.
    pub async fn raise_version(&self, version: i64) -> Result<()> {
        self.number(&self.session.sql.raise_version, &[&version]).await.map(drop)
    }

    /// Reads a page of entries. See [`Transfer`](openkv_engine::Transfer).
    pub async fn entries(&self, after: &[u8], page: Page) -> Result<Vec<StoredEntry>> {
        let rows = self.page(&self.session.sql.page_of_entries, &after, page).await?;
        rows.iter().map(row::stored_entry).collect()
    }

    /// Reads a page of messages. See [`Transfer`](openkv_engine::Transfer).
    pub async fn messages(&self, after: &[u8], page: Page) -> Result<Vec<StoredMessage>> {
        let after = after.try_into().map_or(i64::MIN, i64::from_be_bytes);
        let rows = self.page(&self.session.sql.page_of_messages, &after, page).await?;
        Ok(rows.iter().map(row::stored_message).collect())
    }

    async fn page(&self, statement: &str, after: &(dyn ToSql + Sync), page: Page) -> Result<Vec<Row>> {
        let (items, bytes) = (i64::from(page.items), i64::try_from(page.bytes).unwrap_or(i64::MAX));
        self.rows(statement, &[after, &items, &bytes]).await
    }

    async fn rows(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let mut attempts = Attempts::new(self);
        loop {
            let Some(connection) = attempts.connect().await? else { continue };
            let rows = async {
                let statement = connection.prepare(statement).await?;
                Ok(connection.client.query(&statement, parameters).await?)
            };
            if let Some(rows) = attempts.within(rows).await? {
                return Ok(rows);
            }
        }
    }

    async fn number(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        let mut attempts = Attempts::new(self);
        loop {
            let number = match attempts.connect().await? {
                Some(connection) => number(&connection, statement, parameters).await,
                None => continue,
            };
            if let Some(number) = attempts.check(number).await? {
                return Ok(number);
            }
        }
    }

    fn slot(&self) -> &Slot {
        let calls = |slot: &Slot| slot.calls.load(Ordering::Relaxed);
        self.slots[1..].iter().fold(&self.slots[0], |best, slot| if calls(slot) < calls(best) { slot } else { best })
    }
}

/// The attempts of a call, each over the least used connection. They end when the time for retries is over.
struct Attempts<'p> {
    pool: &'p Pool,
    backoff: Backoff<'p>,
    used: Option<Use<'p>>,
}

impl<'p> Attempts<'p> {
    fn new(pool: &'p Pool) -> Self {
        let backoff = Backoff::new(&*pool.session.random, pool.session.retry_for);
        Self { pool, backoff, used: None }
    }

    /// Returns a connection for the next attempt, or `None` if the attempt to connect has failed.
    async fn connect(&mut self) -> Result<Option<Arc<Connection>>> {
        let slot = self.pool.slot();
        self.used = Some(Use::begin(slot));
        let connection = slot.get(&self.pool.session, Role::Primary).await;
        self.check(connection).await
    }

    /// Runs an attempt as long as there is time for retries. Returns the same as [`Attempts::check`].
    async fn within<T>(&mut self, attempt: impl Future<Output = Result<T, Failure>>) -> Result<Option<T>> {
        if let Ok(result) = timeout_at(self.backoff.deadline, attempt).await {
            return self.check(result).await;
        }
        // The server may still respond: the connection cannot be used again.
        if let Some(Use(slot)) = self.used.take() {
            slot.reset();
        }
        Err(CallError::TimedOut { seconds: self.pool.session.retry_for.as_secs() }.into())
    }

    /// Returns the result of an attempt, or `None`, after a delay, if it is to be tried again.
    async fn check<T>(&mut self, result: Result<T, Failure>) -> Result<Option<T>> {
        match result {
            Ok(result) => Ok(Some(result)),
            Err(Failure::Transient(error)) => {
                tracing::debug!(%error, "a read from PostgreSQL is retried");
                if let Some(Use(slot)) = self.used.take() {
                    slot.reset();
                }
                if self.backoff.wait().await { Ok(None) } else { Err(error) }
            }
            Err(failure) => Err(failure.into_error()),
        }
    }
}

/// Reads a number over a connection.
async fn number(connection: &Connection, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Failure> {
    let statement = connection.prepare(statement).await?;
    let row = connection.client.query_one(&statement, parameters).await?;
    Ok(row.get::<_, i64>(0).max(0) as u64)
}

/// Reads over a connection, in one statement, which is one snapshot.
pub(crate) async fn fetch(
    connection: &Connection,
    sql: &Sql,
    reads: &[OwnedRead],
    max_bytes: usize,
) -> Result<Vec<Vec<ReadEntry>>, Failure> {
    let client = &connection.client;
    match reads {
        [] => Ok(Vec::new()),
        [OwnedRead::Key(key)] => {
            let statement = connection.prepare(&sql.get).await?;
            let row = client.query_opt(&statement, &[&key.as_bytes()]).await?;
            let entry = row.map(|row| row::entry(&row)).transpose().map_err(Failure::Final)?;
            Ok(vec![entry.into_iter().collect()])
        }
        [OwnedRead::Range { start, end, limit, reverse, values }] => {
            let statement = connection.prepare(&sql.range(*reverse, *values)).await?;
            let limit = i64::from(*limit);
            let parameters: [&(dyn ToSql + Sync); 3] = [start, end, &limit];
            let rows = client.query_raw(&statement, parameters).await?;
            collect(rows, 1, max_bytes).await
        }
        _ if max_bytes == usize::MAX && reads.iter().all(|read| matches!(read, OwnedRead::Key(_))) => {
            fetch_keys(connection, sql, reads).await
        }
        _ => fetch_ranges(connection, sql, reads, max_bytes).await,
    }
}

async fn fetch_keys(connection: &Connection, sql: &Sql, reads: &[OwnedRead]) -> Result<Vec<Vec<ReadEntry>>, Failure> {
    let keys = || {
        reads.iter().filter_map(|read| match read {
            OwnedRead::Key(key) => Some(key.as_bytes()),
            OwnedRead::Range { .. } => None,
        })
    };
    let statement = connection.prepare(&sql.get_many).await?;
    let rows = connection.client.query(&statement, &[&keys().collect::<Vec<_>>()]).await?;
    let entries = rows.iter().map(row::entry).collect::<Result<Vec<_>>>().map_err(Failure::Final)?;
    let entries: HashMap<_, _> = entries.iter().map(|entry| (entry.key.as_bytes(), entry)).collect();
    Ok(keys().map(|key| entries.get(key).map(|entry| ReadEntry::clone(entry)).into_iter().collect()).collect())
}

/// Reads several ranges, in a statement made for them.
async fn fetch_ranges(
    connection: &Connection,
    sql: &Sql,
    reads: &[OwnedRead],
    max_bytes: usize,
) -> Result<Vec<Vec<ReadEntry>>, Failure> {
    let ranges: Vec<_> = reads
        .iter()
        .map(|read| match read {
            OwnedRead::Key(key) => {
                let start = key.as_bytes();
                (start.to_vec(), [start, &[0]].concat(), 1, false, true)
            }
            OwnedRead::Range { start, end, limit, reverse, values } => {
                (start.clone(), end.clone(), i64::from(*limit), *reverse, *values)
            }
        })
        .collect();
    let arms = ranges
        .iter()
        .enumerate()
        .map(|(i, (_, _, _, reverse, values))| format!("({})", sql.arm(i, 3 * i + 1, *reverse, *values)));
    let text = arms.collect::<Vec<_>>().join(" union all ");
    let parameters = ranges.iter().flat_map(|(start, end, limit, _, _)| {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(start, Type::BYTEA), (end, Type::BYTEA), (limit, Type::INT8)];
        parameters
    });
    let rows = connection.client.query_typed_raw(&text, parameters).await?;
    collect(rows, reads.len(), max_bytes).await
}

/// Collects rows into a list for each read, until the values have `max_bytes`. The server sends the rows in the order of the reads.
async fn collect(rows: RowStream, lists: usize, max_bytes: usize) -> Result<Vec<Vec<ReadEntry>>, Failure> {
    let mut lists = vec![Vec::new(); lists];
    let mut bytes = 0;
    let mut rows = pin!(rows);
    while bytes < max_bytes
        && let Some(row) = rows.next().await
    {
        let row = row?;
        let entry = row::entry(&row).map_err(Failure::Final)?;
        bytes += entry.value.as_ref().map_or(0, Value::len);
        let number: i32 = row.get(4);
        if let Some(list) = lists.get_mut(number as usize) {
            list.push(entry);
        }
    }
    Ok(lists)
}

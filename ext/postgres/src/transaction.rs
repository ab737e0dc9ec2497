//! Commits a batch of writes in one transaction.
//!
//! The transaction locks the row with the version of the last commit, reads what the writes depend on, stores their effect, and
//! commits. That takes two round trips, or one if the writes depend on nothing that is stored. While it holds the lock, no other
//! transaction that stores entries can read a version or commit. As the server makes a commit visible before it releases its locks,
//! and replicates commits in this order, whoever sees a version sees all earlier ones.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{join, join_all, join3, try_join};
use openkv_engine::{AtomicWrite, Commit, CommitId, Error, Result};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use crate::connection::Connection;
use crate::error::{CallError, Failure, describe};
use crate::notice::{Keys, Notice};
use crate::overlay::{self, Overlay, Stored};
use crate::puts::Puts;
use crate::row::{self, millis};
use crate::session::Session;
use crate::sql::{LAYOUT, Sql};

/// What one transaction commits.
pub(crate) enum Batch {
    Writes(Vec<AtomicWrite>),
    DeleteRange { start: Vec<u8>, end: Vec<u8>, limit: u32 },
}

/// The result of a batch.
#[derive(Clone)]
pub(crate) enum Outcome {
    Writes(Vec<Result<Commit>>),
    Deleted(u64),
}

/// What is known of a batch after failed attempts.
#[derive(Default)]
pub(crate) struct Progress {
    /// The result that the batch has if the last attempt was committed after all, which is unknown. `None` if none was.
    pub unconfirmed: Option<Unconfirmed>,
}

/// The result of a batch if it was committed.
#[derive(Clone)]
pub(crate) enum Unconfirmed {
    Known(Outcome),
    /// All writes are committed, up to the version that the marker of the session has.
    Independent,
}

impl Unconfirmed {
    fn outcome(self, version: i64, count: i64) -> Outcome {
        match self {
            Self::Known(outcome) => outcome,
            Self::Independent => all_done(version, count),
        }
    }
}

/// Declares the prepared statements of a writer: each is a field of [`Sql`].
macro_rules! statements {
    ($($name:ident),*) => {
        struct Statements { $($name: Statement),* }

        impl Statements {
            async fn prepare(client: &Client, sql: &Sql) -> Result<Self, tokio_postgres::Error> {
                let ($($name),*) = tokio::try_join!($(client.prepare(&sql.$name)),*)?;
                Ok(Self { $($name),* })
            }
        }
    };
}

statements!(
    lock,
    marker,
    mark,
    ids,
    add_ids,
    versions,
    values,
    put,
    delete,
    delete_range,
    enqueue,
    notify,
    notify_commit,
    commit_puts
);

/// A connection for transactions that commit batches.
pub(crate) struct Writer {
    session: Arc<Session>,
    connection: Connection,
    statements: Statements,
}

type Parameters<'p> = [&'p (dyn ToSql + Sync)];

impl Writer {
    /// Prepares a connection.
    pub async fn new(session: Arc<Session>, connection: Connection) -> Result<Self, Failure> {
        let statements = Statements::prepare(&connection.client, &session.sql).await?;
        Ok(Self { session, connection, statements })
    }

    fn client(&self) -> &Client {
        &self.connection.client
    }

    /// Returns whether the connection is lost.
    pub fn is_lost(&self) -> bool {
        self.client().is_closed()
    }

    /// Commits a batch, the one with this number of the session.
    pub async fn commit(&self, batch: &Batch, number: i64, progress: &mut Progress) -> Result<Outcome, Failure> {
        if self.connection.is_read_only {
            return Err(Failure::Final(Error::ReadOnly));
        }
        let committed = self.transact(batch, number, progress).await;
        if committed.is_err() && !self.is_lost() {
            // A failure means that the connection is lost, which also ends the transaction.
            let _ = self.client().batch_execute("rollback").await;
        }
        committed
    }

    async fn transact(&self, batch: &Batch, number: i64, progress: &mut Progress) -> Result<Outcome, Failure> {
        match batch {
            Batch::Writes(writes) if progress.unconfirmed.is_none() && writes.iter().all(overlay::is_independent) => {
                self.commit_independent(writes, number, progress).await
            }
            _ => self.commit_dependent(batch, number, progress).await,
        }
    }

    /// Commits writes that depend on nothing that is stored, in one round trip: the server computes their versions.
    async fn commit_independent(
        &self,
        writes: &[AtomicWrite],
        number: i64,
        progress: &mut Progress,
    ) -> Result<Outcome, Failure> {
        let count = writes.len() as i64;
        let mut overlay = Overlay::new(0, 0, HashMap::new(), HashMap::new());
        for write in writes {
            let _: Commit = overlay.apply(write).map_err(Failure::Data)?;
        }
        progress.unconfirmed = Some(Unconfirmed::Independent);
        let version = if overlay.only_puts() {
            self.commit_puts(&overlay, count, number, progress).await?
        } else {
            // The futures send their statements when they are first polled, in this order.
            let (locked, stored) = join(self.begin(count), self.store(&overlay, 0, count, number, 0, progress)).await;
            let (version, _) = locked?;
            stored?;
            version
        };
        self.session.committed(version.max(0) as u64);
        Ok(all_done(version, count))
    }

    /// Commits entries by one statement, a transaction by itself. Returns the version of the last write.
    ///
    /// A deletion cannot be part of it: it would miss what others commit while the statement waits for the lock.
    async fn commit_puts(
        &self,
        overlay: &Overlay<'_>,
        count: i64,
        number: i64,
        progress: &mut Progress,
    ) -> Result<i64, Failure> {
        let puts = Puts::of(overlay, 0, count);
        let (me, channel) = (&self.session.id[..], &self.session.sql.channel);
        let changes = notice(overlay).encode_changes();
        let others: &Parameters<'_> = &[&me, &number, channel, &changes];
        let parameters = [&puts.parameters(), others].concat();
        let result = self.client().query_one(&self.statements.commit_puts, &parameters).await;
        if let Err(error) = &result
            && error.as_db_error().and_then(DbError::parsed_severity) == Some(Severity::Error)
        {
            // The server rejected the statement. It also sends why it ends a session, whose statement may be committed.
            progress.unconfirmed = None;
        }
        let (version, _) = self.locked(result).await?;
        self.connection.check_replicated().map_err(Failure::Transient)?;
        progress.unconfirmed = None;
        Ok(version)
    }

    /// Commits a batch after reading what it depends on, or finds that an earlier attempt has committed it.
    async fn commit_dependent(&self, batch: &Batch, number: i64, progress: &mut Progress) -> Result<Outcome, Failure> {
        let writes = match batch {
            Batch::Writes(writes) => &writes[..],
            Batch::DeleteRange { .. } => &[],
        };
        let count = writes.len().max(1) as i64;
        let (checked, combined) = (overlay::checked(writes.iter()), overlay::combined(writes.iter()));
        let ids: Vec<_> = writes.iter().filter_map(|write| write.id.as_ref().map(|id| &id.0[..])).collect();
        let is_retry = progress.unconfirmed.is_some();
        let client = self.client();
        let marker = async {
            let me = &self.session.id[..];
            if is_retry { client.query_opt(&self.statements.marker, &[&me]).await } else { Ok(None) }
        };
        let (locked, marker, read) = join3(
            self.begin(count),
            marker,
            join3(
                query_any(client, &self.statements.ids, &ids),
                query_any(client, &self.statements.versions, &checked),
                query_any(client, &self.statements.values, &combined),
            ),
        )
        .await;
        let (version, now) = locked?;
        // The lock is held: an earlier attempt to commit this batch is over.
        let marked = marker?.map(|row| (row.get::<_, i64>(0), row.get(1)));
        match (progress.unconfirmed.take(), marked) {
            (Some(unconfirmed), Some((batch, committed))) if batch == number => {
                // An attempt that was not replicated is followed by this commit, which waits for the replica.
                progress.unconfirmed = Some(unconfirmed.clone());
                self.confirm(client.batch_execute("commit").await)?;
                self.session.committed(version.max(0) as u64);
                return Ok(unconfirmed.outcome(committed, count));
            }
            _ => {}
        }

        let before = version - count;
        let outcome = match batch {
            Batch::Writes(writes) => {
                let (ids, versions, values) = read;
                let stored = stored(&versions?, &values?).map_err(Failure::Data)?;
                let mut overlay = Overlay::new(now, before, stored, known(&ids?));
                let outcome = Outcome::Writes(writes.iter().map(|write| overlay.apply(write)).collect());
                if overlay.version == before && !overlay.has_repeated {
                    client.batch_execute("rollback").await?;
                    return Ok(outcome);
                }
                progress.unconfirmed = Some(Unconfirmed::Known(outcome.clone()));
                self.store(&overlay, before, count, number, now, progress).await?;
                outcome
            }
            Batch::DeleteRange { start, end, limit } => {
                let (start, end, limit) = (&start[..], &end[..], i64::from(*limit));
                let deleted = client.execute(&self.statements.delete_range, &[&start, &end, &limit, &now]).await?;
                let outcome = Outcome::Deleted(deleted);
                if deleted == 0 {
                    client.batch_execute("rollback").await?;
                    return Ok(outcome);
                }
                progress.unconfirmed = Some(Unconfirmed::Known(outcome.clone()));
                let notice = Notice { keys: Keys::All, ..Notice::default() };
                self.finish(Vec::new(), &notice, number, progress).await?;
                outcome
            }
        };
        self.session.committed(version.max(0) as u64);
        Ok(outcome)
    }

    /// Begins a transaction that commits `count` writes. Returns the version of the last one, and the time of the server.
    async fn begin(&self, count: i64) -> Result<(i64, i64), Failure> {
        let begun = self.client().batch_execute("begin isolation level read committed");
        // Both are sent in one round trip.
        let ((), locked) = try_join(async { begun.await.map_err(Failure::from) }, self.lock(count)).await?;
        Ok(locked)
    }

    /// Locks the version of the last commit as part of a transaction, and adds `count` to it. Returns the new version, and the time
    /// of the server.
    async fn lock(&self, count: i64) -> Result<(i64, i64), Failure> {
        self.locked(self.client().query_one(&self.statements.lock, &[&count]).await).await
    }

    /// Returns the new version and the time of the server from the result of a statement that locks the version.
    async fn locked(&self, result: Result<Row, tokio_postgres::Error>) -> Result<(i64, i64), Failure> {
        match result {
            Ok(row) => {
                let now = row.get(1);
                self.session.clock.set(now);
                Ok((row.get(0), now))
            }
            // The statement fails if the layout is another.
            Err(error) if error.code() == Some(&SqlState::NOT_NULL_VIOLATION) => {
                self.client().batch_execute("rollback").await?;
                let state = self.client().query_typed_one(&self.session.sql.state, &[]).await?;
                Err(CallError::NewerLayout { found: state.get(0), known: LAYOUT }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the effect of `count` writes, and commits it. The versions of the overlay follow `before`.
    async fn store(
        &self,
        overlay: &Overlay<'_>,
        before: i64,
        count: i64,
        number: i64,
        now: i64,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let puts = Puts::of(overlay, before, count);
        let deleted: Vec<&[u8]> =
            overlay.changes.iter().filter(|(_, new)| new.is_none()).map(|(key, _)| &**key).collect();
        let (ids, id_versions): (Vec<&[u8]>, Vec<i64>) =
            overlay.new_ids.iter().map(|(id, version)| (&id.0[..], *version)).unzip();
        let messages: Vec<&[u8]> = overlay.enqueues.iter().map(|enqueue| &enqueue.message[..]).collect();
        // All times of a write that a backend receives are absolute.
        let due: Vec<i64> = overlay.enqueues.iter().map(|enqueue| millis(enqueue.deliver_at.millis(0))).collect();
        let schedules: Vec<String> =
            overlay.enqueues.iter().map(|enqueue| numbers_literal(enqueue.schedule())).collect();
        let undelivered: Vec<String> = overlay
            .enqueues
            .iter()
            .map(|enqueue| bytes_literal(enqueue.keys_if_undelivered.iter().map(|key| key.as_bytes())))
            .collect();

        let mut statements: Vec<(&Statement, &Parameters<'_>)> = Vec::new();
        let put: &Parameters<'_> = &puts.parameters();
        let delete: &Parameters<'_> = &[&deleted];
        let add_ids: &Parameters<'_> = &[&ids, &id_versions, &now];
        let enqueue: &Parameters<'_> = &[&due, &messages, &schedules, &undelivered];
        for (is_needed, statement, parameters) in [
            (!puts.is_empty(), &self.statements.put, put),
            (!deleted.is_empty(), &self.statements.delete, delete),
            (!ids.is_empty(), &self.statements.add_ids, add_ids),
            (!messages.is_empty(), &self.statements.enqueue, enqueue),
        ] {
            if is_needed {
                statements.push((statement, parameters));
            }
        }
        self.finish(statements, &notice(overlay), number, progress).await
    }

    /// Runs statements, and commits, in one round trip. The notice gets the version of the commit.
    async fn finish(
        &self,
        statements: Vec<(&Statement, &Parameters<'_>)>,
        notice: &Notice,
        number: i64,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let client = self.client();
        let me = &self.session.id[..];
        let (channel, changes) = (&self.session.sql.channel, notice.encode_changes());
        let mark: &Parameters<'_> = &[&me, &number];
        let notify: &Parameters<'_> = &[channel, &changes];
        let all =
            statements.into_iter().chain([(&self.statements.mark, mark), (&self.statements.notify_commit, notify)]);
        let executed = join_all(all.map(|(statement, parameters)| client.execute(statement, parameters)));
        // The futures send their statements when they are first polled, in this order.
        let (executed, committed) = join(executed, client.batch_execute("commit")).await;
        if let Some(error) = executed.into_iter().find_map(Result::err) {
            if error.as_db_error().is_some() {
                // The server rejected a statement, so that the commit became a rollback.
                progress.unconfirmed = None;
            }
            return Err(error.into());
        }
        self.confirm(committed)?;
        progress.unconfirmed = None;
        Ok(())
    }

    /// Checks that a commit was confirmed and replicated.
    fn confirm(&self, committed: Result<(), tokio_postgres::Error>) -> Result<(), Failure> {
        committed.map_err(|error| Failure::Transient(CallError::Lost(describe(&error)).into()))?;
        self.connection.check_replicated().map_err(Failure::Transient)
    }

    /// Stores messages that could not be delivered under their keys, as part of a transaction. Returns the change.
    pub async fn put_undelivered(&self, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<Notice, Failure> {
        let (version, _) = self.lock(1).await?;
        // A statement cannot put the same key twice.
        let entries: HashMap<&[u8], &[u8]> = entries.iter().map(|(key, message)| (&key[..], &message[..])).collect();
        let changed = Keys::of(entries.keys().copied());
        let puts = Puts::of_messages(entries.into_iter());
        self.client().execute(&self.statements.put, &puts.parameters()).await?;
        Ok(Notice { version: version.max(0) as u64, queue: false, keys: changed })
    }

    /// Notifies all open databases of a change, as part of a transaction.
    pub async fn notify(&self, notice: &Notice) -> Result<(), Failure> {
        self.client().execute(&self.statements.notify, &[&self.session.sql.channel, &notice.encode()]).await?;
        Ok(())
    }

    /// Returns the connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Removes some rows that are no longer needed. Returns whether more may be left.
    pub async fn sweep(&self) -> Result<bool, Failure> {
        if self.connection.is_read_only {
            return Ok(false);
        }
        let sql = &self.session.sql;
        let mut is_full = false;
        for statement in [&sql.sweep_entries, &sql.sweep_ids, &sql.sweep_sessions] {
            let statement = self.connection.prepare(statement).await?;
            is_full |= self.client().execute(&statement, &[]).await? >= crate::sql::SWEPT;
        }
        Ok(is_full)
    }
}

/// Returns the notice of a batch, without its version.
fn notice(overlay: &Overlay<'_>) -> Notice {
    let keys = Keys::of(overlay.changes.keys().map(|key| &**key));
    Notice { queue: !overlay.enqueues.is_empty(), keys, ..Notice::default() }
}

/// Returns the result of `count` writes that were committed up to a version.
fn all_done(version: i64, count: i64) -> Outcome {
    Outcome::Writes(
        (version - count + 1..=version).map(|version| Ok(Commit::Done(row::versionstamp(version)))).collect(),
    )
}

/// Runs a statement whose parameter is a list of keys or ids, unless that is empty.
async fn query_any(client: &Client, statement: &Statement, keys: &[&[u8]]) -> Result<Vec<Row>, tokio_postgres::Error> {
    if keys.is_empty() { Ok(Vec::new()) } else { client.query(statement, &[&keys]).await }
}

/// Returns the entries that writes depend on, from the rows for checked and for combined keys.
fn stored(versions: &[Row], values: &[Row]) -> Result<HashMap<Vec<u8>, Stored>> {
    let mut stored = HashMap::new();
    for row in versions.iter().chain(values) {
        let has_value = row.len() > 3;
        let value = has_value.then(|| row::value(row.get(3), row.get(4))).transpose()?;
        let entry = Stored { version: row.get(1), expires_at: row.get(2), value };
        stored.insert(row.get::<_, &[u8]>(0).to_vec(), entry);
    }
    Ok(stored)
}

/// Returns the versions that were committed under ids.
fn known(rows: &[Row]) -> HashMap<CommitId, i64> {
    let known = rows.iter().filter_map(|row| Some((CommitId(row.get::<_, &[u8]>(0).try_into().ok()?), row.get(1))));
    known.collect()
}

/// Returns the text of an array of numbers: the server has no arrays of arrays of different lengths.
fn numbers_literal(numbers: &[u32]) -> String {
    let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}

/// Returns the text of an array of bytes.
fn bytes_literal<'a>(values: impl Iterator<Item = &'a [u8]>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let values: Vec<_> = values.map(|bytes| format!("\"\\\\x{}\"", hex(bytes))).collect();
    format!("{{{}}}", values.join(","))
}

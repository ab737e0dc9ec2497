//! The thread that commits. It takes all the writes that wait, applies each under a savepoint of its own within one
//! transaction, commits once, and then answers all: one disk sync for as many writes as came in during the last one.

use std::sync::Arc;
use std::thread;

use parking_lot::ReentrantMutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::SharedConnection;
use super::apply::Context;
use crate::{AtomicWrite, Clock, Error, Random, Result, Versionstamp};

/// How many writes may wait. Callers of more wait for room.
const QUEUE: usize = 1024;

const GET_VERSION: &str = "select version from data_version where k = 0";
const SET_VERSION: &str = "update data_version set version = ?1 where k = 0";

type Answer = Result<Option<Versionstamp>>;

struct Job {
    write: AtomicWrite,
    answer: oneshot::Sender<Answer>,
}

/// A handle of the thread. The thread ends once all handles are dropped and all that waits is committed.
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    connection: SharedConnection,
}

impl Writer {
    /// Starts the thread.
    pub fn start(connection: Connection, random: Arc<dyn Random>, clock: Arc<dyn Clock>) -> Result<Self> {
        let connection = Arc::new(ReentrantMutex::new(connection));
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread = Thread { connection: connection.clone(), waiting, random, clock };
        thread::Builder::new()
            .name("openkv-writer".into())
            .spawn(move || thread.run())
            .map_err(|error| Error::Thread(Arc::new(error)))?;
        Ok(Self { jobs, connection })
    }

    /// The connection, for the reads of a database in memory.
    pub fn connection(&self) -> SharedConnection {
        self.connection.clone()
    }

    /// Queues a write at once, or waits for room in the queue first. See [`Database::write`](crate::Database::write).
    pub fn write(self: Arc<Self>, write: AtomicWrite) -> impl Future<Output = Answer> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let queued = self.jobs.try_send(Job { write, answer });
        async move {
            match queued {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(job)) => self.jobs.send(job).await.map_err(|_| Error::Closed)?,
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Error::Closed),
            }
            // The database is not kept open for an answer.
            drop(self);
            answered.await.map_err(|_| Error::Closed)?
        }
    }

    /// Queues a write and waits for its answer.
    pub fn write_blocking(&self, write: AtomicWrite) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.jobs.blocking_send(Job { write, answer }).map_err(|_| Error::Closed)?;
        answered.blocking_recv().map_err(|_| Error::Closed)?
    }
}

struct Thread {
    connection: SharedConnection,
    waiting: mpsc::Receiver<Job>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
}

impl Thread {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(QUEUE);
        while self.waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
            let answers = self.commit(&batch);
            for (job, answer) in batch.drain(..).zip(answers) {
                // A caller that no longer waits does not want the answer.
                let _ = job.answer.send(answer);
            }
        }
    }

    /// Commits a batch. A write that fails takes only itself back; a failure of the transaction is the answer to all.
    fn commit(&self, batch: &[Job]) -> Vec<Answer> {
        let connection = self.connection.lock();
        self.try_commit(&connection, batch).unwrap_or_else(|error| vec![Err(error); batch.len()])
    }

    fn try_commit(&self, connection: &Connection, batch: &[Job]) -> Result<Vec<Answer>> {
        if connection.is_readonly(rusqlite::MAIN_DB)? {
            return Err(Error::ReadOnly);
        }
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let before: i64 = transaction.prepare_cached(GET_VERSION)?.query_row([], |row| row.get(0))?;
        let mut context = Context { connection, random: &*self.random, now: self.clock.now(), version: before };
        let mut answers = Vec::with_capacity(batch.len());
        for job in batch {
            answers.push(apply(&mut context, &job.write)?);
        }
        if context.version == before {
            return Ok(answers);
        }
        transaction.prepare_cached(SET_VERSION)?.execute([context.version])?;
        transaction.commit()?;
        Ok(answers)
    }
}

/// Applies a write under a savepoint. The outer error is that of the transaction, the inner one of the write alone.
fn apply(context: &mut Context<'_>, write: &AtomicWrite) -> Result<Answer> {
    let run = |sql| context.connection.prepare_cached(sql)?.execute([]).map(drop);
    run("savepoint one")?;
    context.version += 1;
    let applied = context.apply(write);
    if !matches!(applied, Ok(true)) {
        context.version -= 1;
        // SQLite itself rolls back the whole transaction where the disk is full or fails. Then there is no savepoint to
        // return to, and what the batch did before is lost with it.
        if context.connection.is_autocommit() {
            return Err(applied.err().unwrap_or(Error::Closed));
        }
        run("rollback to one")?;
    }
    run("release one")?;
    Ok(applied.map(|held| held.then(|| Versionstamp::from_version(context.version as u64))))
}

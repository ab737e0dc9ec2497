//! The task that commits the writes of an open database, in their order. What waits while a batch is committed becomes the next.

use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{AtomicWrite, Commit, Enqueue, Error, MutationKind, Result, Turn};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::error::{CallError, Failure};
use crate::session::{Backoff, Session};
use crate::transaction::{Batch, Outcome, Progress, Writer};

/// A write in flight.
pub(crate) struct Job {
    pub turn: Turn,
    pub kind: Kind,
}

pub(crate) enum Kind {
    Write { write: AtomicWrite, reply: Reply<Commit> },
    DeleteRange { start: Vec<u8>, end: Vec<u8>, limit: u32, reply: Reply<u64> },
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// The limits of a batch: in operations, and in bytes of keys, values and messages.
const MAX_OPERATIONS: usize = 1024;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The longest time that a batch waits for as many writes as the last one had.
const MAX_GATHERING: Duration = Duration::from_millis(2);

/// The intervals of removing rows that are no longer needed, and of continuing with that.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
const SWEEP_PAUSE: Duration = Duration::from_millis(200);

/// Commits jobs until the channel closes.
pub(crate) async fn run(session: Arc<Session>, writer: Writer, jobs: mpsc::UnboundedReceiver<Job>) {
    let last = Last { len: 1, duration: Duration::ZERO };
    Task { session, writer: Some(writer), jobs, batches: 0, last, sweep_at: Instant::now() + SWEEP_INTERVAL }
        .run()
        .await;
}

struct Task {
    session: Arc<Session>,
    /// `None` if the connection was lost.
    writer: Option<Writer>,
    jobs: mpsc::UnboundedReceiver<Job>,
    /// The number of batches so far.
    batches: i64,
    last: Last,
    sweep_at: Instant,
}

/// The size of the last batch, and how long its commit took.
struct Last {
    len: usize,
    duration: Duration,
}

/// Writes that are committed together.
#[derive(Default)]
struct Gathered {
    writes: Vec<AtomicWrite>,
    waiting: Vec<(Turn, Reply<Commit>)>,
    operations: usize,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, turn: Turn, write: AtomicWrite, reply: Reply<Commit>) {
        self.operations += operations(&write);
        self.bytes += bytes(&write);
        self.writes.push(write);
        self.waiting.push((turn, reply));
    }

    fn admits(&self, write: &AtomicWrite) -> bool {
        self.operations + operations(write) <= MAX_OPERATIONS && self.bytes + bytes(write) <= MAX_BYTES
    }
}

fn operations(write: &AtomicWrite) -> usize {
    1 + write.checks.len() + write.mutations.len() + write.enqueues.len()
}

fn bytes(write: &AtomicWrite) -> usize {
    let value = |kind: &MutationKind| kind.value().map_or(0, openkv_engine::Value::len);
    let mutations = write.mutations.iter().map(|mutation| mutation.key.as_bytes().len() + value(&mutation.kind));
    let message = |enqueue: &Enqueue| enqueue.message.len();
    mutations.sum::<usize>() + write.enqueues.iter().map(message).sum::<usize>()
}

impl Task {
    async fn run(mut self) {
        let mut next = None;
        loop {
            let job = match next.take() {
                Some(job) => Some(job),
                None => tokio::select! {
                    biased;
                    job = self.jobs.recv() => job,
                    () = tokio::time::sleep_until(self.sweep_at) => {
                        self.sweep().await;
                        continue;
                    }
                },
            };
            let Some(Job { mut turn, kind }) = job else { return };
            turn.wait().await;
            match kind {
                Kind::Write { write, reply } => {
                    let mut gathered = Gathered::default();
                    gathered.push(turn, write, reply);
                    next = self.gather(&mut gathered).await;
                    self.commit_writes(gathered).await;
                }
                Kind::DeleteRange { start, end, limit, reply } => {
                    let result = match self.commit(&Batch::DeleteRange { start, end, limit }).await {
                        Ok(Outcome::Deleted(deleted)) => Ok(deleted),
                        Ok(Outcome::Writes(_)) => Err(CallError::Stopped.into()),
                        Err(failure) => Err(failure.into_error()),
                    };
                    // It is no longer in flight when its future is done.
                    drop(turn);
                    let _ = reply.send(result);
                }
            }
        }
    }

    /// Adds the writes that wait, up to the first that cannot be part of the batch. Returns that one.
    ///
    /// Programs that await many writes call the next ones shortly after a commit: a batch waits for as many as the last one had, but
    /// only a fraction of the time of a commit.
    async fn gather(&mut self, gathered: &mut Gathered) -> Option<Job> {
        let until = Instant::now() + (self.last.duration / 8).min(MAX_GATHERING);
        loop {
            let job = match self.jobs.try_recv() {
                Ok(job) => job,
                Err(_) if gathered.writes.len() < self.last.len => timeout_at(until, self.jobs.recv()).await.ok()??,
                Err(_) => return None,
            };
            match job {
                Job { turn, kind: Kind::Write { write, reply } } if turn.has_come() && gathered.admits(&write) => {
                    gathered.push(turn, write, reply);
                }
                job => return Some(job),
            }
        }
    }

    async fn commit_writes(&mut self, gathered: Gathered) {
        let Gathered { writes, waiting, .. } = gathered;
        let start = Instant::now();
        let len = writes.len();
        let batch = Batch::Writes(writes);
        let results = match self.commit(&batch).await {
            Ok(Outcome::Writes(results)) => results,
            // Only the writes that the server rejects must fail.
            Err(Failure::Data(_)) if len > 1 => self.commit_each(batch).await,
            Err(failure) => vec![Err(failure.into_error()); len],
            Ok(Outcome::Deleted(_)) => vec![Err(CallError::Stopped.into()); len],
        };
        self.last = Last { len, duration: start.elapsed() };
        // They are no longer in flight when their futures are done. Callers may have dropped these.
        let (turns, replies): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        drop(turns);
        for (reply, result) in replies.into_iter().zip(results) {
            let _ = reply.send(result);
        }
    }

    async fn commit_each(&mut self, batch: Batch) -> Vec<Result<Commit>> {
        let Batch::Writes(writes) = batch else { return Vec::new() };
        let mut results = Vec::new();
        for write in writes {
            match self.commit(&Batch::Writes(vec![write])).await {
                Ok(Outcome::Writes(each)) => results.extend(each),
                Ok(Outcome::Deleted(_)) => results.push(Err(CallError::Stopped.into())),
                Err(failure) => results.push(Err(failure.into_error())),
            }
        }
        results
    }

    /// Commits a batch exactly once. If the connection is lost, tries again over a new one.
    async fn commit(&mut self, batch: &Batch) -> Result<Outcome, Failure> {
        self.batches += 1;
        let mut progress = Progress::default();
        let session = self.session.clone();
        let mut backoff = Backoff::new(&*session.random, session.retry_for);
        loop {
            let attempt = timeout_at(backoff.deadline, self.attempt(batch, &mut progress)).await;
            let failure = match attempt {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    let timeout = CallError::TimedOut { seconds: session.retry_for.as_secs() };
                    // The server may still respond to it: the connection cannot be used again.
                    self.writer = None;
                    Failure::Final(timeout.into())
                }
            };
            if let Failure::Transient(error) = &failure {
                tracing::debug!(%error, "a commit to PostgreSQL is retried");
                self.writer = None;
                if backoff.wait().await {
                    continue;
                }
            }
            return Err(match progress.unconfirmed {
                Some(_) => Failure::Final(Error::OutcomeUnknown(Arc::new(failure.into_error()))),
                None => failure,
            });
        }
    }

    async fn attempt(&mut self, batch: &Batch, progress: &mut Progress) -> Result<Outcome, Failure> {
        let number = self.batches;
        self.writer().await?.commit(batch, number, progress).await
    }

    async fn writer(&mut self) -> Result<&Writer, Failure> {
        if self.writer.as_ref().is_none_or(Writer::is_lost) {
            self.writer = None;
            let connection = self.session.connect().await?;
            self.writer = Some(Writer::new(self.session.clone(), connection).await?);
        }
        self.writer.as_ref().ok_or_else(|| CallError::Stopped.into())
    }

    async fn sweep(&mut self) {
        let swept = match self.writer().await {
            Ok(writer) => writer.sweep().await,
            Err(failure) => Err(failure),
        };
        let is_full = swept.unwrap_or_else(|failure| {
            tracing::debug!(error = %failure.into_error(), "expired entries could not be removed");
            self.writer = None;
            false
        });
        self.sweep_at = Instant::now() + if is_full { SWEEP_PAUSE } else { SWEEP_INTERVAL };
    }
}

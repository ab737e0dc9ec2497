use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openkv_engine::{AtomicWrite, Check, Commit, CommitId, Consistency, Enqueue, Mutation, Result, Turn, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::batch::Batch;
use super::call::{Call, Decoded, RESPONSE_PARTS, Repeat};
use super::error::CallError;
use super::session::Session;
use crate::wire::openkv::{DeleteRange, DeleteRangeOutput};
use crate::wire::{parts, paths, write};

/// A write in flight.
pub(crate) struct Job {
    /// When it was called.
    pub since: Instant,
    pub turn: Turn,
    pub kind: Kind,
}

pub(crate) enum Kind {
    Write { write: AtomicWrite, reply: oneshot::Sender<Result<Commit>> },
    DeleteRange { range: DeleteRange, reply: oneshot::Sender<Result<u64>> },
}

impl Job {
    /// Returns approximately how much memory it takes, in bytes.
    fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.kind {
                Kind::Write { write, .. } => size_of_write(write),
                Kind::DeleteRange { range, .. } => range.start.len() + range.end.len(),
            }
    }
}

fn size_of_write(write: &AtomicWrite) -> usize {
    let check = |check: &Check| size_of::<Check>() + check.key.as_bytes().len();
    let mutation = |mutation: &Mutation| {
        size_of::<Mutation>() + mutation.key.as_bytes().len() + mutation.kind.value().map_or(0, Value::len)
    };
    let enqueue = |enqueue: &Enqueue| size_of::<Enqueue>() + enqueue.message.len();
    write.checks.iter().map(check).sum::<usize>()
        + write.mutations.iter().map(mutation).sum::<usize>()
        + write.enqueues.iter().map(enqueue).sum::<usize>()
}

/// Returns the two ends of the queue of a database's writes.
pub(crate) fn queue() -> (Writes, Jobs) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::<AtomicUsize>::default();
    (Writes { sender, queued: queued.clone() }, Jobs { receiver, queued })
}

/// Queues writes for the writer task.
pub(crate) struct Writes {
    sender: mpsc::UnboundedSender<Job>,
    /// The size of the queued jobs in bytes.
    queued: Arc<AtomicUsize>,
}

impl Writes {
    /// Queues a job.
    ///
    /// # Errors
    /// [`CallError::QueueFull`] if more than [`Options::queue_size`](super::Options::queue_size) bytes are queued, and
    /// [`CallError::Stopped`].
    pub fn send(&self, job: Job, session: &Session) -> Result<()> {
        let max = session.options.queue_size;
        let size = job.size();
        let fits = |queued: usize| queued.checked_add(size).filter(|sum| queued == 0 || *sum <= max);
        if self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            let call = match &job.kind {
                Kind::Write { .. } => paths::ATOMIC_WRITE,
                Kind::DeleteRange { .. } => paths::DELETE_RANGE,
            };
            let url = session.current().url(Consistency::Strong, call);
            return Err(url.map_or(CallError::NoStrongEndpoint, |url| CallError::QueueFull { url, max }).into());
        }
        self.sender.send(job).map_err(|_| CallError::Stopped.into())
    }
}

/// Receives the queued writes.
pub(crate) struct Jobs {
    receiver: mpsc::UnboundedReceiver<Job>,
    queued: Arc<AtomicUsize>,
}

impl Jobs {
    async fn next(&mut self) -> Option<Job> {
        let job = self.receiver.recv().await?;
        Some(self.taken(job))
    }

    fn try_next(&mut self) -> Option<Job> {
        let job = self.receiver.try_recv().ok()?;
        Some(self.taken(job))
    }

    fn taken(&self, job: Job) -> Job {
        self.queued.fetch_sub(job.size(), Ordering::Relaxed);
        job
    }
}

/// Executes writes in order until the channel closes. Writes that are queued while others are sent share the next request.
pub(crate) async fn run(session: Arc<Session>, mut jobs: Jobs) {
    let mut next = None;
    loop {
        let job = match next.take() {
            Some(job) => Some(job),
            None => jobs.next().await,
        };
        let Some(Job { since, mut turn, kind }) = job else { return };
        turn.wait().await;
        match kind {
            Kind::Write { write, reply } => {
                let mut batch = Batch::default();
                batch.push(&session, since, turn, write, reply);
                if session.has_extension() {
                    next = fill(&mut batch, &session, &mut jobs);
                }
                batch.commit(&session).await;
            }
            Kind::DeleteRange { range, reply } => {
                let result = delete_range(&session, since, &range).await;
                // It is no longer in flight when its future is done. The caller may have dropped it.
                drop(turn);
                let _ = reply.send(result);
            }
        }
    }
}

/// Adds queued writes to a batch, up to the first that has to wait for it. Returns that one.
fn fill(batch: &mut Batch, session: &Session, jobs: &mut Jobs) -> Option<Job> {
    let now = session.options.clock.now();
    loop {
        match jobs.try_next()? {
            Job { since, turn, kind: Kind::Write { write, reply } } if turn.has_come() && batch.admits(&write, now) => {
                batch.push(session, since, turn, write, reply);
            }
            job => return Some(job),
        }
    }
}

/// Deletes entries. The server recognizes a retry by the id, as it would delete and count the entries after those.
async fn delete_range(session: &Arc<Session>, since: Instant, range: &DeleteRange) -> Result<u64> {
    let id = CommitId::new(&*session.options.random);
    let call = Call {
        header: Some(write::encode_id(id)),
        repeat: Repeat::WithExtension,
        since,
        ..Call::new(paths::DELETE_RANGE, range)
    };
    let deleted = |body| {
        let output: DeleteRangeOutput = parts::decode(body, RESPONSE_PARTS)?;
        Ok(Decoded::Value(output.deleted))
    };
    session.call(&call, deleted).await
}

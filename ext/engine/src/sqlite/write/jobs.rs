//! What the worker is asked to do, and the claims by which the holders of messages ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::in_flight::{Flight, InFlight};
use crate::sqlite::file::durability::Durability;
use crate::{AtomicWrite, Commit, Error, OwnedRead, ReadEntry, Result};

pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// Work for the worker.
#[expect(clippy::large_enum_variant, reason = "most are operations, which a box would only allocate once more")]
pub(crate) enum Job {
    Do(Operation),
    Dequeue {
        capacity: usize,
        answer: Answer<Vec<Claim>>,
    },
    /// The handler of a claimed message is called.
    Start(Token),
    /// Something to run between two transactions: after the jobs before it, and before those after it.
    Run(Box<dyn FnOnce(&Connection) + Send>),
    /// Something else is due earlier than it was.
    Wake,
    /// No database uses the file any more. See [`Closing`].
    Close(Closing),
}

impl Job {
    /// Whether it is an operation that takes effect in the order of the calls. In memory, callers do these themselves where none
    /// waits for the thread.
    pub fn is_called(&self) -> bool {
        matches!(
            self,
            Job::Do(Operation::Write { .. } | Operation::DeleteRange { .. } | Operation::Read { .. }) | Job::Run(_)
        )
    }
}

/// What becomes of the messages whose handlers run when a file is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The handlers may still finish them.
    Finish,
    /// The process ends, and with it the handlers.
    Abandon,
}

/// Work in a transaction.
pub(crate) enum Operation {
    /// The flights of those that are queued end when they are committed or have failed, before the answer.
    Write {
        write: AtomicWrite,
        reply: Reply<Commit>,
        flight: Option<Flight>,
    },
    DeleteRange {
        start: Vec<u8>,
        end: Vec<u8>,
        limit: u32,
        reply: Reply<u64>,
        flight: Option<Flight>,
    },
    /// A read that takes place after the writes before it, and before those after it.
    Read {
        reads: Vec<OwnedRead>,
        max_bytes: usize,
        reply: Reply<Vec<Vec<ReadEntry>>>,
    },
    /// Reads the id of the database, and stores it where there is none.
    Id {
        reply: Reply<[u8; 16]>,
    },
    Finish {
        token: Token,
        success: bool,
        reply: Reply<()>,
    },
    /// Ends the claim of a message that nobody finishes.
    Release {
        token: Token,
    },
}

impl Operation {
    /// When what it does must be on the disk. None for one that changes nothing.
    pub fn durability(&self) -> Option<Durability> {
        match self {
            Operation::Write { .. } | Operation::DeleteRange { .. } | Operation::Id { .. } => Some(Durability::Synced),
            Operation::Finish { .. } | Operation::Release { .. } => Some(Durability::Deferred),
            Operation::Read { .. } => None,
        }
    }

    /// About how many bytes it adds to the WAL.
    pub fn size(&self) -> usize {
        match self {
            Operation::Write { write, .. } => write.size(),
            _ => 0,
        }
    }

    /// Notes that it is queued.
    pub fn queue(&mut self, in_flight: &Arc<InFlight>) {
        match self {
            Operation::Write { write, flight, .. } => *flight = Some(in_flight.write(write)),
            Operation::DeleteRange { start, end, flight, .. } => *flight = Some(in_flight.delete_range(start, end)),
            Operation::Read { .. } | Operation::Id { .. } | Operation::Finish { .. } | Operation::Release { .. } => {}
        }
    }
}

/// An answer to be sent, and what it will be if the transaction is committed.
pub(crate) struct Reply<T> {
    answer: Answer<T>,
    pub result: Option<Result<T>>,
}

impl<T> Reply<T> {
    pub fn new(answer: Answer<T>) -> Self {
        Self { answer, result: None }
    }

    pub fn send(self, committed: &Result<()>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or(Err(Error::Closed)),
            Err(error) => Err(error.clone()),
        };
        // A caller that no longer waits does not want the answer.
        let _ = self.answer.send(result);
    }
}

/// What a process calls a message that it has claimed.
pub(crate) type Token = u64;

/// A message that was claimed. Goes back to the queue as it was if it is dropped before [`Claim::start`], and as one that was
/// not handled if it is dropped afterwards.
pub(crate) struct Claim {
    message: Vec<u8>,
    token: Token,
    received: Arc<AtomicBool>,
    jobs: mpsc::UnboundedSender<Job>,
    finished: bool,
}

impl Claim {
    /// The claim of a message. `received` is set once whoever waited for it has it.
    pub fn new(message: Vec<u8>, token: Token, received: Arc<AtomicBool>, jobs: mpsc::UnboundedSender<Job>) -> Self {
        Self { message, token, received, jobs, finished: false }
    }

    /// Takes the message, for whoever waited for it.
    pub fn receive(&mut self) -> Vec<u8> {
        self.received.store(true, Ordering::Release);
        std::mem::take(&mut self.message)
    }

    /// Notes that its handler is called now.
    pub fn start(&self) {
        let _ = self.jobs.send(Job::Start(self.token));
    }

    /// Ends the claim. A message that was not handled is delivered again along its schedule.
    pub fn finish(mut self, success: bool) -> impl Future<Output = Result<()>> + Send + use<> {
        self.finished = true;
        let (answer, answered) = oneshot::channel();
        let finish = Operation::Finish { token: self.token, success, reply: Reply::new(answer) };
        let sent = self.jobs.send(Job::Do(finish));
        async move {
            sent.map_err(|_| Error::Closed)?;
            answered.await.map_err(|_| Error::Closed)?
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.jobs.send(Job::Do(Operation::Release { token: self.token }));
        }
    }
}

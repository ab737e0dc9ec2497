//! The jobs of the writer's thread, and the claims of messages, which send such jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::in_flight::{Flight, InFlight};
use crate::sqlite::file::durability::Durability;
use crate::{AtomicWrite, Commit, Error, OwnedRead, ReadEntry, Result};

pub(crate) type ReplySender<T> = oneshot::Sender<Result<T>>;

/// A job of the worker.
#[expect(clippy::large_enum_variant, reason = "most are operations, which a box would only allocate once more")]
pub(crate) enum Job {
    Do(Operation),
    Dequeue {
        capacity: usize,
        reply: ReplySender<Vec<Claim>>,
    },
    /// The handler of a claimed message was called.
    Start(Token),
    /// A function to run between two transactions, in the order of the jobs.
    Run(Box<dyn FnOnce(&Connection) + Send>),
    /// The next due time may be earlier than before.
    Wake,
    /// The file is no longer used by any database. See [`Closing`].
    Close(Closing),
}

impl Job {
    /// Returns whether it takes effect in the order of the calls. In memory, callers run such operations themselves as long as
    /// none is queued for the thread.
    pub fn is_called(&self) -> bool {
        matches!(
            self,
            Job::Run(_)
                | Job::Do(
                    Operation::Write { .. }
                        | Operation::DeleteRange { .. }
                        | Operation::Read { .. }
                        | Operation::Id { .. }
                        | Operation::RaiseVersion { .. }
                )
        )
    }
}

/// How to treat the messages whose handlers are running when a file is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The handlers may still finish them.
    Finish,
    /// The process exits, and with it the handlers.
    Abandon,
}

/// An operation of a transaction.
pub(crate) enum Operation {
    /// The flight of a queued write is dropped once it was committed or has failed, before the reply is sent.
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
    /// A read in the order of the writes.
    Read {
        reads: Vec<OwnedRead>,
        max_bytes: usize,
        reply: Reply<Vec<Vec<ReadEntry>>>,
    },
    /// Reads the id of the database, and stores one if there is none.
    Id {
        reply: Reply<[u8; 16]>,
    },
    /// Makes later versions greater than this one.
    RaiseVersion {
        version: i64,
        reply: Reply<()>,
    },
    Finish {
        token: Token,
        success: bool,
        reply: Reply<()>,
    },
    /// Releases the claim of a message that was not finished.
    Release {
        token: Token,
    },
}

impl Operation {
    /// Returns when its changes must be on disk, or `None` for a read.
    pub fn durability(&self) -> Option<Durability> {
        match self {
            Operation::Write { .. }
            | Operation::DeleteRange { .. }
            | Operation::Id { .. }
            | Operation::RaiseVersion { .. } => Some(Durability::Synced),
            Operation::Finish { .. } | Operation::Release { .. } => Some(Durability::Deferred),
            Operation::Read { .. } => None,
        }
    }

    /// Returns approximately how many bytes it adds to the WAL.
    pub fn size(&self) -> usize {
        match self {
            Operation::Write { write, .. } => write.size(),
            _ => 0,
        }
    }

    /// Registers its changes as in flight, before it is queued.
    pub fn queue(&mut self, in_flight: &Arc<InFlight>) {
        match self {
            Operation::Write { write, flight, .. } => *flight = Some(in_flight.write(write)),
            Operation::DeleteRange { start, end, flight, .. } => *flight = Some(in_flight.delete_range(start, end)),
            Operation::Read { .. }
            | Operation::Id { .. }
            | Operation::RaiseVersion { .. }
            | Operation::Finish { .. }
            | Operation::Release { .. } => {}
        }
    }
}

/// A reply to a caller, and the result to send if the transaction is committed.
pub(crate) struct Reply<T> {
    sender: ReplySender<T>,
    pub result: Option<Result<T>>,
}

impl<T> Reply<T> {
    pub fn new(sender: ReplySender<T>) -> Self {
        Self { sender, result: None }
    }

    pub fn send(self, committed: &Result<()>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or(Err(Error::Closed)),
            Err(error) => Err(error.clone()),
        };
        // Fails if the caller has dropped its future.
        let _ = self.sender.send(result);
    }
}

/// Identifies a claimed message within this process.
pub(crate) type Token = u64;

/// A claimed message. If dropped before [`Claim::start`], it is requeued unchanged; if dropped afterwards, the attempt counts as
/// failed.
pub(crate) struct Claim {
    message: Vec<u8>,
    token: Token,
    received: Arc<AtomicBool>,
    jobs: mpsc::UnboundedSender<Job>,
    finished: bool,
}

impl Claim {
    /// Returns the claim of a message. `received` is set once the listener has received it.
    pub fn new(message: Vec<u8>, token: Token, received: Arc<AtomicBool>, jobs: mpsc::UnboundedSender<Job>) -> Self {
        Self { message, token, received, jobs, finished: false }
    }

    /// Takes the message, on behalf of the listener.
    pub fn receive(&mut self) -> Vec<u8> {
        self.received.store(true, Ordering::Release);
        std::mem::take(&mut self.message)
    }

    /// Records that the handler is called now.
    pub fn start(&self) {
        let _ = self.jobs.send(Job::Start(self.token));
    }

    /// Ends the claim. Without success, the message is redelivered according to its schedule.
    pub fn finish(mut self, success: bool) -> impl Future<Output = Result<()>> + Send + use<> {
        self.finished = true;
        let (sender, result) = oneshot::channel();
        let finish = Operation::Finish { token: self.token, success, reply: Reply::new(sender) };
        let sent = self.jobs.send(Job::Do(finish));
        async move {
            sent.map_err(|_| Error::Closed)?;
            result.await.map_err(|_| Error::Closed)?
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

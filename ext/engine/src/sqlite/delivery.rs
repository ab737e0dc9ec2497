//! How messages come to those that wait for them.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{self, Either};

use super::writer::Writer;
use super::{Handle, queue, ready};
use crate::{BoxFuture, Claim, Delivery};

/// Waits for messages, at most so many. Returns none once the database is closed.
pub(super) fn dequeue(handle: &Handle, count: usize) -> BoxFuture<Vec<Delivery>> {
    let state = handle.open.lock();
    let Some(open) = &*state else { return ready(Ok(Vec::new())) };
    let (writer, mut closed) = (open.writer.clone(), open.closed.subscribe());
    // The listener waits from now on.
    let claiming = writer.dequeue(count);
    Box::pin(async move {
        let closed = pin!(closed.changed());
        match future::select(closed, claiming).await {
            // What was claimed as the database was closed goes back.
            Either::Left(_) => Ok(Vec::new()),
            Either::Right((claimed, _)) => Ok(delivered(claimed?, &writer)),
        }
    })
}

fn delivered(claimed: Vec<queue::Claim>, writer: &Arc<Writer>) -> Vec<Delivery> {
    let delivery = |mut claim: queue::Claim| {
        let message = claim.receive();
        Delivery::new(message, Claimed { claim, _writer: writer.clone() })
    };
    claimed.into_iter().map(delivery).collect()
}

/// A message that a database has claimed.
struct Claimed {
    claim: queue::Claim,
    /// Whoever opens the file again meanwhile uses the writer that renews the lease.
    _writer: Arc<Writer>,
}

impl Claim for Claimed {
    fn start(&self) {
        self.claim.start();
    }

    fn finish(self: Box<Self>, success: bool) -> BoxFuture<()> {
        Box::pin(self.claim.finish(success))
    }
}

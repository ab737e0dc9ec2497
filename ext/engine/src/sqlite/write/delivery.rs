//! Delivers claimed messages to the listeners of a database.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{self, Either};
use tokio::sync::watch;

use crate::sqlite::write::jobs;
use crate::sqlite::write::writer::Writer;
use crate::{BoxFuture, Claim, Delivery};

/// Waits for up to `count` messages. Returns an empty list once the database is closed.
pub(crate) fn dequeue(writer: Arc<Writer>, mut closed: watch::Receiver<()>, count: usize) -> BoxFuture<Vec<Delivery>> {
    // Queued before the future is polled: the listener waits from now on.
    let claiming = writer.dequeue(count);
    Box::pin(async move {
        let closed = pin!(closed.changed());
        match future::select(closed, claiming).await {
            // Dropping claims requeues messages that were claimed while the database was closing.
            Either::Left(_) => Ok(Vec::new()),
            Either::Right((claimed, _)) => Ok(delivered(claimed?, &writer)),
        }
    })
}

fn delivered(claimed: Vec<jobs::Claim>, writer: &Arc<Writer>) -> Vec<Delivery> {
    let delivery = |mut claim: jobs::Claim| {
        let message = claim.receive();
        Delivery::new(message, Claimed { claim, _writer: writer.clone() })
    };
    claimed.into_iter().map(delivery).collect()
}

/// A message that a database has claimed.
struct Claimed {
    claim: jobs::Claim,
    /// Keeps the writer that renews the lease, for the case that the file is opened again meanwhile.
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

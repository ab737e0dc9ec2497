//! How messages come to those that wait for them, as many at a time as the limits allow.

use std::sync::Arc;

use futures_util::future::Either;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::writer::Writer;
use super::{Handle, queue, ready};
use crate::{Claim, Delivery, Error, Pending, Result};

/// How many messages to claim in one transaction. More would leave less to other listeners.
pub(super) const BATCH: usize = 16;

/// Waits for messages, at most so many. Returns none once the database is closed.
pub(super) fn dequeue(handle: &Handle, count: usize) -> Pending<Vec<Delivery>> {
    let state = handle.open.lock();
    let Some(open) = &*state else { return ready(Ok(Vec::new())) };
    let (writer, capacity, mut closed) = (open.writer.clone(), open.capacity.clone(), open.closed.subscribe());
    let kept = writer.clone();
    let claiming = match capacity.clone().try_acquire_owned() {
        // With capacity, the listener waits from now on.
        Ok(permit) => Either::Left(claim(&writer, capacity, permit, count)),
        Err(_) => Either::Right(async move {
            match capacity.clone().acquire_owned().await {
                Ok(permit) => claim(&writer, capacity, permit, count).await,
                Err(_) => Err(Error::Closed),
            }
        }),
    };
    Box::pin(async move {
        tokio::select! {
            // What was claimed as the database was closed goes back.
            biased;
            _ = closed.changed() => Ok(Vec::new()),
            claimed = claiming => {
                let delivery = |(mut claim, permit): (queue::Claim, _)| {
                    let message = claim.receive();
                    Delivery::new(message, Claimed { claim, _permit: permit, _writer: kept.clone() })
                };
                Ok(claimed?.into_iter().map(delivery).collect())
            }
        }
    })
}

/// Claims messages: at most so many, and as many as there is capacity for beside the one permit.
fn claim(
    writer: &Writer,
    capacity: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
    count: usize,
) -> impl Future<Output = Result<Vec<(queue::Claim, OwnedSemaphorePermit)>>> + Send + use<> {
    let more = std::iter::from_fn(move || capacity.clone().try_acquire_owned().ok());
    let permits: Vec<_> = std::iter::once(permit).chain(more).take(count).collect();
    let claimed = writer.dequeue(permits.len());
    async move { Ok(claimed.await?.into_iter().zip(permits).collect()) }
}

/// A message that a database has claimed.
struct Claimed {
    claim: queue::Claim,
    _permit: OwnedSemaphorePermit,
    /// Whoever opens the file again meanwhile uses the writer that renews the lease.
    _writer: Arc<Writer>,
}

impl Claim for Claimed {
    fn start(&self) {
        self.claim.start();
    }

    fn finish(self: Box<Self>, success: bool) -> Pending<()> {
        let Self { claim, _permit: permit, .. } = *self;
        let finished = claim.finish(success);
        Box::pin(async move {
            let finished = finished.await;
            drop(permit);
            finished
        })
    }
}

use std::sync::Arc;

use openkv_engine::{BoxFuture, Claim, Delivery, Error, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::backoff::Backoff;
use super::call::{Call, Decoded, Failure};
use super::frames::Frames;
use super::session::Session;
use crate::wire::openkv::{Batch, BatchId, Dequeue, Finish, Start};
use crate::wire::{Malformed, paths};

/// Waits until messages are due, and claims them.
pub(crate) async fn dequeue(session: Arc<Session>, limit: usize) -> Result<Vec<Delivery>> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let call = Call::new(paths::DEQUEUE, &Dequeue { limit });
    let mut backoff = Backoff::new(&*session.options.random, session.options.retry_for);
    loop {
        let failure = match claim(&session, &call, limit).await {
            Ok(deliveries) => return Ok(deliveries),
            Err(failure) => failure,
        };
        let (error, retry_after) = match failure {
            Failure::Final(error) | Failure::Rejected(error) => return Err(error),
            Failure::Transient { error, retry_after, .. } => (error, retry_after),
        };
        tracing::debug!(%error, "messages of a remote database could not be claimed");
        if !backoff.wait(retry_after).await {
            return Err(error);
        }
    }
}

async fn claim(session: &Arc<Session>, call: &Call, limit: u32) -> Result<Vec<Delivery>, Failure> {
    let mut frames = Frames::open(session, call).await?;
    let Batch { batch, messages } = frames.next().await?;
    // An empty list would mean that the database is closed.
    if messages.is_empty() || messages.len() > limit as usize {
        return Err(frames.malformed(Malformed::Messages { found: messages.len(), limit }));
    }
    let id = BatchId::try_from(&batch[..]).map_err(|malformed| frames.malformed(malformed))?;
    let (claims, released) = oneshot::channel();
    // The server holds the claims for as long as the stream is open.
    tokio::spawn(async move {
        tokio::select! {
            _ = released => {}
            _ = hold(&mut frames) => {}
        }
    });
    let shared = Arc::new(Shared { session: session.clone(), id, runtime: Handle::current(), _claims: claims });
    let claim = |index| Remote { shared: shared.clone(), index, is_started: false.into(), is_finished: false };
    Ok((0..).zip(messages).map(|(index, message)| Delivery::new(message, claim(index))).collect())
}

/// Reads until the stream closes. The server then redelivers messages that are not finished.
async fn hold(frames: &mut Frames) -> Failure {
    loop {
        if let Err(failure) = frames.next::<Batch>().await {
            return failure;
        }
    }
}

/// A batch of claimed messages. Dropping it closes the stream that holds the claims.
struct Shared {
    session: Arc<Session>,
    id: BatchId,
    runtime: Handle,
    /// Closes the stream when it is dropped.
    _claims: oneshot::Sender<()>,
}

/// The claim of a message.
struct Remote {
    shared: Arc<Shared>,
    index: u32,
    is_started: std::sync::atomic::AtomicBool,
    is_finished: bool,
}

impl Remote {
    fn finish_in_background(&self, success: bool) -> tokio::task::JoinHandle<Result<()>> {
        let shared = self.shared.clone();
        let message = Finish { batch: shared.id.0.to_vec(), index: self.index, success };
        self.shared.runtime.spawn(async move {
            let call = Call::new(paths::FINISH, &message);
            shared.session.call(&call, |_| Ok(Decoded::Value(()))).await
        })
    }
}

impl Claim for Remote {
    fn start(&self) {
        if self.is_started.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let shared = self.shared.clone();
        let message = Start { batch: shared.id.0.to_vec(), index: self.index };
        // If this fails, the server redelivers the message, as at-least-once delivery allows.
        self.shared.runtime.spawn(async move {
            let call = Call::new(paths::START, &message);
            shared.session.call(&call, |_| Ok(Decoded::Value(()))).await
        });
    }

    fn finish(mut self: Box<Self>, success: bool) -> BoxFuture<()> {
        self.is_finished = true;
        let finished = self.finish_in_background(success);
        Box::pin(async move { finished.await.map_err(|_| Error::Closed)? })
    }
}

impl Drop for Remote {
    /// Fails a message that was started. Others are requeued when the stream of the batch closes.
    fn drop(&mut self) {
        if *self.is_started.get_mut() && !self.is_finished {
            drop(self.finish_in_background(false));
        }
    }
}

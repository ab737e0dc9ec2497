//! The stream of a client that waits for messages, and holds the messages that it has claimed.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use openkv_engine::{BoxFuture, Delivery};

use super::batches::Claims;
use super::body::{self, Body};
use super::failure::Failure;
use super::hosted::Hosted;
use super::peer::{Peer, Streaming};
use super::phase::Phase;
use super::shared::Shared;
use super::shares::Share;
use crate::wire::{frame, headers};

/// The maximum number of messages in a batch.
const LIMIT: u32 = 64;

struct Dequeue {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    database: uuid::Uuid,
    state: State,
    /// `None` once the server is stopping.
    stopping: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _guards: (Streaming, Share),
}

enum State {
    Claiming(BoxFuture<Vec<Delivery>>),
    Claimed(Claims),
}

/// Returns the stream of a client that waits for up to `limit` messages.
///
/// # Errors
/// There are too many streams, or the server is stopping.
pub(crate) fn respond(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    hosted: &Hosted,
    limit: u32,
) -> Result<Response<Body>, Failure> {
    let guards = shared.begin_stream(peer)?;
    let limit = limit.clamp(1, LIMIT) as usize;
    let dequeue = Dequeue {
        shared: shared.clone(),
        peer: peer.clone(),
        database: hosted.id,
        state: State::Claiming(hosted.database.dequeue_up_to(limit)),
        stopping: Some(Box::pin(shared.phase.reached(Phase::Stopping))),
        _guards: guards,
    };
    Ok(body::response(headers::FRAMES, body::stream(stream::unfold(dequeue, Dequeue::next))))
}

impl Dequeue {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let interval = self.shared.options.ping_interval;
        let ping = tokio::time::sleep(interval);
        tokio::pin!(ping);
        loop {
            match &mut self.state {
                State::Claiming(claiming) => tokio::select! {
                    biased;
                    () = stop_requested(&mut self.stopping) => return None,
                    claimed = claiming => {
                        let deliveries = claimed
                            .inspect_err(|error| tracing::warn!(%error, "failed to claim messages"))
                            .ok()
                            .filter(|deliveries| !deliveries.is_empty())?;
                        return self.claimed(deliveries);
                    }
                    () = &mut ping => {}
                },
                State::Claimed(claims) => tokio::select! {
                    biased;
                    () = claims.wait_closed() => return None,
                    () = stop_requested(&mut self.stopping) => {
                        self.stopping = None;
                        claims.requeue_unstarted();
                        continue;
                    }
                    () = &mut ping => {}
                },
            }
            return Some((Bytes::from_static(&frame::PING), self));
        }
    }

    fn claimed(mut self, deliveries: Vec<Delivery>) -> Option<(Bytes, Self)> {
        // A batch that cannot be sent is requeued when its claims are dropped.
        let (batch, claims) = self.shared.batches.open(self.database, deliveries);
        let bytes = frame::encode(&batch).ok()?;
        let bytes = self.shared.send(&self.peer, bytes.into())?;
        self.state = State::Claimed(claims);
        Some((bytes, self))
    }
}

/// Waits until the server is stopping. Never returns once that has been handled.
async fn stop_requested(stopping: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match stopping {
        Some(stopping) => stopping.await,
        None => std::future::pending().await,
    }
}

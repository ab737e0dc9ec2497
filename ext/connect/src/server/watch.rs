//! The stream of a watch.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use openkv_engine::Key;

use super::body::{self, Body};
use super::failure::Failure;
use super::hosted::Hosted;
use super::peer::{Peer, Streaming};
use super::phase::Phase;
use super::shared::Shared;
use super::shares::Share;
use crate::wire::{self, frame, headers};

struct Watch {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    watch: openkv_engine::Watch,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    _guards: (Streaming, Share),
}

/// Opens the stream of a watch.
///
/// # Errors
/// There are no keys, too many keys or streams, or the server is stopping.
pub(crate) fn respond(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    hosted: &Hosted,
    keys: &[Key],
) -> Result<Response<Body>, Failure> {
    if keys.is_empty() {
        // The stream would end immediately, and Deno would open it again for ever.
        return Err(Failure::new(StatusCode::BAD_REQUEST, "a watch needs at least one key"));
    }
    let guards = shared.begin_stream(peer)?;
    let watch = Watch {
        shared: shared.clone(),
        peer: peer.clone(),
        watch: hosted.database.watch(keys)?,
        stopping: Box::pin(shared.phase.reached(Phase::Stopping)),
        _guards: guards,
    };
    Ok(body::response(headers::FRAMES, body::stream(stream::unfold(watch, Watch::next))))
}

impl Watch {
    /// Waits for the next frame. This is called when the connection has capacity for it, so that a slow client receives the
    /// latest state. Clients reopen the watch after any end of the stream.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let bytes = tokio::select! {
            biased;
            () = &mut self.stopping => return None,
            entries = self.watch.next() => {
                let entries = entries?.inspect_err(|error| tracing::warn!(%error, "a watch failed")).ok()?;
                let bytes = frame::encode(&wire::watch::encode_output(entries)).ok()?;
                self.shared.send(&self.peer, bytes.into())?
            }
            () = tokio::time::sleep(self.shared.options.ping_interval) => Bytes::from_static(&frame::PING),
        };
        Some((bytes, self))
    }
}

use std::sync::Arc;
use std::time::Duration;

use openkv_engine::Random;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::client::Client;
use crate::error::Failure;

/// A lease that a task renews. Dropping it ends the lease, which deletes its keys.
pub(crate) struct Lease {
    pub id: i64,
    /// Becomes true when the lease has expired.
    expired: watch::Receiver<bool>,
    _held: oneshot::Sender<()>,
}

/// The delay after a renewal that failed.
const RETRY: Duration = Duration::from_millis(200);

impl Lease {
    /// Creates a lease with a time to live in seconds.
    pub async fn new(client: &Arc<Client>, random: &dyn Random, ttl: u32, runtime: &Handle) -> Result<Self, Failure> {
        let id = client.grant(random, ttl.into()).await?;
        let (held, dropped) = oneshot::channel();
        let (expires, expired) = watch::channel(false);
        runtime.spawn(renew(client.clone(), id, Duration::from_secs(ttl.into()) / 3, dropped, expires));
        Ok(Self { id, expired, _held: held })
    }

    /// Returns whether the lease is known to have expired.
    pub fn is_expired(&self) -> bool {
        *self.expired.borrow()
    }
}

async fn renew(
    client: Arc<Client>,
    id: i64,
    interval: Duration,
    mut dropped: oneshot::Receiver<()>,
    expires: watch::Sender<bool>,
) {
    let mut delay = interval;
    loop {
        tokio::select! {
            _ = &mut dropped => break,
            () = tokio::time::sleep(delay) => {}
        }
        delay = match client.keep_alive(id).await {
            Ok(0) => {
                expires.send_replace(true);
                return;
            }
            Ok(_) => interval,
            Err(reason) => {
                tracing::debug!(%reason, "a lease could not be renewed, trying again");
                RETRY
            }
        };
    }
    // If this fails, the lease expires by itself.
    let _ = client.revoke(id).await;
}

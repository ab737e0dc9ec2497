use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::EtcdError;
use crate::client::Client;
use crate::client::proto::{self, TxnRequest};
use crate::core::Core;
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
    /// Creates a lease with a time to live in seconds, and a key under it. Also returns the revision of the key.
    pub async fn with_key(
        core: &Core,
        ttl: u32,
        key: impl Fn(i64) -> Vec<u8>,
        value: Vec<u8>,
    ) -> Result<(Self, i64), Failure> {
        let deadline = core.deadline();
        loop {
            let lease = Self::new(core, ttl).await?;
            let put = proto::put(key(lease.id), value.clone(), lease.id);
            match core.client.txn(TxnRequest { success: vec![put], ..TxnRequest::default() }).await {
                Ok((response, _)) => return Ok((lease, response.revision())),
                // It expired before the key was stored, as after a pause of this process.
                Err(Failure { error: EtcdError::SessionExpired, .. }) => deadline.check(EtcdError::LeasesLost)?,
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn new(core: &Core, ttl: u32) -> Result<Self, Failure> {
        let id = core.client.grant(&*core.options.random, ttl.into()).await?;
        let (held, dropped) = oneshot::channel();
        let (expires, expired) = watch::channel(false);
        let interval = Duration::from_secs(ttl.into()) / 3;
        core.runtime.spawn(renew(core.client.clone(), id, interval, dropped, expires));
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

use std::sync::Arc;
use std::time::Duration;

use openkv_engine::Error;
use parking_lot::Mutex;
use tokio::time::Instant;
use url::Url;

use super::connector::Connector;
use super::error::{MetadataError, OpenError};
use super::metadata::{Exchange, Metadata};
use super::options::Options;
use super::transport::Transport;

/// The state that all calls of a database share: the connections to its server, and the metadata.
pub(crate) struct Session {
    pub options: Options,
    pub transport: Transport,
    exchange: Exchange,
    current: Mutex<Current>,
    /// Locked during an exchange, so that there is one at a time. Holds the last failure and its time.
    refreshing: Arc<tokio::sync::Mutex<Option<(Instant, MetadataError)>>>,
    /// When the time for retries of a call was over, and its failure, unless a later call succeeded.
    unreachable: Mutex<Option<(Instant, Error)>>,
}

struct Current {
    metadata: Arc<Metadata>,
    /// When to refresh the metadata.
    refresh_at: Instant,
}

/// How long the error of a failed exchange is returned without another exchange.
const FAILURE: Duration = Duration::from_millis(500);

/// The delay before metadata that are still valid are refreshed after a failed exchange.
const PAUSE: Duration = Duration::from_secs(5);

impl Session {
    /// Fetches the metadata for the first time.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = parsed.ok_or_else(|| OpenError::InvalidUrl(url.to_owned()))?;
        if url.scheme() == "https" && options.tls.is_none() {
            return Err(OpenError::NoTls(url));
        }
        let exchange = Exchange::new(url, &options.access_token).ok_or(OpenError::InvalidToken)?;
        let transport = Transport::new(Connector::new(options.network.clone(), options.tls.as_deref()));
        let metadata = Arc::new(exchange.run(&transport, &options).await?);
        let current = Mutex::new(Current { refresh_at: metadata.refresh_at, metadata });
        Ok(Self { options, transport, exchange, current, refreshing: Arc::default(), unreachable: Mutex::default() })
    }

    /// Returns the latest metadata.
    pub fn current(&self) -> Arc<Metadata> {
        self.current.lock().metadata.clone()
    }

    /// Records that a call succeeded.
    pub fn reached(&self) {
        *self.unreachable.lock() = None;
    }

    /// Records that the time for the retries of a call is over.
    pub fn gave_up(&self, error: &Error) {
        *self.unreachable.lock() = Some((Instant::now(), error.clone()));
    }

    /// Returns the failure of the last call, if the time for the retries of one that was made at `since` is over as well.
    pub fn unreachable_since(&self, since: Instant) -> Option<Error> {
        let unreachable = self.unreachable.lock();
        let (at, error) = unreachable.as_ref()?;
        (since <= *at && since.elapsed() >= self.options.retry_for).then(|| error.clone())
    }

    /// Returns whether the server supports the extension.
    pub fn has_extension(&self) -> bool {
        self.current().has_extension
    }

    /// Returns metadata that have not expired. They are refreshed in the background some time before they expire.
    pub async fn metadata(self: &Arc<Self>) -> Result<Arc<Metadata>, MetadataError> {
        let (metadata, refresh_at) = {
            let current = self.current.lock();
            (current.metadata.clone(), current.refresh_at)
        };
        let now = Instant::now();
        if now >= metadata.expires_at {
            return self.refresh(&metadata).await;
        }
        if now >= refresh_at && self.refreshing.try_lock().is_ok() {
            let (session, metadata) = (self.clone(), metadata.clone());
            tokio::spawn(async move { session.refresh(&metadata).await });
        }
        Ok(metadata)
    }

    /// Refreshes the metadata, unless another call has replaced the `stale` ones already.
    pub async fn refresh(&self, stale: &Arc<Metadata>) -> Result<Arc<Metadata>, MetadataError> {
        let mut failed = self.refreshing.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, stale) {
            return Ok(current);
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < FAILURE
        {
            return Err(error.clone());
        }
        match self.exchange.run(&self.transport, &self.options).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *failed = None;
                *self.current.lock() = Current { refresh_at: metadata.refresh_at, metadata: metadata.clone() };
                Ok(metadata)
            }
            Err(error) => {
                tracing::warn!(%error, "the metadata of a remote database could not be refreshed");
                *failed = Some((Instant::now(), error.clone()));
                self.current.lock().refresh_at = Instant::now() + PAUSE;
                Err(error)
            }
        }
    }
}

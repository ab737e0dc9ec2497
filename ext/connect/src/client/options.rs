use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Clock, Random, Result, SystemClock, SystemRandom};
use tokio::runtime::Handle;
use tokio_rustls::rustls::ClientConfig;
use url::Url;

use super::network::{Network, Tcp};

/// Decides whether a client may connect to a URL.
pub type Permit = dyn Fn(&Url) -> Result<()> + Send + Sync;

/// What a client goes by.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// What the server knows the client by.
    pub access_token: String,
    /// Whom connections over TLS trust. Without it, only `http://` is possible.
    pub tls: Option<Arc<ClientConfig>>,
    /// Decides whether the client may connect to a URL: that of the database, and those of its endpoints. It is asked before
    /// each call, and returns the error of the call. By default, all may be.
    pub permit: Arc<Permit>,
    /// How long a call is tried again while the server cannot be reached. By default, a minute.
    pub retry_for: Duration,
    /// The clock that expiry and delays go by.
    pub clock: Arc<dyn Clock>,
    /// What waits before further attempts, and the ids of commits, are drawn from.
    pub random: Arc<dyn Random>,
    /// How the client connects.
    pub network: Arc<dyn Network>,
    /// Where the client runs. By default, on a thread that all clients of the process share.
    pub runtime: Option<Handle>,
}

impl Options {
    /// The defaults, and the token that the server knows the client by.
    pub fn new(access_token: impl Into<String>) -> Self {
        Self {
            access_token: access_token.into(),
            tls: None,
            permit: Arc::new(|_| Ok(())),
            retry_for: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            network: Arc::new(Tcp),
            runtime: None,
        }
    }

    /// Sets [`Options::tls`].
    #[must_use]
    pub fn tls(self, config: impl Into<Arc<ClientConfig>>) -> Self {
        Self { tls: Some(config.into()), ..self }
    }

    /// Sets [`Options::permit`].
    #[must_use]
    pub fn permit(self, permit: impl Fn(&Url) -> Result<()> + Send + Sync + 'static) -> Self {
        Self { permit: Arc::new(permit), ..self }
    }

    /// Sets [`Options::retry_for`].
    #[must_use]
    pub fn retry_for(self, retry_for: Duration) -> Self {
        Self { retry_for, ..self }
    }

    /// Sets [`Options::clock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Sets [`Options::random`].
    #[must_use]
    pub fn random(self, random: impl Random + 'static) -> Self {
        Self { random: Arc::new(random), ..self }
    }

    /// Sets [`Options::network`].
    #[must_use]
    pub fn network(self, network: impl Network + 'static) -> Self {
        Self { network: Arc::new(network), ..self }
    }

    /// Sets [`Options::runtime`].
    #[must_use]
    pub fn runtime(self, runtime: Handle) -> Self {
        Self { runtime: Some(runtime), ..self }
    }
}

impl fmt::Debug for Options {
    /// Leaves out the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("retry_for", &self.retry_for).finish_non_exhaustive()
    }
}

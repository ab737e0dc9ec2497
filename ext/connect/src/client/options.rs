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

/// The options of a client.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The access token, which authenticates the client.
    pub access_token: String,
    /// The configuration of TLS, with the trusted certificates. Without it, only `http://` URLs can be opened.
    pub tls: Option<Arc<ClientConfig>>,
    /// Decides whether the client may connect to a URL: that of the database, and those of its endpoints. It is called before
    /// each request, which fails with its error. By default, all URLs are allowed.
    pub permit: Arc<Permit>,
    /// How long to retry a call that fails for a transient reason, from when it is made. By default, one minute.
    pub retry_for: Duration,
    /// How many bytes of writes may wait for the server. Further writes fail with [`CallError::QueueFull`](super::CallError),
    /// and are not made. By default, 256 MiB.
    pub queue_size: usize,
    /// The clock for expiry and delays.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness for the delays between attempts and for commit ids.
    pub random: Arc<dyn Random>,
    /// The network to connect over.
    pub network: Arc<dyn Network>,
    /// The runtime for the client's tasks. By default, a thread that all clients of the process share.
    pub runtime: Option<Handle>,
}

impl Options {
    /// Returns the default options with an access token.
    pub fn new(access_token: impl Into<String>) -> Self {
        Self {
            access_token: access_token.into(),
            tls: None,
            permit: Arc::new(|_| Ok(())),
            retry_for: Duration::from_secs(60),
            queue_size: 256 * 1024 * 1024,
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

    /// Sets [`Options::queue_size`].
    #[must_use]
    pub fn queue_size(self, queue_size: usize) -> Self {
        Self { queue_size, ..self }
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

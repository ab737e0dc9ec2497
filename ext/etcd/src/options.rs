use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Clock, Limits, Random, SystemClock, SystemRandom};
use tokio::runtime::Handle;
use tokio_rustls::rustls::ClientConfig;

use crate::Environment;

/// The user of a cluster that requires authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name of the user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    /// Leaves out the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The options of a database.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The limits of each call.
    pub limits: Limits,
    /// The user. By default, none.
    pub credentials: Option<Credentials>,
    /// The configuration of TLS for `etcds://` URLs, with the trusted certificates and that of the client.
    pub tls: Option<Arc<ClientConfig>>,
    /// The environment, which takes precedence over the user and the certificates above. By default, empty.
    pub environment: Environment,
    /// How long to retry a call while the cluster is not available. By default, one minute.
    pub retry_for: Duration,
    /// The interval at which expired entries are deleted. By default, 10 seconds.
    pub sweep_interval: Duration,
    /// The version that all commits of the database exceed from now on, as for data that is copied from another database.
    pub min_version: u64,
    /// The clock for expiry and delays.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness for ids.
    pub random: Arc<dyn Random>,
    /// The runtime for the client's tasks. By default, a thread that all clients of the process share.
    pub runtime: Option<Handle>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            credentials: None,
            tls: None,
            environment: Environment::default(),
            retry_for: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(10),
            min_version: 0,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            runtime: None,
        }
    }
}

impl Options {
    /// Sets [`Options::limits`].
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets [`Options::credentials`].
    #[must_use]
    pub fn credentials(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { credentials: Some(Credentials { user: user.into(), password: password.into() }), ..self }
    }

    /// Sets [`Options::tls`].
    #[must_use]
    pub fn tls(self, config: impl Into<Arc<ClientConfig>>) -> Self {
        Self { tls: Some(config.into()), ..self }
    }

    /// Sets [`Options::environment`].
    #[must_use]
    pub fn environment(self, environment: Environment) -> Self {
        Self { environment, ..self }
    }

    /// Sets [`Options::retry_for`].
    #[must_use]
    pub fn retry_for(self, retry_for: Duration) -> Self {
        Self { retry_for, ..self }
    }

    /// Sets [`Options::sweep_interval`].
    #[must_use]
    pub fn sweep_interval(self, sweep_interval: Duration) -> Self {
        Self { sweep_interval, ..self }
    }

    /// Sets [`Options::min_version`].
    #[must_use]
    pub fn min_version(self, min_version: u64) -> Self {
        Self { min_version, ..self }
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

    /// Sets [`Options::runtime`].
    #[must_use]
    pub fn runtime(self, runtime: Handle) -> Self {
        Self { runtime: Some(runtime), ..self }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("credentials", &self.credentials)
            .field("retry_for", &self.retry_for)
            .finish_non_exhaustive()
    }
}

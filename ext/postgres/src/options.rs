use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Limits, Random, SystemRandom};
use tokio::runtime::Handle;
use tokio_rustls::rustls::ClientConfig;

use crate::password::Environment;

/// The options of a database.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The limits of each call.
    pub limits: Limits,
    /// The configuration of TLS for `sslmode=verify-full` without `sslrootcert`, with the trusted certificates.
    pub tls: Option<Arc<ClientConfig>>,
    /// What completes the address: user and password.
    pub environment: Environment,
    /// How long to retry a call whose connection is lost, as during a failover. By default, one minute.
    pub retry_for: Duration,
    /// The source of randomness for ids.
    pub random: Arc<dyn Random>,
    /// The runtime for the tasks of the database. By default, a thread that all databases of the process share.
    pub runtime: Option<Handle>,
}

impl Default for Options {
    /// Returns the default options, with the environment of the process.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            tls: None,
            environment: Environment::of_process(),
            retry_for: Duration::from_secs(60),
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

    /// Sets [`Options::runtime`].
    #[must_use]
    pub fn runtime(self, runtime: Handle) -> Self {
        Self { runtime: Some(runtime), ..self }
    }
}

impl fmt::Debug for Options {
    /// Leaves out the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("retry_for", &self.retry_for).finish_non_exhaustive()
    }
}

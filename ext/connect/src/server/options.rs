use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Clock, Database, Random, SystemClock, SystemRandom};

use tokio::sync::Semaphore;

use super::StartError;
use super::tls::Certificate;
use super::tokens::Token;

/// The options of a server.
///
/// The limits bound the resources that peers may use. The limits of keys, values and writes belong to each [`Database`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The tokens of clients. Without any, the server listens only on loopback, and needs no token.
    pub tokens: Vec<Token>,
    /// The certificate of the server. With one, clients must connect over TLS; otherwise without it.
    pub certificate: Option<Certificate>,
    /// Whether to serve `/metrics` to clients as well as on [`Server::listen_admin`](super::Server::listen_admin).
    pub public_metrics: bool,

    /// The maximum length of a request body in bytes.
    pub body_size: usize,
    /// The maximum memory for the bodies of requests and responses of all connections, in bytes. Requests beyond it are rejected
    /// with status 503.
    pub memory: usize,
    /// The maximum number of connections, up to 2^32 - 1.
    pub connections: usize,
    /// The maximum number of concurrent requests and streams on an HTTP/2 connection.
    pub requests_per_connection: u32,
    /// The maximum number of watches and of clients that wait for messages. Each of several tokens may have as many as it leaves
    /// for the others.
    pub streams: usize,
    /// The maximum number of watches and of waits for messages on a connection.
    pub streams_per_connection: usize,

    /// The timeout of the TLS handshake, of the first request, and of the head of each HTTP/1.1 request.
    pub header_timeout: Duration,
    /// The timeout of the body of a request.
    pub body_timeout: Duration,
    /// How long a client may take to receive a response, plus one second for each [`Options::MIN_RATE`] bytes of it.
    pub write_timeout: Duration,
    /// How long a connection may be idle before it is closed.
    pub idle_timeout: Duration,
    /// The interval of pings on streams.
    pub ping_interval: Duration,
    /// How long a message that is being handled may still be finished after the stream of its client was lost, so that the client
    /// can reconnect.
    pub grace: Duration,
    /// How long [`Server::shutdown`](super::Server::shutdown) waits for clients.
    pub shutdown_timeout: Duration,

    /// The clock for the expiry of access tokens.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness for the ids of batches and the secret that signs access tokens.
    pub random: Arc<dyn Random>,
}

impl Options {
    /// The minimum rate at which a client must receive responses, in bytes per second.
    pub const MIN_RATE: usize = 64 * 1024;

    /// Checks the limits that could not be kept.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let most = u32::MAX as usize;
        let limits = [
            ("connections", self.connections, 1, most.min(Semaphore::MAX_PERMITS)),
            ("requests_per_connection", self.requests_per_connection as usize, 1, most),
            ("memory", self.memory, 1, usize::MAX),
        ];
        let invalid = limits.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value));
        match invalid {
            Some((option, value, min, max)) => Err(StartError::InvalidOption { option, value, min, max }),
            None => Ok(()),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            certificate: None,
            public_metrics: false,
            body_size: 2 * 1024 * 1024,
            memory: 256 * 1024 * 1024,
            connections: 4096,
            requests_per_connection: 256,
            streams: 10_000,
            streams_per_connection: 200,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            ping_interval: Duration::from_secs(5),
            grace: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// A database to serve.
#[derive(Clone, Debug)]
pub struct Served {
    /// The name. The database is served at `/NAME`, and a single database also at `/`.
    pub name: String,
    /// The database.
    pub database: Database,
}

impl Served {
    /// Creates an entry from a name and a database.
    pub fn new(name: impl Into<String>, database: Database) -> Self {
        Self { name: name.into(), database }
    }
}

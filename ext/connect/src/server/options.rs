use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Clock, Database, Random, SystemClock, SystemRandom};

use super::tls::Certificate;
use super::tokens::Token;

/// How a server behaves.
///
/// The limits are of what peers may cost the server. Those of the databases themselves, such as how large a value is, are of
/// each [`Database`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Who may use which databases. With none, everybody on this machine may.
    pub tokens: Vec<Token>,
    /// With what to identify to clients: then they connect by TLS alone, and else without it.
    pub certificate: Option<Certificate>,
    /// Whether `/metrics` is served to clients too, and not only by [`Server::listen_admin`](super::Server::listen_admin).
    pub public_metrics: bool,

    /// The longest body of a request, in bytes.
    pub body_size: usize,
    /// How many bytes of requests and responses may be in memory, over all connections. What exceeds it is refused until there
    /// is room.
    pub memory: usize,
    /// How many connections there may be.
    pub connections: usize,
    /// How many requests and streams there may be on one connection of HTTP/2.
    pub requests_per_connection: u32,
    /// How many watches, and clients that wait for messages, there may be.
    pub streams: usize,

    /// How long a client may take for the handshake of TLS, for its first request, and with HTTP/1.1 until it has sent the head of the
    /// next.
    pub header_timeout: Duration,
    /// How long a client may take for the body of a request.
    pub body_timeout: Duration,
    /// How long a client may take to receive what it is sent, and for each [`Options::MIN_RATE`] of it a second more.
    pub write_timeout: Duration,
    /// After how long a connection without requests is closed.
    pub idle_timeout: Duration,
    /// How often clients of a stream are sent a sign of life.
    pub ping_interval: Duration,
    /// How long a message that is being handled may still be finished once the stream of its client broke: the client connects
    /// anew within this.
    pub grace: Duration,
    /// How long [`Server::shutdown`](super::Server::shutdown) waits for clients.
    pub shutdown_timeout: Duration,

    /// By what clock tokens expire.
    pub clock: Arc<dyn Clock>,
    /// What the ids of batches and the secret of access tokens are drawn from.
    pub random: Arc<dyn Random>,
}

impl Options {
    /// How fast a client must receive, in bytes a second.
    pub const MIN_RATE: usize = 64 * 1024;
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
    /// What clients name it by: it is at `/NAME`, and the only database of a server at `/` as well.
    pub name: String,
    /// The database.
    pub database: Database,
}

impl Served {
    /// A database, and its name.
    pub fn new(name: impl Into<String>, database: Database) -> Self {
        Self { name: name.into(), database }
    }
}

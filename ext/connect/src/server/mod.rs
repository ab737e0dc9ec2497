//! The server: serves databases of the engine to clients of KV Connect.
//!
//! ```no_run
//! use openkv_connect::server::{Options, Served, Server, Token};
//! use openkv_engine::sqlite::{self, Location};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = sqlite::open(Location::file("kv.sqlite3"), sqlite::Options::default())?;
//! let mut options = Options::default();
//! options.tokens = vec![Token::new("operator", "a secret of some length")];
//!
//! let server = Server::new(vec![Served::new("main", database.clone())], options).await?;
//! server.listen(tokio::net::TcpListener::bind("127.0.0.1:4512").await?)?;
//! tokio::signal::ctrl_c().await?;
//! server.shutdown().await;
//! database.close();
//! # Ok(())
//! # }
//! ```
//!
//! Connections use HTTP/1.1 or HTTP/2, over TLS with a [`Certificate`]. Clients send a token to the URL of a database, and
//! receive an access token, with which they call `/v3/snapshot_read` and the other paths within that URL.
//!
//! # Errors
//! Permanent errors have a 4xx status, as Deno retries 5xx indefinitely. Transient failures of the storage have status 503, and
//! writes with an unknown outcome 409.
//!
//! # Slow clients
//! Requests and responses in memory are limited to [`Options::memory`]; requests beyond it are rejected. A token cannot take all of
//! the memory or of the streams while there are others. A connection whose client does not receive its responses is closed. A watch reads the next state after it has sent the last one, so a slow client
//! receives only the latest state.
//!
//! # Events
//! The server emits `tracing` events: warnings for failures of the storage; info events when it listens and stops, and for
//! requests without a valid token; debug events for failed connections and issued access tokens. No event contains a secret.

mod admin;
mod batches;
mod body;
mod call;
mod connection;
mod data;
mod deletions;
mod dequeue;
mod exchange;
mod failure;
mod hosted;
mod memory;
mod metrics;
mod newcomers;
mod options;
mod peer;
mod phase;
mod request;
mod routes;
mod shared;
mod shares;
mod stream;
mod tls;
mod tokens;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use connection::Listener;
use phase::Phase;
use shared::Shared;

pub use options::{Options, Served};
pub use tls::{Certificate, CertificateError};
pub use tokens::{Access, Token};

/// A server. Clones are handles of the same server. It runs until [`Server::shutdown`], even if all handles are dropped.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A limit of the options is not possible.
    #[error("the option {option:?} cannot be {value}: it must be from {min} to {max}")]
    InvalidOption {
        /// The name of the option.
        option: &'static str,
        /// Its value.
        value: usize,
        /// The minimum.
        min: usize,
        /// The maximum.
        max: usize,
    },
    /// No database was passed.
    #[error("no database to serve")]
    NoDatabase,
    /// A name is not a plain path segment, or is reserved.
    #[error("invalid database name {0:?}: use letters, digits, '-', '_' and '.'; v1, v2 and v3 are reserved")]
    InvalidName(String),
    /// Two databases have the same name.
    #[error("two databases have the name {0:?}")]
    DuplicateName(String),
    /// A token names a database that is not served.
    #[error("token {token:?} is for database {database:?}, which is not served")]
    UnknownDatabase {
        /// The name of the token.
        token: String,
        /// The name of the database.
        database: String,
    },
    /// The secret of a token is empty.
    #[error("token {0:?} is empty")]
    EmptyToken(String),
    /// The id of a database could not be read.
    #[error("failed to read the id of database {name:?}: {error}")]
    Id {
        /// The name of the database.
        name: String,
        /// The error of the database.
        #[source]
        error: openkv_engine::Error,
    },
    /// Two databases have the same id.
    #[error(
        "the databases {other:?} and {name:?} have the same id: they are the same file, or one is a copy of the other: serve only \
         one of them here, and the copy by another server"
    )]
    DuplicateId {
        /// The name of the database.
        name: String,
        /// The name of the other one.
        other: String,
    },
    /// The address is not a loopback address, and no token protects the databases.
    #[error(
        "listening on {0} without a token would expose the databases: add a token, or listen on a loopback address"
    )]
    Unprotected(SocketAddr),
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[source] tokio_rustls::rustls::Error),
    /// The address of the listener could not be read.
    #[error("failed to read the address to listen on: {0}")]
    Address(#[source] io::Error),
}

impl Server {
    /// Creates a server that does not listen yet. Each database is served at `/NAME`, and a single database also at `/`.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn new(databases: Vec<Served>, options: Options) -> Result<Self, StartError> {
        Ok(Self { shared: Arc::new(Shared::new(databases, options).await?) })
    }

    /// Starts to accept clients, in tasks of the current `tokio` runtime. May be called for several listeners.
    ///
    /// # Errors
    /// [`StartError::Unprotected`] for an address other than loopback without a token, [`StartError::Tls`] or
    /// [`StartError::Address`].
    pub fn listen(&self, listener: TcpListener) -> Result<(), StartError> {
        let address = listener.local_addr().map_err(StartError::Address)?;
        if self.shared.tokens.is_empty() && !address.ip().is_loopback() {
            return Err(StartError::Unprotected(address));
        }
        let certificate = self.shared.options.certificate.as_ref();
        let tls = certificate.map(Certificate::acceptor).transpose().map_err(StartError::Tls)?;
        tracing::info!(%address, tls = tls.is_some(), "listening");
        tokio::spawn(Listener::clients(self.shared.clone(), tls).accept(listener));
        Ok(())
    }

    /// Starts to serve `/healthz`, `/readyz` and `/metrics`, without TLS and tokens. Only operators should reach this listener.
    ///
    /// # Errors
    /// [`StartError::Address`].
    pub fn listen_admin(&self, listener: TcpListener) -> Result<(), StartError> {
        let address = listener.local_addr().map_err(StartError::Address)?;
        tracing::info!(%address, "listening for operators");
        tokio::spawn(Listener::operators(self.shared.clone()).accept(listener));
        Ok(())
    }

    /// Stops the server: stops accepting, closes watches, requeues messages that are not being handled, waits for the others and
    /// for requests in progress, and closes the connections. After [`Options::shutdown_timeout`], it closes them without waiting.
    /// The databases stay open.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        tracing::info!("stopping");
        let timeout = shared.options.shutdown_timeout;
        let stop = async {
            shared.phase.enter(Phase::Stopping);
            shared.batches.wait_idle().await;
            shared.phase.enter(Phase::Draining);
            shared.wait_disconnected().await;
        };
        if tokio::time::timeout(timeout, stop).await.is_err() {
            tracing::warn!("closing connections that are still open after the shutdown timeout");
        }
        shared.phase.enter(Phase::Stopped);
        shared.wait_disconnected().await;
    }
}

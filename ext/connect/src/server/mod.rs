//! The server: databases of the engine for clients of KV Connect.
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
//! A connection is one of HTTP/1.1 or HTTP/2, over TLS where there is a [`Certificate`]. Clients send a token to the URL of a
//! database, and are given an access token for it, with which they then call `/v3/snapshot_read` and the like below that URL.
//!
//! # Errors
//! What would fail again has a status of 4xx, as Deno tries those of 5xx again for ever. A failure of the storage that may pass is
//! 503, and that it is not known whether a write was committed, 409.
//!
//! # Slow clients
//! Requests and responses are counted as they lie in memory, and refused beyond [`Options::memory`]; a connection that does not
//! take what it is sent is closed. A watch reads what to send when the last was sent, so that a slow client gets the latest state
//! alone.
//!
//! # Events
//! Of the crate `tracing`: as a warning, a failure of the storage; as information, that a server listens and stops, and requests
//! without a valid token; at the level of debugging, what goes wrong with a connection, and for which token an access token was
//! given. No event has the secret of a token in it.

mod admin;
mod batches;
mod body;
mod call;
mod connection;
mod data;
mod dequeue;
mod exchange;
mod failure;
mod hosted;
mod memory;
mod metrics;
mod options;
mod peer;
mod phase;
mod request;
mod routes;
mod shared;
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

/// A server. Clones are handles of the same one. It goes on until [`Server::shutdown`], also when all handles are dropped.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no database.
    #[error("there is no database to serve")]
    NoDatabase,
    /// A name is not one segment of a path, or is one of the server's own.
    #[error("{0:?} cannot be the name of a database: use letters, digits, '-', '_' and '.'")]
    InvalidName(String),
    /// Two databases have one name.
    #[error("two databases have the name {0:?}")]
    DuplicateName(String),
    /// A token is for a database that is not there.
    #[error("token {token:?} is for database {database:?}, which is not served")]
    UnknownDatabase {
        /// The name of the token.
        token: String,
        /// The name of the database.
        database: String,
    },
    /// A token has no secret: everybody has it.
    #[error("token {0:?} is empty")]
    EmptyToken(String),
    /// The id of a database could not be read.
    #[error("failed to read the id of database {name:?}: {error}")]
    Id {
        /// The name of the database.
        name: String,
        /// The answer of the database.
        #[source]
        error: openkv_engine::Error,
    },
    /// Two databases have one id.
    #[error(
        "the databases {other:?} and {name:?} have the same id: they are one file, or one is a copy of the other: serve only one of \
         them here, and a copy by another server"
    )]
    DuplicateId {
        /// The name of the database.
        name: String,
        /// The name of one before it.
        other: String,
    },
    /// Other machines could reach databases that need no token.
    #[error("{0} can be reached from other machines, and there is no token: give one, or listen on a loopback address")]
    Unprotected(SocketAddr),
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[source] tokio_rustls::rustls::Error),
    /// The address of the listener is not known.
    #[error("failed to read the address to listen on: {0}")]
    Address(#[source] io::Error),
}

impl Server {
    /// A server of databases, which listens nowhere yet. The only database is at `/`, too, and else each at its `/NAME`.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn new(databases: Vec<Served>, options: Options) -> Result<Self, StartError> {
        Ok(Self { shared: Arc::new(Shared::new(databases, options).await?) })
    }

    /// Accepts clients from now on, in tasks of the present runtime of `tokio`. May be called for several listeners.
    ///
    /// # Errors
    /// [`StartError::Unprotected`] beyond loopback without a token, and [`StartError::Tls`].
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

    /// Serves `/healthz`, `/readyz` and `/metrics` from now on, without TLS and tokens: for a port that only operators reach.
    ///
    /// # Errors
    /// [`StartError::Address`].
    pub fn listen_admin(&self, listener: TcpListener) -> Result<(), StartError> {
        let address = listener.local_addr().map_err(StartError::Address)?;
        tracing::info!(%address, "listening for operators");
        tokio::spawn(Listener::operators(self.shared.clone()).accept(listener));
        Ok(())
    }

    /// Stops: accepts no connection any more, ends watches, gives back messages that nobody handles, waits for those that are
    /// handled and for requests that have begun, and closes the connections. What is not done after
    /// [`Options::shutdown_timeout`] is cut off. The databases stay open.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        tracing::info!("stopping");
        let timeout = shared.options.shutdown_timeout;
        let stop = async {
            shared.phase.enter(Phase::Stopping);
            shared.batches.wait_unstarted().await;
            shared.phase.enter(Phase::Draining);
            shared.wait_disconnected().await;
        };
        if tokio::time::timeout(timeout, stop).await.is_err() {
            tracing::warn!("cutting off clients that did not end in time");
        }
        shared.phase.enter(Phase::Stopped);
        shared.wait_disconnected().await;
    }
}

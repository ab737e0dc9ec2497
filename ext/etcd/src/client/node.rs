use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;

use crate::error;
use crate::url::Address;

/// A node of the cluster, with the connection to it.
pub(crate) struct Node {
    pub address: Address,
    connector: Connector,
    /// The connection, established by the first call. Locked while connecting, so that there is one attempt at a time.
    channel: tokio::sync::Mutex<Option<Channel>>,
    /// Until when other nodes are preferred.
    avoided_until: Mutex<Option<Instant>>,
    /// Counts the failures of the node. Streams end when it changes.
    failures: watch::Sender<u64>,
}

/// The timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a node is avoided after a failure.
const AVOIDED_FOR: Duration = Duration::from_secs(5);

/// The interval of pings while a stream is open. etcd closes connections with more frequent pings than one in 5 seconds.
const PING_INTERVAL: Duration = Duration::from_secs(6);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

impl Node {
    pub fn new(address: Address, tls: Option<&ClientConfig>) -> Self {
        let tls = tls.map(|config| {
            let mut config = config.clone();
            config.alpn_protocols = vec![b"h2".to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        Self {
            connector: Connector { address: address.clone(), tls },
            address,
            channel: tokio::sync::Mutex::default(),
            avoided_until: Mutex::default(),
            failures: watch::Sender::new(0),
        }
    }

    /// Returns the connection, and a receiver that changes when the node fails.
    ///
    /// # Errors
    /// Why the node cannot be reached.
    pub async fn connect(&self) -> Result<(Channel, watch::Receiver<u64>), String> {
        let mut channel = self.channel.lock().await;
        let failures = self.failures.subscribe();
        if let Some(channel) = &*channel {
            return Ok((channel.clone(), failures));
        }
        // The connector decides on TLS: the scheme has no effect.
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).map_err(|error| error.to_string())?;
        let endpoint = endpoint
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 22);
        let connecting = timeout(CONNECT_TIMEOUT, endpoint.connect_with_connector(self.connector.clone())).await;
        let connected = connecting.map_err(|_| format!("{} does not accept connections", self.address))?;
        let connected = connected.map_err(|error| format!("{}: {}", self.address, error::cause(&error)))?;
        *channel = Some(connected.clone());
        *self.avoided_until.lock() = None;
        Ok((connected, failures))
    }

    /// Closes the connection after a failure, and prefers other nodes for a while.
    pub fn fail(&self) {
        *self.avoided_until.lock() = Some(Instant::now() + AVOIDED_FOR);
        if let Ok(mut channel) = self.channel.try_lock() {
            *channel = None;
        }
        self.failures.send_modify(|failures| *failures += 1);
    }

    /// Returns whether other nodes are preferred.
    pub fn is_avoided(&self) -> bool {
        self.avoided_until.lock().is_some_and(|until| Instant::now() < until)
    }
}

/// A byte stream in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to a node, whatever the URI.
#[derive(Clone)]
struct Connector {
    address: Address,
    tls: Option<TlsConnector>,
}

impl Connector {
    async fn connect(self) -> io::Result<TokioIo<Box<dyn Stream>>> {
        let Address { host, port } = self.address;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = self.tls else { return Ok(TokioIo::new(Box::new(stream))) };
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        Ok(TokioIo::new(Box::new(tls.connect(name, stream).await?)))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

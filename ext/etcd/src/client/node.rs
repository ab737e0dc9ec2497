use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint};

use super::connector::Connector;
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
        Self {
            connector: Connector::new(address.clone(), tls),
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

    /// Returns the error that the current or latest connection ended with.
    pub fn broken_by(&self) -> Option<String> {
        self.connector.error()
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

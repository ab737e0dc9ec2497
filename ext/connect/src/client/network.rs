use std::fmt;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection: an ordered byte stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The future of [`Network::connect`].
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Connects a client to servers: [`Tcp`], or an implementation that a test controls.
pub trait Network: Send + Sync {
    /// Connects to a host, which is a name or an address.
    fn connect(&self, host: &str, port: u16) -> Connecting;
}

/// TCP with `TCP_NODELAY`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

/// The timeout of a connection to one address of a host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Network for Tcp {
    fn connect(&self, host: &str, port: u16) -> Connecting {
        let host = host.to_owned();
        Box::pin(async move {
            let addresses =
                tokio::net::lookup_host((host, port)).await.map_err(|error| labelled("dns error", &error))?;
            let mut failure = labelled("dns error", &"the name has no address");
            for address in addresses {
                match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => {
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as Box<dyn Stream>);
                    }
                    Ok(Err(error)) => failure = labelled("tcp connect error", &error),
                    Err(_) => failure = labelled("tcp connect error", &"the host did not respond in time"),
                }
            }
            Err(failure)
        })
    }
}

fn labelled(label: &str, error: &dyn fmt::Display) -> io::Error {
    io::Error::other(format!("{label}: {error}"))
}

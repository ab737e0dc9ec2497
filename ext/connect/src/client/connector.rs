use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection as Connect};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use super::network::{Network, Stream};

/// Connects to the servers of URLs, over TLS for `https://`.
#[derive(Clone)]
pub(crate) struct Connector {
    network: Arc<dyn Network>,
    tls: Option<TlsConnector>,
}

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

impl Connector {
    pub fn new(network: Arc<dyn Network>, tls: Option<&ClientConfig>) -> Self {
        let tls = tls.map(|config| {
            let mut config = config.clone();
            config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        Self { network, tls }
    }

    /// Connects without TLS.
    pub async fn connect_plain(&self, uri: &Uri) -> io::Result<Box<dyn Stream>> {
        let (host, port) = host_and_port(uri)?;
        self.network.connect(host, port).await
    }

    async fn connect(&self, uri: &Uri) -> io::Result<Connection> {
        let stream = self.connect_plain(uri).await?;
        if !is_https(uri) {
            return Ok(Connection { io: TokioIo::new(stream), is_h2: false });
        }
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("this program has no certificates for TLS"))?;
        let (host, _) = host_and_port(uri)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = tls.connect(name, stream).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
        Ok(Connection { io: TokioIo::new(Box::new(stream)), is_h2 })
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&http::uri::Scheme::HTTPS)
}

/// Returns the host, without the brackets of an IPv6 address, and the port.
fn host_and_port(uri: &Uri) -> io::Result<(&str, u16)> {
    let host = uri.host().ok_or_else(|| io::Error::other("the URL has no host"))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((host, uri.port_u16().unwrap_or(if is_https(uri) { 443 } else { 80 })))
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}

/// A connection in the form that hyper requires.
pub(crate) struct Connection {
    io: TokioIo<Box<dyn Stream>>,
    /// Whether HTTP/2 was negotiated.
    is_h2: bool,
}

impl Connect for Connection {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_h2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}

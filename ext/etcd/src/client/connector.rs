use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use crate::url::Address;

/// Connects to a node, whatever the URI, and keeps the error that breaks the connection: calls are only told that it was closed.
#[derive(Clone)]
pub(super) struct Connector {
    address: Address,
    tls: Option<TlsConnector>,
    /// The error of the latest connection.
    error: Arc<Mutex<Option<String>>>,
}

impl Connector {
    pub fn new(address: Address, tls: Option<&ClientConfig>) -> Self {
        let tls = tls.map(|config| {
            let mut config = config.clone();
            config.alpn_protocols = vec![b"h2".to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        Self { address, tls, error: Arc::default() }
    }

    /// Returns the error that broke the latest connection.
    pub fn error(&self) -> Option<String> {
        self.error.lock().clone()
    }

    async fn connect(self) -> io::Result<TokioIo<Connection>> {
        let Address { host, port } = self.address;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match self.tls {
            Some(tls) => {
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                Box::new(tls.connect(name, stream).await?)
            }
            None => Box::new(stream),
        };
        *self.error.lock() = None;
        Ok(TokioIo::new(Connection { stream, write_error: None, error: self.error }))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// A byte stream in both directions.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that keeps the error that breaks it.
///
/// A node that rejects the client's certificate says so, and closes the connection, while the client is writing already. Therefore
/// what was received is read to its end before a write fails.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// The error of a write, while the rest is read.
    write_error: Option<io::Error>,
    error: Arc<Mutex<Option<String>>>,
}

impl Connection {
    /// Returns the result of a write. If it failed, the read that ends the connection reports it.
    fn written<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(Err(error)) => {
                self.write_error = Some(error);
                Poll::Pending
            }
            result => result,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if result.is_ok()
            && buffer.filled().len() == before
            && let Some(error) = self.write_error.take()
        {
            result = Err(error);
        }
        if let Err(error) = &result {
            *self.error.lock() = Some(error.to_string());
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.written(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use openkv_connect::server::{Access, Options, Served, Server, Token};
use openkv_connect::wire::Message;
use openkv_connect::wire::frame::{Decoder, Frame};
use openkv_connect::wire::metadata::Metadata;
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{Clock, Database, Key};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server that listens on a loopback port.
pub struct Running {
    pub server: Server,
    pub address: SocketAddr,
    pub database: Database,
}

/// The secrets of the tokens in [`options`].
pub const WRITER: &str = "secret of the writer";
pub const READER: &str = "secret of the reader";

pub fn options() -> Options {
    let mut options = Options::default();
    options.tokens = vec![Token::new("writer", WRITER), Token::new("reader", READER).access(Access::ReadOnly)];
    options
}

pub fn memory() -> Database {
    sqlite::open(Location::Memory, sqlite::Options::default()).unwrap()
}

/// Serves a database in memory.
pub async fn start(options: Options) -> Running {
    serve(memory(), options).await
}

pub async fn serve(database: Database, options: Options) -> Running {
    let server = Server::new(vec![Served::new("main", database.clone())], options).await.unwrap();
    let address = listen(&server).await;
    Running { server, address, database }
}

pub async fn listen(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    server.listen(listener).unwrap();
    address
}

/// Connects as an operator.
pub async fn operator(running: &Running) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    running.server.listen_admin(listener).unwrap();
    Connection::http1(address).await
}

/// A response with its complete body.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status, 200, "{self:?}");
        M::decode(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A connection.
pub struct Connection {
    sender: Sender,
    task: JoinHandle<hyper::Result<()>>,
    authority: String,
}

impl Connection {
    /// Connects over HTTP/2, with prior knowledge.
    pub async fn http2(address: SocketAddr) -> Self {
        Self::http2_over(TcpStream::connect(address).await.unwrap(), address.to_string()).await
    }

    pub async fn http1(address: SocketAddr) -> Self {
        Self::http1_over(TcpStream::connect(address).await.unwrap(), address.to_string()).await
    }

    pub async fn http2_over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, authority: String) -> Self {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await;
        let (sender, connection) = handshake.unwrap();
        let task = tokio::spawn(connection);
        Self { sender: Sender::Http2(sender), task, authority }
    }

    pub async fn http1_over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, authority: String) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        let task = tokio::spawn(connection);
        Self { sender: Sender::Http1(sender), task, authority }
    }

    pub async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: impl Into<Bytes>,
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method);
        *request.headers_mut().unwrap() = headers.clone();
        let body = Full::new(body.into());
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request.uri(path).header(HOST, &self.authority).body(body).unwrap()).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                let uri = format!("http://{}{path}", self.authority);
                sender.send_request(request.uri(uri).body(body).unwrap()).await
            }
        }
    }

    pub async fn send(&mut self, method: Method, path: &str, headers: &HeaderMap, body: impl Into<Bytes>) -> Reply {
        received(self.try_send(method, path, headers, body).await.unwrap()).await
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(self) {
        let _ = self.task.await.unwrap();
        drop(self.sender);
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path, &HeaderMap::new(), "").await
    }
}

pub async fn received(response: Response<Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    Reply { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// The headers of a metadata exchange.
pub fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    headers
}

/// A client with an access token.
pub struct Client {
    pub connection: Connection,
    pub headers: HeaderMap,
}

impl Client {
    /// Connects over HTTP/2, and exchanges a token.
    pub async fn open(running: &Running, secret: &str) -> Self {
        Self::with(Connection::http2(running.address).await, secret).await
    }

    pub async fn with(mut connection: Connection, secret: &str) -> Self {
        let body = r#"{"supportedVersions":[1,2,3]}"#;
        let reply = connection.send(Method::POST, "/", &bearer(secret), body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let metadata = Metadata::decode(&reply.body).unwrap();
        let mut headers = bearer(&metadata.token);
        headers.insert("x-denokv-version", "3".parse().unwrap());
        headers.insert("x-denokv-database-id", metadata.database_id.to_string().parse().unwrap());
        Self { connection, headers }
    }

    /// Calls the server, and receives the complete response.
    pub async fn call(&mut self, call: &str, message: &impl Message) -> Reply {
        received(self.begin(call, message).await).await
    }

    /// Calls the server, and receives the head of the response.
    pub async fn begin(&mut self, call: &str, message: &impl Message) -> Response<Incoming> {
        let path = format!("/v3/{call}");
        self.connection.try_send(Method::POST, &path, &self.headers, message.encode_to_vec()).await.unwrap()
    }

    /// Opens a stream of frames.
    pub async fn stream(&mut self, call: &str, message: &impl Message) -> Frames {
        let response = self.begin(call, message).await;
        assert_eq!(response.status(), 200);
        Frames { body: response.into_body(), decoder: Decoder::new(16 << 20) }
    }
}

/// The frames of a stream.
pub struct Frames {
    body: Incoming,
    decoder: Decoder,
}

impl Frames {
    /// Returns the next frame, or `None` when the stream ends or fails.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let frame = self.body.frame().await?.ok()?;
            self.decoder.push(&frame.into_data().unwrap_or_default());
        }
    }

    /// Returns the next message.
    pub async fn message<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            if let Frame::Message(bytes) = self.next().await? {
                return Some(M::decode(bytes).unwrap());
            }
        }
    }
}

/// A clock that the test sets.
pub struct ManualClock(pub AtomicU64);

impl ManualClock {
    pub fn at(now: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now)))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub fn key(name: &str) -> Key {
    Key::from([name])
}

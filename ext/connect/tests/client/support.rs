//! Servers with scripted replies, over connections in memory.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use openkv_connect::client::{Connecting, Network, Options, Stream, connect};
use openkv_connect::wire::metadata::{Endpoint, EndpointConsistency, Metadata};
use openkv_connect::wire::openkv::{NamedWrite, Writes, WritesOutput};
use openkv_connect::wire::{Message, datapath, frame, read, write, writes};
use openkv_engine::{
    AtomicWrite, Clock, Commit, Database, Entry, Key, Mutation, ReadEntry, Result, Value, Versionstamp,
};
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub const URL: &str = "http://kv.test/db";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A request that a server received.
#[derive(Clone, Debug)]
pub struct Call {
    /// The path of the URL.
    pub path: String,
    /// The number of earlier requests with this path.
    pub count: usize,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub version: http::Version,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The reply of a server to a request.
pub enum Reply {
    Respond(StatusCode, HeaderMap, Bytes),
    /// A streamed body. The response ends when the sender is dropped.
    Stream(mpsc::UnboundedReceiver<Bytes>),
    /// Sends part of a body, then closes the connection.
    CutAfter(Bytes),
    /// Closes the connection.
    Cut,
    /// Never responds.
    Stall,
}

impl Reply {
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::Respond(StatusCode::OK, HeaderMap::new(), body.into())
    }

    pub fn message(message: &impl Message) -> Self {
        Self::ok(message.encode_to_vec())
    }

    pub fn status(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Respond(StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.into())
    }

    /// Adds a header to a response.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Respond(_, headers, _) = &mut self {
            headers.insert(name, value.parse().unwrap());
        }
        self
    }
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

/// The servers of a test, which share a script and a log of calls.
#[derive(Clone)]
pub struct Servers {
    script: Arc<Script>,
    calls: Arc<Mutex<Vec<Call>>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// How many connections to refuse.
    refused: usize,
    http1_only: bool,
    /// Closes the open connections when dropped.
    cuts: Vec<watch::Sender<()>>,
}

impl Servers {
    pub fn new(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), calls: Arc::default(), state: Arc::default() }
    }

    /// Returns servers with the extension, and default replies where the script returns `None`.
    pub fn openkv(script: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::new(move |call| script(call).unwrap_or_else(|| default_reply(call, true)))
    }

    /// Returns servers without the extension.
    pub fn other(script: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::new(move |call| script(call).unwrap_or_else(|| default_reply(call, false)))
    }

    pub fn http1_only(self) -> Self {
        self.state.lock().http1_only = true;
        self
    }

    pub fn refuse(&self, connections: usize) {
        self.state.lock().refused = connections;
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.state.lock().cuts.clear();
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// Returns the requests whose path ends with `end`.
    pub fn calls_of(&self, end: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.path.ends_with(end)).collect()
    }

    pub fn options(&self) -> Options {
        Options::new("secret").network(self.clone()).runtime(Handle::current()).clock(PausedClock)
    }

    pub async fn open(&self) -> Result<Database> {
        connect(URL, self.options()).await
    }

    /// Opens the database, and clears the log of calls.
    pub async fn opened(&self) -> Database {
        let database = self.open().await.unwrap();
        self.calls.lock().clear();
        database
    }

    async fn serve(self, stream: DuplexStream, mut cut_all: watch::Receiver<()>) {
        let http1_only = self.state.lock().http1_only;
        let (cutter, mut cut) = watch::channel(());
        let cutter = Arc::new(Mutex::new(Some(cutter)));
        let service = service_fn(move |request| {
            let (servers, cutter) = (self.clone(), cutter.clone());
            async move { Ok::<_, Infallible>(servers.reply(request, &cutter).await) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let builder = if http1_only { builder.http1_only() } else { builder };
        tokio::select! {
            _ = builder.serve_connection(TokioIo::new(stream), service) => {}
            _ = cut.changed() => {}
            _ = cut_all.changed() => {}
        }
    }

    async fn reply(&self, request: Request<Incoming>, cutter: &Mutex<Option<watch::Sender<()>>>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = head.uri.path().to_owned();
        let call = {
            let mut calls = self.calls.lock();
            let count = calls.iter().filter(|call| call.path == path).count();
            let call = Call { path, count, headers: head.headers, body, version: head.version };
            calls.push(call.clone());
            call
        };
        match (self.script)(&call) {
            Reply::Respond(status, headers, body) => {
                let mut response = Response::new(Full::new(body).boxed_unsync());
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                response
            }
            Reply::Stream(parts) => Response::new(body_of(parts, None)),
            Reply::CutAfter(part) => {
                let (sender, parts) = mpsc::unbounded_channel();
                sender.send(part).unwrap();
                drop(sender);
                Response::new(body_of(parts, cutter.lock().take()))
            }
            Reply::Cut => {
                cutter.lock().take();
                std::future::pending().await
            }
            Reply::Stall => std::future::pending().await,
        }
    }
}

/// Returns a streamed body. After the last part it ends, or the connection is closed.
fn body_of(parts: mpsc::UnboundedReceiver<Bytes>, cutter: Option<watch::Sender<()>>) -> Body {
    let next = |(mut parts, mut cutter): (mpsc::UnboundedReceiver<Bytes>, Option<watch::Sender<()>>)| async move {
        match parts.recv().await {
            Some(part) => Some((Ok(Frame::data(part)), (parts, cutter))),
            None if cutter.is_some() => {
                // Lets the part arrive first.
                tokio::time::sleep(Duration::from_millis(1)).await;
                cutter.take();
                std::future::pending().await
            }
            None => None,
        }
    };
    StreamBody::new(stream::unfold((parts, cutter), next)).boxed_unsync()
}

impl Network for Servers {
    fn connect(&self, host: &str, port: u16) -> Connecting {
        let servers = self.clone();
        let host = host.to_owned();
        Box::pin(async move {
            assert!(host.ends_with(".test") && port == 80, "{host}:{port}");
            let (client, server) = tokio::io::duplex(64 * 1024);
            let (cutter, cut_all) = watch::channel(());
            {
                let mut state = servers.state.lock();
                if state.refused > 0 {
                    state.refused -= 1;
                    return Err(io::Error::other("tcp connect error: Connection refused (os error 111)"));
                }
                state.cuts.push(cutter);
            }
            tokio::spawn(servers.clone().serve(server, cut_all));
            Ok(Box::new(client) as Box<dyn Stream>)
        })
    }
}

/// A clock over the paused time.
pub struct PausedClock;

impl Clock for PausedClock {
    fn now(&self) -> u64 {
        self.monotonic()
    }

    fn monotonic(&self) -> u64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let start = START.get_or_init(std::time::Instant::now);
        Instant::now().into_std().saturating_duration_since(*start).as_millis() as u64
    }
}

/// Returns metadata that expire after a lifetime.
pub fn metadata(version: u64, lifetime: Duration) -> Metadata {
    Metadata {
        version,
        database_id: "0190a0b0-c0d0-7000-8000-00000000000a".parse().unwrap(),
        endpoints: vec![Endpoint { url: "/v3".into(), consistency: EndpointConsistency::Strong }],
        token: "token".into(),
        expires_at: PausedClock.now() + lifetime.as_millis() as u64,
    }
}

pub const HOUR: Duration = Duration::from_secs(3600);

pub fn metadata_reply(metadata: &Metadata, has_extension: bool) -> Reply {
    let reply = Reply::ok(metadata.encode());
    if has_extension { reply.with("x-openkv-protocol", "1") } else { reply }
}

pub fn done(version: u64) -> Reply {
    let commit = Commit::Done(Versionstamp::from_version(version));
    Reply::message(&write::encode_outcome(&write::WriteOutcome::Commit(commit)))
}

/// The outcome of a write that is committed.
pub fn committed(version: u64) -> Result<write::WriteOutcome> {
    Ok(write::WriteOutcome::Commit(Commit::Done(Versionstamp::from_version(version))))
}

/// The response to several writes.
pub fn outcomes(results: impl IntoIterator<Item = Result<write::WriteOutcome>>) -> Reply {
    Reply::message(&WritesOutput {
        outcomes: results.into_iter().map(|result| writes::encode_result(&result)).collect(),
    })
}

/// The writes of a request of several.
pub fn writes_of(call: &Call) -> Vec<AtomicWrite> {
    let decode = |named: NamedWrite| {
        let id = writes::decode_id(&named.id).unwrap();
        let message = datapath::AtomicWrite::decode(&named.write[..]).unwrap();
        AtomicWrite { id: Some(id), ..write::decode(message).unwrap() }
    };
    Writes::decode(call.body.clone()).unwrap().writes.into_iter().map(decode).collect()
}

pub fn entry(key: &str, number: u64) -> Entry {
    let versionstamp = Versionstamp::from_version(number);
    Entry { key: Key::from([key]), value: Value::U64(number), versionstamp }
}

/// Returns the response to a read of keys.
pub fn found(entries: impl IntoIterator<Item = Option<Entry>>) -> Reply {
    let lists: Vec<_> =
        entries.into_iter().map(|entry| entry.into_iter().map(ReadEntry::from).collect::<Vec<_>>()).collect();
    Reply::message(&read::encode_output(lists))
}

fn default_reply(call: &Call, has_extension: bool) -> Reply {
    match &*call.path {
        "/db" => metadata_reply(&metadata(3, HOUR), has_extension),
        "/v3/snapshot_read" => {
            let message = datapath::SnapshotRead::decode(call.body.clone()).unwrap();
            found(message.ranges.iter().map(|_| None))
        }
        "/v3/atomic_write" => done(call.count as u64 + 1),
        "/v3/openkv/write" if has_extension => {
            let versions = (call.count as u64 + 1) * 1000..;
            outcomes(writes_of(call).iter().zip(versions).map(|(_, version)| committed(version)))
        }
        _ => Reply::status(404, "not found"),
    }
}

/// Encodes a frame of a stream.
pub fn frame_of(message: &impl Message) -> Bytes {
    frame::encode(message).unwrap()
}

pub fn set(key: &str) -> AtomicWrite {
    AtomicWrite::new().mutate(Mutation::set(Key::from([key]), Value::U64(1)))
}

/// Returns the message of an error.
pub fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("the call succeeded"),
        Err(error) => error.to_string(),
    }
}

/// Waits until a condition holds.
pub async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A network that passes the server side of its connections to the test.
pub struct Raw(pub mpsc::UnboundedSender<DuplexStream>);

impl Network for Raw {
    fn connect(&self, _: &str, _: u16) -> Connecting {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let sent = self.0.send(server).map_err(io::Error::other);
        Box::pin(async move { sent.map(|()| Box::new(client) as Box<dyn Stream>) })
    }
}

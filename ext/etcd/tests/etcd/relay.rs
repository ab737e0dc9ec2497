//! Relays between the client and a node: one that loses responses, and one that replaces them.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use openkv_etcd::cluster::Cluster;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A server in front of each node of a cluster, until it is dropped.
pub struct Relays {
    addresses: Vec<SocketAddr>,
    _runtime: Runtime,
}

impl Relays {
    /// Starts the servers. `relay` serves a connection to the node at an address.
    fn start<F>(cluster: &Cluster, relay: impl Fn(TcpStream, SocketAddr) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = cluster.url("");
        let nodes = url.trim_start_matches("etcd://").trim_end_matches('/').split(',');
        let addresses = nodes.map(|node| {
            let node: SocketAddr = node.parse().unwrap();
            let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
            let address = listener.local_addr().unwrap();
            let relay = relay.clone();
            runtime.spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    client.set_nodelay(true).unwrap();
                    tokio::spawn(relay(client, node));
                }
            });
            address
        });
        Self { addresses: addresses.collect(), _runtime: runtime }
    }

    /// Returns the URL of a database.
    pub fn url(&self, name: &str) -> String {
        let nodes: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        format!("etcd://{}/{name}", nodes.join(","))
    }
}

/// Relays that cut connections after requests were passed on.
pub struct Losing {
    pub relays: Relays,
    losses: Arc<Losses>,
}

#[derive(Default)]
struct Losses {
    /// The responses that arrived, of which each second is lost.
    responses: AtomicU64,
    lost: AtomicU64,
}

impl Losing {
    pub fn start(cluster: &Cluster) -> Self {
        let losses = Arc::new(Losses::default());
        let shared = losses.clone();
        let relays = Relays::start(cluster, move |client, node| {
            let losses = shared.clone();
            async move {
                let _ = lose(client, node, &losses).await;
            }
        });
        Self { relays, losses }
    }

    /// Returns the number of responses that were lost, together with their connections.
    pub fn lost(&self) -> u64 {
        self.losses.lost.load(Ordering::Relaxed)
    }
}

async fn lose(mut client: TcpStream, node: SocketAddr, losses: &Losses) -> io::Result<()> {
    let mut server = TcpStream::connect(node).await?;
    server.set_nodelay(true)?;
    let (mut requests, mut responses) = ([0; 16 * 1024], [0; 16 * 1024]);
    let mut frames = Frames::default();
    loop {
        tokio::select! {
            len = client.read(&mut requests) => match len? {
                0 => return Ok(()),
                len => server.write_all(&requests[..len]).await?,
            },
            len = server.read(&mut responses) => match len? {
                0 => return Ok(()),
                len => {
                    let response = &responses[..len];
                    if frames.has_headers(response) && losses.responses.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
                        losses.lost.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                    client.write_all(response).await?;
                }
            },
        }
    }
}

/// The position in a stream of HTTP/2 frames.
#[derive(Default)]
struct Frames {
    header: Vec<u8>,
    payload: usize,
}

impl Frames {
    /// Returns whether a frame with headers, with which each response begins, starts in the next bytes.
    fn has_headers(&mut self, mut bytes: &[u8]) -> bool {
        const HEADERS: u8 = 1;
        let mut found = false;
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let missing = (9 - self.header.len()).min(bytes.len());
            self.header.extend(&bytes[..missing]);
            bytes = &bytes[missing..];
            if let [high, middle, low, kind, ..] = self.header[..]
                && self.header.len() == 9
            {
                self.payload = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.header.clear();
                found |= kind == HEADERS;
            }
        }
        found
    }
}

/// What a client receives instead of a message.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A message.
    Message(Vec<u8>),
    /// Bytes without the length of a message in front of them.
    Raw(Vec<u8>),
    /// A message that never ends.
    Endless,
    /// Nothing, while the connection stays open.
    Silence,
    /// A status.
    Status(u16, String),
}

/// Chooses the reply, given the last part of the path of a call, and the message of the node.
type Choose = Box<dyn FnMut(&str, Vec<u8>) -> Reply + Send>;

/// The numbers of calls, by the last parts of their paths.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    pub fn of(&self, name: &str) -> u64 {
        self.0.lock().get(name).copied().unwrap_or_default()
    }
}

/// Relays that replace messages of nodes.
pub struct Replacing {
    pub relays: Relays,
    replaced: Arc<Replaced>,
}

#[derive(Default)]
struct Replaced {
    choose: Mutex<Option<Choose>>,
    calls: Calls,
    endless: AtomicU64,
}

impl Replacing {
    pub fn start(cluster: &Cluster) -> Self {
        let replaced = Arc::new(Replaced::default());
        let shared = replaced.clone();
        let relays = Relays::start(cluster, move |client, node| {
            let replaced = shared.clone();
            async move {
                let _ = serve(client, node, replaced).await;
            }
        });
        Self { relays, replaced }
    }

    /// Replaces messages from now on.
    pub fn replace(&self, choose: impl FnMut(&str, Vec<u8>) -> Reply + Send + 'static) {
        *self.replaced.choose.lock() = Some(Box::new(choose));
    }

    /// Passes messages on from now on.
    pub fn pass(&self) {
        *self.replaced.choose.lock() = None;
    }

    /// Returns the numbers of calls.
    pub fn calls(&self) -> Calls {
        self.replaced.calls.clone()
    }

    /// Returns how many bytes of [`Reply::Endless`] a client has received at most.
    pub fn endless(&self) -> u64 {
        self.replaced.endless.load(Ordering::Relaxed)
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Serves a connection of a client, with one to the node.
async fn serve(client: TcpStream, node: SocketAddr, replaced: Arc<Replaced>) -> Result<(), Failed> {
    let (sender, connection) = h2::client::handshake(TcpStream::connect(node).await?).await?;
    let node = tokio::spawn(connection);
    let mut calls = h2::server::handshake(client).await?;
    while let Some(call) = calls.accept().await {
        let (request, respond) = call?;
        let (sender, replaced) = (sender.clone().ready().await?, replaced.clone());
        tokio::spawn(async move { answer(request, respond, sender, &replaced).await });
    }
    node.abort();
    Ok(())
}

/// Passes on a call, and its messages as the test wants.
async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    mut node: h2::client::SendRequest<Bytes>,
    replaced: &Replaced,
) -> Result<(), Failed> {
    let (head, mut body) = request.into_parts();
    let name = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    *replaced.calls.0.lock().entry(name.clone()).or_default() += 1;
    let (response, mut upstream) = node.send_request(http::Request::from_parts(head, ()), false)?;
    let sending = tokio::spawn(async move {
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            if upstream.send_data(data, false).is_err() {
                return;
            }
        }
        let _ = upstream.send_data(Bytes::new(), true);
    });
    let (head, mut body) = response.await?.into_parts();
    if body.is_end_stream() {
        // A status without a message.
        respond.send_response(http::Response::from_parts(head, ()), true)?;
        return Ok(());
    }
    let mut stream = respond.send_response(http::Response::from_parts(head, ()), false)?;
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        received.extend(data);
        while let Some(message) = take_message(&mut received) {
            let reply = match &mut *replaced.choose.lock() {
                Some(choose) => choose(&name, message),
                None => Reply::Message(message),
            };
            match reply {
                Reply::Message(message) => stream.send_data(framed(&message), false)?,
                Reply::Raw(bytes) => stream.send_data(bytes.into(), false)?,
                Reply::Endless => endless(&mut stream, replaced).await?,
                Reply::Silence => std::future::poll_fn(|context| stream.poll_reset(context)).await.map(drop)?,
                Reply::Status(code, text) => {
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", code.into());
                    trailers.insert("grpc-message", text.parse()?);
                    return Ok(stream.send_trailers(trailers)?);
                }
            }
        }
    }
    sending.abort();
    Ok(stream.send_trailers(body.trailers().await?.unwrap_or_default())?)
}

/// Sends a message of the greatest length for as long as the client receives it.
async fn endless(stream: &mut h2::SendStream<Bytes>, replaced: &Replaced) -> Result<(), Failed> {
    const CHUNK: usize = 64 * 1024;
    let mut sent = 0;
    let mut data = Bytes::from_iter([0].into_iter().chain(u32::MAX.to_be_bytes()));
    loop {
        stream.reserve_capacity(data.len());
        while stream.capacity() < data.len() {
            match std::future::poll_fn(|context| stream.poll_capacity(context)).await {
                Some(capacity) => drop(capacity?),
                None => return Err("the client has ended the call".into()),
            }
        }
        sent += data.len() as u64;
        replaced.endless.fetch_max(sent, Ordering::Relaxed);
        stream.send_data(data, false)?;
        data = Bytes::from_static(&[0; CHUNK]);
    }
}

/// Removes the first message from received bytes, if it is complete.
fn take_message(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = received.get(1..5)?.try_into().map(u32::from_be_bytes).ok()?;
    let end = 5 + length as usize;
    (received.len() >= end).then(|| received.drain(..end).skip(5).collect())
}

fn framed(message: &[u8]) -> Bytes {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat().into()
}

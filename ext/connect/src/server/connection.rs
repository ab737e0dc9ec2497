//! Accepts, serves and closes connections.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

use super::body::{self, Body};
use super::newcomers::{Newcomer, Newcomers};
use super::options::Options;
use super::peer::Peer;
use super::phase::Phase;
use super::shared::Shared;
use super::stream::Stream;
use super::{admin, routes};

/// The limit of connections of operators. It is separate from that of clients, so that clients cannot lock operators out.
const OPERATORS: usize = 64;

/// The delay after a failed accept, for example for lack of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How often to check whether a connection is stuck or idle.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The interval of HTTP/2 pings, and their timeout.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The maximum length of the head of an HTTP/1.1 request, in bytes. It is not counted in `memory.rs`.
const HEAD: usize = 64 * 1024;

/// The flow-control windows and the send buffer of an HTTP/2 connection, in bytes.
const WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 64 * 1024;

/// Accepts connections of one kind of peer.
pub(crate) struct Listener {
    shared: Arc<Shared>,
    role: Role,
    limit: Arc<Semaphore>,
    newcomers: Arc<Newcomers>,
    /// The phase in which accepting stops.
    end: Phase,
}

/// The kind of peer.
#[derive(Clone)]
enum Role {
    Client(Option<TlsAcceptor>),
    Operator,
}

impl Listener {
    /// Creates a listener for clients.
    pub fn clients(shared: Arc<Shared>, tls: Option<TlsAcceptor>) -> Self {
        let (limit, newcomers) = (shared.connections.clone(), shared.newcomers.clone());
        Self { shared, role: Role::Client(tls), limit, newcomers, end: Phase::Stopping }
    }

    /// Creates a listener for operators. It stays open until draining, so that operators see that the server is stopping.
    pub fn operators(shared: Arc<Shared>) -> Self {
        let limit = Arc::new(Semaphore::new(OPERATORS));
        Self { shared, role: Role::Operator, limit, newcomers: Arc::default(), end: Phase::Draining }
    }

    /// Accepts connections until the server stops, and serves each in its own task.
    pub async fn accept(self, listener: TcpListener) {
        let mut end = pin!(self.shared.phase.reached(self.end));
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut end => return,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let Some(permit) = self.admit().await else { continue };
            let (shared, role) = (self.shared.clone(), self.role.clone());
            let newcomer = self.newcomers.add();
            tokio::spawn(async move {
                serve(shared, role, newcomer, stream).await;
                drop(permit);
            });
        }
    }

    /// Returns a permit for a connection. If there is none left, the oldest connection without a valid token is closed for it.
    async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.limit.clone().try_acquire_owned() {
            return Some(permit);
        }
        self.shared.metrics.rejected_connections.increment();
        if !self.newcomers.evict() {
            return None;
        }
        // The evicted connection closes as soon as its task runs.
        self.limit.clone().acquire_owned().await.ok()
    }
}

/// Performs the TLS handshake, if any, and serves a connection until it closes.
async fn serve(shared: Arc<Shared>, role: Role, newcomer: Newcomer, stream: TcpStream) {
    let stream = Stream::new(stream, shared.options.write_timeout);
    let Role::Client(Some(tls)) = &role else {
        return drive(shared, role, newcomer, stream, false).await;
    };
    let eviction = newcomer.eviction();
    let mut stopped = pin!(shared.phase.reached(Phase::Draining));
    let accepted = tokio::select! {
        () = &mut stopped => return,
        () = eviction.notified() => return,
        accepted = tokio::time::timeout(shared.options.header_timeout, tls.accept(stream)) => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => drive(shared, role, newcomer, stream, true).await,
        Ok(Err(error)) => tracing::debug!(%error, "the TLS handshake failed"),
        Err(_) => tracing::debug!("the TLS handshake timed out"),
    }
}

async fn drive<I>(shared: Arc<Shared>, role: Role, newcomer: Newcomer, io: I, is_tls: bool)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let eviction = newcomer.eviction();
    let mut evicted = pin!(eviction.notified());
    let peer = Peer::new(is_tls, newcomer);
    let service = service_fn(|request| {
        let (shared, peer, role) = (shared.clone(), peer.clone(), role.clone());
        async move { Ok::<_, Infallible>(respond(&shared, &peer, &role, request).await) }
    });
    let builder = builder(&shared.options);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut draining = pin!(shared.phase.reached(Phase::Draining));
    let mut stopped = pin!(shared.phase.reached(Phase::Stopped));
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // How many checks have run since the graceful shutdown began.
    let mut closing = None;
    loop {
        tokio::select! {
                    result = connection.as_mut() => {
                        if let Err(error) = result {
                            tracing::debug!(%error, "a connection failed");
                        }
                        return;
                    }
                    () = &mut stopped => return,
                    () = &mut evicted => return,
                    () = &mut draining, if closing.is_none() => {}
                    _ = checks.tick() => {
                        if peer.outgoing.is_stuck() {
                            tracing::debug!("closed a connection whose peer does not receive its responses");
                            return;
                        }
                        if let Some(checks) = &mut closing {
                            *checks += 1;
        // An unresponsive HTTP/2 peer would keep the connection open.
                            if *checks > 1 && peer.is_idle(Duration::ZERO, Duration::ZERO) {
                                return;
                            }
                            continue;
                        }
                        if !peer.is_idle(shared.options.header_timeout, shared.options.idle_timeout) {
                            continue;
                        }
                    }
                }
        connection.as_mut().graceful_shutdown();
        closing = Some(0);
    }
}

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(options.header_timeout).max_buf_size(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.requests_per_connection)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_TIMEOUT)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

async fn respond(shared: &Arc<Shared>, peer: &Arc<Peer>, role: &Role, request: Request<Incoming>) -> Response<Body> {
    let _active = peer.begin();
    let is_head = request.method() == Method::HEAD;
    let response = match role {
        Role::Client(_) => routes::respond(shared, peer, request).await,
        Role::Operator => {
            peer.authorized(0);
            admin::respond(shared, request.uri().path(), true).await
        }
    };
    // hyper sends the body over HTTP/2.
    if is_head { response.map(|_| body::full("")) } else { response }
}

//! A client of etcd's API over gRPC. It fails over between the nodes of the cluster, and repeats every call until it succeeds, is
//! rejected, or the time is over. Callers see to it that a repeated call has no further effect.

mod auth;
mod connector;
mod lease;
mod node;
pub(crate) mod proto;
pub(crate) mod shape;
mod stream;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use self::auth::{Auth, Token};
use self::node::Node;
use self::proto::{
    Headed, RangeRequest, RangeResponse, ResponseOp, StatusRequest, StatusResponse, TxnRequest, TxnResponse,
};
use crate::Options;
use crate::error::{self, Attempt, EtcdError, Failure};
use crate::url::DatabaseUrl;

pub(crate) use self::stream::WatchStream;

/// A client of a cluster.
pub(crate) struct Client {
    nodes: Vec<Node>,
    /// The index of the node that calls use.
    current: AtomicUsize,
    /// The latest term of a leader that a response had.
    term: AtomicU64,
    auth: Auth,
    retry_for: Duration,
    /// The maximum size of a response, in bytes.
    max_response: usize,
}

/// How long a call may take before the node is probed.
const PATIENCE: Duration = Duration::from_secs(1);

/// The timeout of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// The delays between attempts, once every node has failed: they double from the first to the last.
const FIRST_DELAY: Duration = Duration::from_millis(20);
const LAST_DELAY: Duration = Duration::from_millis(500);

/// How often a call is repeated with a new token.
const REAUTHENTICATIONS: u32 = 3;

/// The maximum number of ranges in a transaction. By default, etcd accepts 128.
const MAX_RANGES: usize = 100;

/// The number of the largest messages of the queue, or of twice as many entries, that a response may have.
const MAX_MESSAGES: usize = 512;

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";

impl Client {
    pub fn new(url: &DatabaseUrl, options: &Options) -> Self {
        let tls = if url.tls { options.tls.as_deref() } else { None };
        let nodes: Vec<_> = url.nodes.iter().map(|address| Node::new(address.clone(), tls)).collect();
        // Spreads clients over the nodes.
        let mut random = [0; 2];
        options.random.fill(&mut random);
        let first = usize::from(u16::from_le_bytes(random)) % nodes.len();
        let limits = &options.limits;
        let largest = limits.value_size.saturating_add(limits.write_keys_size).saturating_add(1024);
        Self {
            nodes,
            current: AtomicUsize::new(first),
            term: AtomicU64::new(0),
            auth: Auth::new(options.credentials.clone()),
            retry_for: options.retry_for,
            max_response: largest.saturating_mul(MAX_MESSAGES),
        }
    }

    /// Reads a range.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Failure> {
        let needs_leader = !request.serializable;
        let response = self.call::<_, RangeResponse>(RANGE, request.clone(), needs_leader).await?.0;
        shape::check_header(response.header.as_ref())?;
        shape::check_range(&request, &response)?;
        Ok(response)
    }

    /// Commits a transaction. Also returns whether an earlier attempt may have been processed, too.
    pub async fn txn(&self, request: TxnRequest) -> Result<(TxnResponse, bool), Failure> {
        let (response, is_ambiguous) = self.call::<_, TxnResponse>(TXN, request, true).await?;
        let checked = shape::check_header(response.header.as_ref());
        checked.map_err(|error| Failure { error, is_ambiguous: true })?;
        Ok((response, is_ambiguous))
    }

    /// Reads ranges in one snapshot.
    pub async fn read_txn(&self, ranges: Vec<RangeRequest>) -> Result<(i64, Vec<RangeResponse>), Failure> {
        let needs_leader = ranges.iter().any(|range| !range.serializable);
        let success = ranges.iter().map(|range| proto::Request::Range(range.clone()).into()).collect();
        let request = TxnRequest { success, ..TxnRequest::default() };
        let response = self.call::<_, TxnResponse>(TXN, request, needs_leader).await?.0;
        shape::check_header(response.header.as_ref())?;
        let revision = response.revision();
        let found: Vec<_> = response.responses.into_iter().filter_map(ResponseOp::into_range).collect();
        if found.len() != ranges.len() {
            return Err(EtcdError::Malformed("ranges are missing").into());
        }
        ranges.iter().zip(&found).try_for_each(|(range, found)| shape::check_range(range, found))?;
        Ok((revision, found))
    }

    /// Reads any number of keys in one snapshot, at a revision or, if that is 0, at the latest.
    pub async fn read_keys(&self, keys: &[RangeRequest], mut revision: i64) -> Result<Vec<RangeResponse>, Failure> {
        let mut results = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(MAX_RANGES) {
            let ranges = chunk.iter().map(|range| RangeRequest { revision, ..range.clone() }).collect();
            let (current, found) = self.read_txn(ranges).await?;
            revision = if revision == 0 { current } else { revision };
            results.extend(found);
        }
        Ok(results)
    }

    async fn status(&self, node: &Node) -> Result<StatusResponse, String> {
        let (channel, _) = node.connect().await?;
        let call = self.send::<_, StatusResponse>(channel, STATUS, StatusRequest {}, false, self.auth.current());
        match timeout(PROBE_TIMEOUT, call).await {
            Ok(response) => response.map_err(|status| error::reason(&status)),
            Err(_) => Err("it does not respond".into()),
        }
    }

    /// Makes a call until it succeeds, is rejected, or the time is over. `needs_leader` makes a node without a leader, such as one
    /// that is cut off from the others, reject it immediately. Also returns whether an earlier attempt may have been processed.
    async fn call<Q, R>(&self, path: &'static str, request: Q, needs_leader: bool) -> Result<(R, bool), Failure>
    where
        Q: Message + Clone + 'static,
        R: Headed + Message + Default + 'static,
    {
        self.retry(path, |node, deadline| self.attempt(node, path, &request, needs_leader, deadline)).await
    }

    /// Makes attempts, each with a node and the deadline of the call, until one succeeds, is rejected, or the time is over. Also
    /// returns whether an earlier attempt may have been processed.
    async fn retry<'a, T, F>(
        &'a self,
        path: &'static str,
        attempt: impl Fn(&'a Node, Instant) -> F,
    ) -> Result<(T, bool), Failure>
    where
        F: Future<Output = Result<T, Attempt>>,
    {
        let start = Instant::now();
        let deadline = start + self.retry_for;
        let (mut attempts, mut reauthentications, mut is_ambiguous) = (0_u32, 0, false);
        loop {
            let index = self.pick();
            let node = &self.nodes[index];
            let reason = match attempt(node, deadline).await {
                Ok(response) => return Ok((response, is_ambiguous)),
                Err(Attempt::Final { error, is_ambiguous: last }) => {
                    return Err(Failure { error, is_ambiguous: is_ambiguous || last });
                }
                Err(Attempt::Reauthenticate(reason)) => {
                    reauthentications += 1;
                    if reauthentications > REAUTHENTICATIONS || !self.auth.has_credentials() {
                        return Err(Failure { error: EtcdError::Credentials(reason), is_ambiguous });
                    }
                    continue;
                }
                Err(Attempt::Retry { reason, is_ambiguous: ambiguous }) => {
                    is_ambiguous |= ambiguous;
                    reason
                }
            };
            tracing::debug!(%reason, path, node = %node.address, "a call to etcd failed, trying again");
            self.leave(index);
            attempts += 1;
            let rounds = attempts / self.nodes.len() as u32;
            let delay = if rounds == 0 { Duration::ZERO } else { FIRST_DELAY * (1 << (rounds - 1).min(10)) };
            let delay = delay.min(LAST_DELAY);
            if Instant::now() + delay >= deadline {
                let endpoints = self.nodes.iter().map(|node| node.address.to_string()).collect::<Vec<_>>().join(", ");
                let error = EtcdError::Unavailable { endpoints, seconds: start.elapsed().as_secs(), reason };
                return Err(Failure { error, is_ambiguous });
            }
            sleep(delay).await;
        }
    }

    /// Makes one attempt of a call.
    async fn attempt<Q, R>(
        &self,
        node: &Node,
        path: &'static str,
        request: &Q,
        needs_leader: bool,
        deadline: Instant,
    ) -> Result<R, Attempt>
    where
        Q: Message + Clone + 'static,
        R: Headed + Message + Default + 'static,
    {
        let retry = |reason| Err(Attempt::Retry { reason, is_ambiguous: true });
        let (channel, _) = connect(node).await?;
        let token = self.auth.token(node).await?;
        let term = self.term.load(Ordering::Relaxed);
        let mut call = std::pin::pin!(self.send::<_, R>(channel, path, request.clone(), needs_leader, token.clone()));
        loop {
            let at = (Instant::now() + PATIENCE).min(deadline);
            match tokio::time::timeout_at(at, &mut call).await {
                Ok(Ok(response)) => {
                    self.term.fetch_max(response.term(), Ordering::Relaxed);
                    return Ok(response);
                }
                Ok(Err(status)) => return Err(self.failed(node, token.as_ref(), &status)),
                Err(_) if Instant::now() >= deadline => return retry("it did not respond in time".into()),
                // Without a leader, the call waits for longer than an election takes.
                Err(_) => match self.status(node).await {
                    Ok(status) if status.leader == 0 => return retry("the cluster has no leader".into()),
                    Ok(status) => {
                        self.term.fetch_max(status.term(), Ordering::Relaxed);
                        // The node has sent the call to a leader that was lost, and waits for it for several seconds.
                        if status.term() > term {
                            return retry("the cluster has a new leader".into());
                        }
                    }
                    Err(reason) => {
                        node.fail();
                        return retry(format!("{}: {reason}", node.address));
                    }
                },
            }
        }
    }

    /// Returns what the status of an attempt means. Closes a connection that failed, and discards a token that was rejected.
    fn failed(&self, node: &Node, token: Option<&Token>, status: &Status) -> Attempt {
        let mut attempt = Attempt::of_status(status);
        if std::error::Error::source(status).is_some() {
            node.fail();
            if let (Attempt::Retry { reason, .. }, Some(error)) = (&mut attempt, node.broken_by()) {
                *reason = error;
            }
        }
        if let Attempt::Reauthenticate(_) = attempt {
            self.auth.forget(token);
        }
        attempt
    }

    async fn send<Q, R>(
        &self,
        channel: Channel,
        path: &'static str,
        request: Q,
        needs_leader: bool,
        token: Option<Token>,
    ) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = grpc(channel, self.max_response).await?;
        let codec = ProstCodec::<Q, R>::default();
        let request = with_metadata(request, needs_leader, token);
        Ok(grpc.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    /// Returns the index of the node to use: the current one, unless it is avoided.
    fn pick(&self) -> usize {
        let current = self.current.load(Ordering::Relaxed);
        if !self.nodes[current].is_avoided() {
            return current;
        }
        let others = (1..self.nodes.len()).map(|i| (current + i) % self.nodes.len());
        let next = others.into_iter().find(|i| !self.nodes[*i].is_avoided()).unwrap_or(current);
        self.current.store(next, Ordering::Relaxed);
        next
    }

    /// Makes later calls use another node.
    fn leave(&self, node: usize) {
        let next = (node + 1) % self.nodes.len();
        let _ = self.current.compare_exchange(node, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Connects to a node for an attempt.
async fn connect(node: &Node) -> Result<(Channel, watch::Receiver<u64>), Attempt> {
    node.connect().await.map_err(|reason| {
        node.fail();
        Attempt::Retry { reason, is_ambiguous: false }
    })
}

fn with_metadata<T>(message: T, needs_leader: bool, token: Option<Token>) -> Request<T> {
    let mut request = Request::new(message);
    if needs_leader {
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    }
    if let Some(token) = token {
        request.metadata_mut().insert("token", token);
    }
    request
}

/// Prepares calls over a connection. A larger response is not received.
async fn grpc(channel: Channel, max_response: usize) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(max_response).max_encoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    Ok(grpc)
}

//! etcd by hand, with the least that a client can send.

use std::ops::Range;

use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::oneshot;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;

use crate::store::{IN_FLIGHT, LIMIT, LISTS, Result, Store, VALUE, in_flight, key, selector, written};

/// The name of the database of the backend.
pub const DATABASE: &str = "bench";

const DELETE: &str = "/etcdserverpb.KV/DeleteRange";
const PUT: &str = "/etcdserverpb.KV/Put";
const TXN: &str = "/etcdserverpb.KV/Txn";
const RANGE: &str = "/etcdserverpb.KV/Range";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// A connection to a node.
pub struct Etcd(Channel);

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// A transaction without conditions.
#[derive(Clone, PartialEq, Message)]
struct TxnRequest {
    #[prost(message, repeated, tag = "2")]
    success: Vec<RequestOp>,
}

#[derive(Clone, PartialEq, Message)]
struct RequestOp {
    #[prost(message, optional, tag = "2")]
    put: Option<PutRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    limit: i64,
    /// 0: none, 2: descending, by the key.
    #[prost(int32, tag = "5")]
    sort_order: i32,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct DeleteRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    create_request: Option<DeleteRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct WatchResponse {
    #[prost(bool, tag = "3")]
    created: bool,
    /// Events, which are not read.
    #[prost(message, repeated, tag = "11")]
    events: Vec<Ignored>,
}

/// A response, or a part of one, whose fields are not read.
#[derive(Clone, PartialEq, Message)]
struct Ignored {}

impl Etcd {
    /// Connects to a node.
    pub async fn connect(address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        Ok(Self(endpoint.connect().await?))
    }

    async fn call<Q, R>(&self, path: &'static str, request: Q) -> Result<R>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await?;
        let codec = ProstCodec::<Q, R>::default();
        Ok(grpc.unary(Request::new(request), PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    async fn put(&self, key: Vec<u8>) -> Result {
        self.call::<_, Ignored>(PUT, PutRequest { key, value: VALUE.to_vec() }).await?;
        Ok(())
    }

    /// Watches a key until the sender is dropped.
    async fn watch_key(&self, key: Vec<u8>) -> Result<(Streaming<WatchResponse>, oneshot::Sender<()>)> {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await?;
        let create = WatchRequest { create_request: Some(DeleteRequest { key }) };
        // The watch lasts as long as the stream of requests.
        let (open, closed) = oneshot::channel();
        let request = Request::new(stream::iter([create]).chain(stream::pending()).take_until(closed));
        let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
        let mut responses = grpc.streaming(request, PathAndQuery::from_static(WATCH), codec).await?.into_inner();
        while !responses.message().await?.ok_or("the watch has ended")?.created {}
        Ok((responses, open))
    }
}

/// Returns the key under which the backend stores an entry.
fn stored(key: &[u8]) -> Vec<u8> {
    [format!("{DATABASE}/d/").as_bytes(), key].concat()
}

/// Returns the key of an entry that is written by hand.
fn plain(number: u64) -> Vec<u8> {
    [b"plain/", written(number).as_bytes()].concat()
}

impl Store for Etcd {
    async fn set(&self, number: u64) -> Result {
        self.put(plain(number)).await
    }

    async fn set_by_transaction(&self, number: u64) -> Result {
        let put = Some(PutRequest { key: plain(number), value: VALUE.to_vec() });
        self.call::<_, Ignored>(TXN, TxnRequest { success: vec![RequestOp { put }] }).await?;
        Ok(())
    }

    async fn set_all(&self, numbers: Range<u64>) -> Result {
        in_flight(numbers, async |number| Store::set(self, number).await).await
    }

    async fn get(&self, number: u64, is_eventual: bool) -> Result<bool> {
        let key = stored(key(LISTS[0], number).as_bytes());
        let request = RangeRequest { key, serializable: is_eventual, ..RangeRequest::default() };
        Ok(!self.call::<_, RangeResponse>(RANGE, request).await?.kvs.is_empty())
    }

    async fn list(&self, size: u64, is_reverse: bool) -> Result<usize> {
        let (start, end) = selector(size).range(None, false)?;
        let sort_order = if is_reverse { 2 } else { 0 };
        let (key, range_end) = (stored(&start), stored(&end));
        let request = RangeRequest { key, range_end, limit: LIMIT as i64, sort_order, serializable: false };
        Ok(self.call::<_, RangeResponse>(RANGE, request).await?.kvs.len())
    }

    async fn watch(&self, changes: u64) -> Result {
        let key = b"watched".to_vec();
        let (mut responses, _open) = self.watch_key(key.clone()).await?;
        for _ in 0..changes {
            self.put(key.clone()).await?;
            while responses.message().await?.ok_or("the watch has ended")?.events.is_empty() {}
        }
        Ok(())
    }

    async fn queue(&self, messages: u64) -> Result {
        let prefix = b"messages/".to_vec();
        in_flight(0..messages, async |number| self.put([&*prefix, &number.to_be_bytes()].concat()).await).await?;
        let range_end = b"messages0".to_vec();
        let next = RangeRequest { key: prefix, range_end, limit: IN_FLIGHT as i64, ..RangeRequest::default() };
        loop {
            let ready = self.call::<_, RangeResponse>(RANGE, next.clone()).await?.kvs;
            if ready.is_empty() {
                return Ok(());
            }
            let delete = async |i: u64| {
                let key = ready[i as usize].key.clone();
                self.call::<_, Ignored>(DELETE, DeleteRequest { key }).await?;
                Ok(())
            };
            in_flight(0..ready.len() as u64, delete).await?;
        }
    }
}

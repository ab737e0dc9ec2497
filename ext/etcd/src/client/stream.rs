use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tonic::Streaming;
use tonic_prost::ProstCodec;

use super::node::Node;
use super::proto::{WatchCreateRequest, WatchRequest, WatchResponse};
use super::{Client, connect, grpc, with_metadata};
use crate::error::{Attempt, Failure};

const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// How long a node may take to begin a watch.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream of changes.
pub(crate) struct WatchStream {
    responses: Streaming<WatchResponse>,
    /// Changes when the node fails.
    failures: watch::Receiver<u64>,
    /// Ends the stream of requests when it is dropped, and thereby the watch.
    _requests: oneshot::Sender<()>,
}

impl Client {
    /// Watches keys from their start revisions.
    pub async fn watch(&self, creates: Vec<WatchCreateRequest>) -> Result<WatchStream, Failure> {
        Ok(self.retry(WATCH, |node, deadline| self.open(node, &creates, deadline)).await?.0)
    }

    async fn open(
        &self,
        node: &Node,
        creates: &[WatchCreateRequest],
        deadline: Instant,
    ) -> Result<WatchStream, Attempt> {
        let (channel, failures) = connect(node).await?;
        let token = self.auth.token(node).await?;
        // The watch lasts as long as the stream of requests, also if nobody receives the responses.
        let (open, closed) = oneshot::channel();
        let create = |create| WatchRequest { create_request: Some(create) };
        let requests = stream::iter(creates.to_vec()).map(create).chain(stream::pending()).take_until(closed);
        let request = with_metadata(requests, true, token.clone());
        let opened = async {
            let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
            let mut grpc = grpc(channel, self.max_response).await?;
            grpc.streaming(request, PathAndQuery::from_static(WATCH), codec).await
        };
        match timeout_at(deadline.min(Instant::now() + OPEN_TIMEOUT), opened).await {
            Ok(Ok(responses)) => Ok(WatchStream { responses: responses.into_inner(), failures, _requests: open }),
            Ok(Err(status)) => Err(self.failed(node, token.as_ref(), &status)),
            Err(_) => {
                node.fail();
                Err(Attempt::Retry { reason: "it did not begin to watch in time".into(), is_ambiguous: false })
            }
        }
    }
}

impl WatchStream {
    /// Waits for the next response. Returns `None` if the stream has ended, because the node or its leader was lost.
    pub async fn next(&mut self) -> Option<WatchResponse> {
        tokio::select! {
            response = self.responses.message() => response.ok().flatten(),
            _ = self.failures.changed() => None,
        }
    }
}

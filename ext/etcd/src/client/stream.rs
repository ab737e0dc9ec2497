use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use tokio::sync::{oneshot, watch};
use tonic::Streaming;
use tonic_prost::ProstCodec;

use super::proto::{WatchCreateRequest, WatchRequest, WatchResponse};
use super::{Client, grpc};
use crate::error::{Attempt, EtcdError, Failure};

const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// A stream of changes.
pub(crate) struct WatchStream {
    responses: Streaming<WatchResponse>,
    /// Changes when the node fails.
    failures: watch::Receiver<u64>,
    /// Ends the stream of requests when it is dropped, and thereby the watch.
    _requests: oneshot::Sender<()>,
}

impl Client {
    /// Watches keys from their start revisions. Makes one attempt.
    pub async fn watch(&self, creates: Vec<WatchCreateRequest>) -> Result<WatchStream, Failure> {
        let index = self.pick();
        let node = &self.nodes[index];
        let retry = |reason: String| {
            self.leave(index);
            Failure::from(EtcdError::Rejected(reason))
        };
        let (channel, failures) = node.connect().await.map_err(|reason| {
            node.fail();
            retry(reason)
        })?;
        if let Err(attempt) = self.auth.renew(self, node).await {
            return Err(match attempt {
                Attempt::Final(error) => error.into(),
                Attempt::Retry { reason, .. } | Attempt::Reauthenticate(reason) => retry(reason),
            });
        }
        let creates = creates.into_iter().map(|create| WatchRequest { create_request: Some(create) });
        // The watch lasts as long as the stream of requests, also if nobody receives the responses.
        let (open, closed) = oneshot::channel();
        let request = self.with_metadata(stream::iter(creates).chain(stream::pending()).take_until(closed), true);
        let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
        let opened = async { grpc(channel).await?.streaming(request, PathAndQuery::from_static(WATCH), codec).await };
        match opened.await {
            Ok(responses) => Ok(WatchStream { responses: responses.into_inner(), failures, _requests: open }),
            Err(status) => {
                if std::error::Error::source(&status).is_some() {
                    node.fail();
                }
                Err(match Attempt::of_status(&status) {
                    Attempt::Final(error) => error.into(),
                    Attempt::Retry { reason, .. } => retry(reason),
                    Attempt::Reauthenticate(reason) => {
                        self.auth.forget();
                        retry(reason)
                    }
                })
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

use futures_util::stream;
use http::uri::PathAndQuery;
use openkv_engine::Random;
use tokio::time::timeout;
use tonic_prost::ProstCodec;

use super::node::Node;
use super::proto::{LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseRequest, LeaseRevokeResponse};
use super::{Client, PATIENCE, grpc, with_metadata};
use crate::error::{EtcdError, Failure};

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";

impl Client {
    /// Creates a lease with a time to live in seconds. Returns its id.
    pub async fn grant(&self, random: &dyn Random, ttl: i64) -> Result<i64, Failure> {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        // With an id of the client, a repeated call creates no second lease.
        let id = (i64::from_le_bytes(bytes) & i64::MAX).max(1);
        match self.call::<_, LeaseGrantResponse>(GRANT, LeaseGrantRequest { ttl, id }, true).await {
            Ok(_) => Ok(id),
            Err(Failure { error: EtcdError::Rejected(reason), .. }) if reason.contains("already exists") => Ok(id),
            Err(failure) => Err(failure),
        }
    }

    /// Ends a lease, which deletes its keys.
    pub async fn revoke(&self, id: i64) -> Result<(), Failure> {
        match self.call::<_, LeaseRevokeResponse>(REVOKE, LeaseRequest { id }, true).await {
            Ok(_) => Ok(()),
            Err(Failure { error: EtcdError::SessionExpired, .. }) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Renews a lease. Returns its time to live in seconds, or 0 if it has expired. Makes one attempt.
    pub async fn keep_alive(&self, id: i64) -> Result<i64, String> {
        let index = self.pick();
        let node = &self.nodes[index];
        let renewed = timeout(PATIENCE, self.try_keep_alive(node, id)).await;
        let renewed = renewed.unwrap_or_else(|_| Err("it did not respond in time".into()));
        if renewed.is_err() {
            self.leave(index);
        }
        renewed
    }

    async fn try_keep_alive(&self, node: &Node, id: i64) -> Result<i64, String> {
        let (channel, _) = node.connect().await?;
        let token = self.auth.token(node).await.map_err(|attempt| attempt.to_string())?;
        let call = async {
            let request = with_metadata(stream::iter([LeaseRequest { id }]), true, token.clone());
            let codec = ProstCodec::<LeaseRequest, LeaseKeepAliveResponse>::default();
            let path = PathAndQuery::from_static(KEEP_ALIVE);
            let mut grpc = grpc(channel, self.max_response).await?;
            grpc.streaming(request, path, codec).await?.into_inner().message().await
        };
        match call.await {
            Ok(Some(response)) => Ok(response.ttl),
            Ok(None) => Err("it did not respond".into()),
            Err(status) => Err(self.failed(node, token.as_ref(), &status).to_string()),
        }
    }
}

use http::uri::PathAndQuery;
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic_prost::ProstCodec;

use super::node::Node;
use super::proto::{AuthenticateRequest, AuthenticateResponse};
use super::{Client, PATIENCE, grpc};
use crate::error::Attempt;
use crate::options::Credentials;

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// The user of the client, and the token that the cluster has issued. Tokens expire.
pub(super) struct Auth {
    credentials: Option<Credentials>,
    token: Mutex<Option<MetadataValue<Ascii>>>,
    /// Locked while authenticating.
    renewing: tokio::sync::Mutex<()>,
}

impl Auth {
    pub fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, token: Mutex::default(), renewing: tokio::sync::Mutex::default() }
    }

    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub fn token(&self) -> Option<MetadataValue<Ascii>> {
        self.token.lock().clone()
    }

    /// Discards the token, which the cluster has rejected.
    pub fn forget(&self) {
        *self.token.lock() = None;
    }

    /// Requests a token if there is none.
    pub async fn renew(&self, client: &Client, node: &Node) -> Result<(), Attempt> {
        let Some(Credentials { user, password }) = &self.credentials else { return Ok(()) };
        let _renewing = self.renewing.lock().await;
        if self.token.lock().is_some() {
            return Ok(());
        }
        let retry = |reason| Attempt::Retry { reason, is_ambiguous: false };
        let (channel, _) = node.connect().await.map_err(retry)?;
        let request = AuthenticateRequest { name: user.clone(), password: password.clone() };
        let call = async {
            let codec = ProstCodec::<AuthenticateRequest, AuthenticateResponse>::default();
            let request = client.with_metadata(request, false);
            grpc(channel).await?.unary(request, PathAndQuery::from_static(AUTHENTICATE), codec).await
        };
        let response = match timeout(2 * PATIENCE, call).await {
            Ok(Ok(response)) => response.into_inner(),
            // Without authentication, the cluster ignores users.
            Ok(Err(status)) if status.message().contains("authentication is not enabled") => return Ok(()),
            Ok(Err(status)) => return Err(Attempt::of_status(&status)),
            Err(_) => return Err(retry("it did not authenticate the user in time".into())),
        };
        let token = MetadataValue::try_from(response.token).map_err(|_| retry("it sent an invalid token".into()))?;
        *self.token.lock() = Some(token);
        Ok(())
    }
}

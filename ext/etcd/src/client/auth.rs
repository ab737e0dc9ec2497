use http::uri::PathAndQuery;
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic_prost::ProstCodec;

use super::node::Node;
use super::proto::{AuthenticateRequest, AuthenticateResponse};
use super::{PATIENCE, grpc};
use crate::error::Attempt;
use crate::options::Credentials;

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// The maximum size of a response with a token, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;

/// What the cluster issues to a user, to send with each call.
pub(super) type Token = MetadataValue<Ascii>;

/// The user of the client, and the token that the cluster has issued. Tokens expire.
pub(super) struct Auth {
    credentials: Option<Credentials>,
    token: Mutex<Option<Token>>,
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

    /// Returns the token, if there is one.
    pub fn current(&self) -> Option<Token> {
        self.token.lock().clone()
    }

    /// Discards a token that the cluster has rejected, unless another one was requested meanwhile.
    pub fn forget(&self, rejected: Option<&Token>) {
        let mut token = self.token.lock();
        if token.as_ref() == rejected {
            *token = None;
        }
    }

    /// Returns the token, and requests one if there is none. Without authentication, there is none.
    pub async fn token(&self, node: &Node) -> Result<Option<Token>, Attempt> {
        let Some(Credentials { user, password }) = &self.credentials else { return Ok(None) };
        let _renewing = self.renewing.lock().await;
        if let Some(token) = self.current() {
            return Ok(Some(token));
        }
        let retry = |reason| Attempt::Retry { reason, is_ambiguous: false };
        let (channel, _) = node.connect().await.map_err(retry)?;
        let request = Request::new(AuthenticateRequest { name: user.clone(), password: password.clone() });
        let call = async {
            let codec = ProstCodec::<AuthenticateRequest, AuthenticateResponse>::default();
            let mut grpc = grpc(channel, MAX_RESPONSE).await?;
            grpc.unary(request, PathAndQuery::from_static(AUTHENTICATE), codec).await
        };
        let response = match timeout(2 * PATIENCE, call).await {
            Ok(Ok(response)) => response.into_inner(),
            // Without authentication, the cluster ignores users.
            Ok(Err(status)) if status.message().contains("authentication is not enabled") => return Ok(None),
            Ok(Err(status)) => return Err(Attempt::of_status(&status)),
            Err(_) => return Err(retry("it did not authenticate the user in time".into())),
        };
        let token = MetadataValue::try_from(response.token).map_err(|_| retry("it sent an invalid token".into()))?;
        *self.token.lock() = Some(token.clone());
        Ok(Some(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_token_does_not_discard_a_newer_one() {
        let auth = Auth::new(None);
        let [old, new] = ["old", "new"].map(|token| Token::try_from(token).unwrap());
        *auth.token.lock() = Some(new.clone());
        auth.forget(Some(&old));
        auth.forget(None);
        assert_eq!(auth.current(), Some(new.clone()));
        auth.forget(Some(&new));
        assert_eq!(auth.current(), None);
    }
}

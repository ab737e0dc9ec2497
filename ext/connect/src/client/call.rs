use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use openkv_engine::{Consistency, Error, Result};
use tokio::time::Instant;
use url::Url;

use super::backoff::Backoff;
use super::error::{CallError, MetadataError};
use super::metadata::Metadata;
use super::session::Session;
use super::transport::{BodyError, Lane, SendError, read_body, read_text};
use crate::wire::{self, Malformed, Message, frame, headers};

/// A call of the protocol.
pub(crate) struct Call {
    /// The path relative to the URL of the endpoint.
    pub path: &'static str,
    pub body: Bytes,
    pub consistency: Consistency,
    /// An additional header.
    pub header: Option<(HeaderName, HeaderValue)>,
    pub repeat: Repeat,
    /// When the call was made, from which on its time for retries counts.
    pub since: Instant,
    /// The maximum length of the response in bytes.
    pub max_len: usize,
}

/// Whether a call may be sent again after the server may have processed it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The call is idempotent.
    Always,
    /// A server with the extension recognizes the call by its id.
    WithExtension,
    /// The call would take effect twice.
    Never,
}

impl Call {
    pub fn new(path: &'static str, message: &impl Message) -> Self {
        Self::with_body(path, message.encode_to_vec().into())
    }

    /// A call whose message is encoded already.
    pub fn with_body(path: &'static str, body: Bytes) -> Self {
        Self {
            path,
            body,
            consistency: Consistency::Strong,
            header: None,
            repeat: Repeat::Always,
            since: Instant::now(),
            max_len: frame::MAX_LEN,
        }
    }
}

/// A decoded response.
pub(crate) enum Decoded<T> {
    Value(T),
    /// The endpoint cannot process the call: new metadata may name another one.
    Elsewhere(CallError),
}

/// Why an attempt failed.
pub(crate) enum Failure {
    /// A retry may succeed.
    Transient {
        /// Whether the server may have processed the call.
        was_sent: bool,
        retry_after: Option<Duration>,
        error: Error,
    },
    /// A retry would fail. The server has not processed this attempt, but may have processed an earlier one.
    Final(Error),
    /// The database rejected the call, so no earlier attempt took effect either.
    Rejected(Error),
}

/// The maximum number of parts of a response without entries.
pub(crate) const RESPONSE_PARTS: usize = 10_000;

/// The timeout of an attempt.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The response to a call before its body is read.
pub(crate) struct Head {
    pub metadata: Arc<Metadata>,
    pub url: Url,
    pub body: Incoming,
}

impl Session {
    /// Makes a call, with retries after transient failures.
    ///
    /// # Errors
    /// The last failure. [`Error::OutcomeUnknown`] if the server may have processed a call that must not be processed twice.
    pub async fn call<T>(
        self: &Arc<Self>,
        call: &Call,
        decode: impl Fn(Bytes) -> Result<Decoded<T>, Malformed>,
    ) -> Result<T> {
        // Calls that waited for one that failed do not wait as long again, one after the other.
        if let Some(error) = self.unreachable_since(call.since) {
            return Err(error);
        }
        let mut backoff = Backoff::since(call.since, &*self.options.random, self.options.retry_for);
        let mut may_be_done = false;
        let outcome = |may_be_done: bool, error: Error| match error {
            error @ Error::OutcomeUnknown(_) => error,
            error if may_be_done && call.repeat != Repeat::Always => Error::OutcomeUnknown(Arc::new(error)),
            error => error,
        };
        loop {
            let attempt = tokio::time::timeout(TIMEOUT, self.attempt(call, may_be_done, &decode)).await;
            let failure = match attempt {
                Ok(Ok(value)) => {
                    self.reached();
                    return Ok(value);
                }
                Ok(Err(failure)) => failure,
                Err(_) => self.timed_out(call, TIMEOUT),
            };
            let (was_sent, retry_after, error) = match failure {
                Failure::Rejected(error) => return Err(error),
                Failure::Final(error) => return Err(outcome(may_be_done, error)),
                Failure::Transient { was_sent, retry_after, error } => (was_sent, retry_after, error),
            };
            may_be_done |= was_sent;
            let may_repeat = !may_be_done || call.repeat != Repeat::Never;
            tracing::debug!(%error, path = call.path, may_repeat, "a call to a remote database failed");
            if !may_repeat {
                return Err(outcome(may_be_done, error));
            }
            if !backoff.wait(retry_after).await {
                self.gave_up(&error);
                return Err(outcome(may_be_done, error));
            }
        }
    }

    async fn attempt<T>(
        self: &Arc<Self>,
        call: &Call,
        may_be_done: bool,
        decode: impl Fn(Bytes) -> Result<Decoded<T>, Malformed>,
    ) -> Result<T, Failure> {
        let Head { metadata, url, body } = self.send(&self.transport.calls, call, may_be_done).await?;
        let was_sent = true;
        let body = match read_body(body, call.max_len).await {
            Ok(body) => Ok(body),
            Err(BodyError::TooLong) => Err(Malformed::TooLong { max: call.max_len }),
            Err(BodyError::Lost(why)) => {
                let error = CallError::Unreachable { url, why };
                return Err(Failure::Transient { was_sent, retry_after: None, error: error.into() });
            }
        };
        match body.and_then(decode) {
            Ok(Decoded::Value(value)) => Ok(value),
            Ok(Decoded::Elsewhere(error)) => {
                self.refresh(&metadata).await.map_err(unrefreshed)?;
                Err(Failure::Transient { was_sent: false, retry_after: None, error: error.into() })
            }
            Err(malformed) => {
                let error = Error::from(CallError::Malformed { url, malformed });
                // The server has processed the call.
                let is_done = call.repeat != Repeat::Always;
                Err(Failure::Final(if is_done { Error::OutcomeUnknown(Arc::new(error)) } else { error }))
            }
        }
    }

    /// Sends a call, again if the token has expired, and waits for the head of the response. `may_be_done` says whether the
    /// server may have processed an earlier attempt.
    pub async fn send(self: &Arc<Self>, lane: &Lane, call: &Call, may_be_done: bool) -> Result<Head, Failure> {
        let metadata = self.metadata().await.map_err(unrefreshed)?;
        match self.send_with(lane, &metadata, call, may_be_done).await {
            Err(Unsuccessful::Unauthorized(_)) => {}
            sent => return sent.map_err(Unsuccessful::into_failure),
        }
        let metadata = self.refresh(&metadata).await.map_err(unrefreshed)?;
        self.send_with(lane, &metadata, call, may_be_done).await.map_err(Unsuccessful::into_failure)
    }

    async fn send_with(
        &self,
        lane: &Lane,
        metadata: &Arc<Metadata>,
        call: &Call,
        may_be_done: bool,
    ) -> Result<Head, Unsuccessful> {
        if may_be_done && call.repeat == Repeat::WithExtension && !metadata.has_extension {
            return Err(Failure::Final(CallError::ExtensionLost.into()).into());
        }
        let url = metadata.url(call.consistency, call.path).ok_or(CallError::NoStrongEndpoint);
        let url = url.map_err(|error| Failure::Final(error.into()))?;
        (self.options.permit)(&url).map_err(Failure::Final)?;
        let mut head = metadata.headers.clone();
        head.extend(call.header.clone());
        if may_be_done && call.repeat == Repeat::WithExtension {
            head.insert(headers::RETRY, HeaderValue::from_static("1"));
        }
        let response = self.transport.post(lane, &url, head, call.body.clone()).await;
        let response = response.map_err(|SendError { was_sent, why }| {
            let error = CallError::Unreachable { url: url.clone(), why };
            Failure::Transient { was_sent, retry_after: None, error: error.into() }
        })?;
        if response.status().is_success() {
            return Ok(Head { metadata: metadata.clone(), url, body: response.into_body() });
        }
        Err(unsuccessful(metadata, url, response).await)
    }

    /// Returns the failure of a call that timed out.
    pub fn timed_out(&self, call: &Call, timeout: Duration) -> Failure {
        let error = match self.current().url(call.consistency, call.path) {
            Some(url) => CallError::TimedOut { url, seconds: timeout.as_secs() },
            None => CallError::NoStrongEndpoint,
        };
        Failure::Transient { was_sent: true, retry_after: None, error: error.into() }
    }
}

/// Why a request failed.
enum Unsuccessful {
    /// The token is not valid or has expired.
    Unauthorized(Error),
    Failed(Failure),
}

impl From<Failure> for Unsuccessful {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Unsuccessful {
    fn into_failure(self) -> Failure {
        match self {
            Self::Unauthorized(error) => Failure::Final(error),
            Self::Failed(failure) => failure,
        }
    }
}

/// Converts a response without a success status.
async fn unsuccessful(metadata: &Metadata, url: Url, response: Response<Incoming>) -> Unsuccessful {
    let (head, body) = response.into_parts();
    let body = read_text(body).await;
    let status = head.status;
    let named = if metadata.has_extension {
        head.headers.get(headers::ERROR).and_then(wire::error::decode)
    } else {
        Some(&body).filter(|_| status.is_client_error()).and_then(|body| wire::error::from_message(body))
    };
    // Some servers report it with the status of any bad request.
    let is_unauthorized = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || (status == StatusCode::BAD_REQUEST && body.to_lowercase().contains("authorization"));
    let error = named.clone().unwrap_or_else(|| {
        let is_requeued = status == StatusCode::GONE && metadata.has_extension;
        if is_requeued { CallError::Requeued { url } } else { CallError::Status { url, status, body } }.into()
    });
    // Servers send these without processing the request.
    let is_unprocessed = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    if status.is_server_error() || is_unprocessed {
        return Failure::Transient { was_sent: !is_unprocessed, retry_after: retry_after(&head.headers), error }.into();
    }
    match named {
        Some(error) => Failure::Rejected(error).into(),
        None if is_unauthorized => Unsuccessful::Unauthorized(error),
        None => Failure::Final(error).into(),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Returns the failure of a call for which no metadata could be fetched.
fn unrefreshed(error: MetadataError) -> Failure {
    if error.is_transient() {
        Failure::Transient { was_sent: false, retry_after: None, error: CallError::Metadata(error).into() }
    } else {
        Failure::Final(CallError::Metadata(error).into())
    }
}

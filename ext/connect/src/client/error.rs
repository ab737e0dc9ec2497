use openkv_engine::{Cause, Error};
use url::Url;

use crate::wire::Malformed;

/// Why a remote database could not be opened. The messages are those of Deno where Deno has one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not valid, or has no host.
    #[error("Invalid database url: {0}")]
    InvalidUrl(String),
    /// The token has characters that are not allowed in a header.
    #[error(
        "Could not open Deno KV database: the access token has characters that cannot be sent: check it for line breaks"
    )]
    InvalidToken,
    /// The program has no configuration for TLS.
    #[error("Could not open Deno KV database: '{0}' needs TLS, for which this program has no certificates")]
    NoTls(Url),
    /// The metadata exchange failed.
    #[error("Could not open Deno KV database: {0}")]
    Metadata(#[from] MetadataError),
}

/// Why a metadata exchange failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The connection failed or was lost.
    #[error("failed to connect to '{url}': error sending request for url ({url}): {why}")]
    Unreachable {
        /// The URL of the request.
        url: Url,
        /// The reason.
        why: String,
    },
    /// The server did not respond in time.
    #[error("timed out connecting to the metadata endpoint at '{url}' after {seconds} seconds")]
    TimedOut {
        /// The URL of the request.
        url: Url,
        /// The timeout.
        seconds: u64,
    },
    /// The server responded with an error status.
    #[error("the metadata endpoint at '{url}' responded with status {status}{}", detail(body))]
    Status {
        /// The URL of the request.
        url: Url,
        /// The status.
        status: http::StatusCode,
        /// The beginning of the response body.
        body: String,
    },
    /// The program does not allow the connection.
    #[error("{0}")]
    Denied(#[source] Error),
    /// The server redirects to another host, which must not receive the token.
    #[error(
        "the metadata endpoint at '{url}' redirects to '{location}', which is not the same host: open that URL if the access \
         token is meant for it"
    )]
    Redirected {
        /// The URL of the request.
        url: Url,
        /// The target of the redirect.
        location: String,
    },
    /// The response is incomplete, too long or not UTF-8.
    #[error("failed to read the metadata response from '{url}': {why}")]
    Unreadable {
        /// The URL of the request.
        url: Url,
        /// The reason.
        why: String,
    },
    /// The response is not valid metadata.
    #[error("'{url}' is not a valid KV Connect endpoint ({why})")]
    Invalid {
        /// The URL of the request.
        url: Url,
        /// The reason.
        why: String,
    },
    /// The metadata have an unsupported version.
    #[error("'{url}' reported unsupported KV Connect metadata version {version}")]
    Version {
        /// The URL of the request.
        url: Url,
        /// The version.
        version: u64,
    },
}

fn detail(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {body}") }
}

impl MetadataError {
    /// Returns whether a retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Unreadable { .. } => true,
            Self::Status { status, .. } => status.is_server_error() || *status == http::StatusCode::TOO_MANY_REQUESTS,
            Self::Denied(_) | Self::Redirected { .. } | Self::Invalid { .. } | Self::Version { .. } => false,
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Metadata(MetadataError::Denied(error)) => error,
            error => Self::Connect(Cause::new(error)),
        }
    }
}

/// Why a call to a remote database failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The connection failed or was lost.
    #[error("KV Connect failed to call '{url}': {why}")]
    Unreachable {
        /// The URL of the request.
        url: Url,
        /// The reason.
        why: String,
    },
    /// The server did not respond in time.
    #[error("KV Connect failed to call '{url}': no response within {seconds} seconds")]
    TimedOut {
        /// The URL of the request.
        url: Url,
        /// The timeout.
        seconds: u64,
    },
    /// The server responded with an error status.
    #[error("KV Connect failed to call '{url}' (status={status}): {body}")]
    Status {
        /// The URL of the request.
        url: Url,
        /// The status.
        status: http::StatusCode,
        /// The beginning of the response body.
        body: String,
    },
    /// The response could not be decoded.
    #[error("KV Connect failed to decode the response of '{url}': {malformed}")]
    Malformed {
        /// The URL of the request.
        url: Url,
        /// The reason.
        malformed: Malformed,
    },
    /// The server does not hold the claim of a message any more.
    #[error(
        "'{url}' no longer holds the message for this process, as the connection was lost for too long: the message is delivered \
         again"
    )]
    Requeued {
        /// The URL of the request.
        url: Url,
    },
    /// More writes wait for the server than [`Options::queue_size`](super::Options::queue_size) allows.
    #[error("too many writes wait for '{url}' (max {max} bytes): wait for earlier writes before making more")]
    QueueFull {
        /// The URL of writes.
        url: Url,
        /// The limit in bytes.
        max: usize,
    },
    /// The token has expired, and the metadata could not be refreshed.
    #[error("KV Connect failed to refresh the metadata: {0}")]
    Metadata(#[from] MetadataError),
    /// The metadata have no endpoint for the call.
    #[error("KV Connect found no endpoint with strong consistency in the metadata of the database")]
    NoStrongEndpoint,
    /// The endpoint has disabled reads.
    #[error("Reads are disabled for this database")]
    ReadsDisabled,
    /// The endpoint does not guarantee strong consistency.
    #[error("Strong consistency reads are not available for this database")]
    NotStrong,
    /// The server no longer supports the extension, so it would not recognize the call.
    #[error("the call cannot be retried: the server no longer supports the extension that recognizes retries")]
    ExtensionLost,
    /// The client's runtime has stopped.
    #[error("the client of the database was stopped")]
    Stopped,
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Metadata(MetadataError::Denied(error)) => error,
            error => Self::Storage(Cause::new(error)),
        }
    }
}

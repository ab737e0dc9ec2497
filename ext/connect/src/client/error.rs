use openkv_engine::{Cause, Error};
use url::Url;

use crate::wire::Malformed;

/// Why a remote database could not be opened. The texts are those of Deno where it has one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The text is not the URL of a host.
    #[error("Invalid database url: {0}")]
    InvalidUrl(String),
    /// The token has characters that no header may have.
    #[error(
        "Could not open Deno KV database: the access token has characters that cannot be sent: check it for line breaks"
    )]
    InvalidToken,
    /// The program has no means for TLS.
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
    /// There is no connection, or it was lost.
    #[error("failed to connect to '{url}': error sending request for url ({url}): {why}")]
    Unreachable {
        /// Where the request was sent.
        url: Url,
        /// What is wrong.
        why: String,
    },
    /// No response came.
    #[error("timed out connecting to the metadata endpoint at '{url}' after {seconds} seconds")]
    TimedOut {
        /// Where the request was sent.
        url: Url,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server responded with another status than that of success.
    #[error("the metadata endpoint at '{url}' responded with status {status}{}", detail(body))]
    Status {
        /// Where the request was sent.
        url: Url,
        /// The status.
        status: http::StatusCode,
        /// The beginning of the response.
        body: String,
    },
    /// The program does not allow the connection.
    #[error("{0}")]
    Denied(#[source] Error),
    /// The server refers to a URL that the token is not for.
    #[error(
        "the metadata endpoint at '{url}' redirects to '{location}', which is not the same host: open that URL if the access \
         token is meant for it"
    )]
    Redirected {
        /// Where the request was sent.
        url: Url,
        /// Where it is to be sent.
        location: String,
    },
    /// The response broke off, or is too long or no text.
    #[error("failed to read the metadata response from '{url}': {why}")]
    Unreadable {
        /// Where the request was sent.
        url: Url,
        /// What is wrong.
        why: String,
    },
    /// The response is something else than metadata.
    #[error("'{url}' is not a valid KV Connect endpoint ({why})")]
    Invalid {
        /// Where the request was sent.
        url: Url,
        /// What is wrong.
        why: String,
    },
    /// The metadata are of a version that is not known here.
    #[error("'{url}' reported unsupported KV Connect metadata version {version}")]
    Version {
        /// Where the request was sent.
        url: Url,
        /// The version.
        version: u64,
    },
}

fn detail(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {body}") }
}

impl MetadataError {
    /// Whether a further exchange may succeed.
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
    /// There is no connection, or it was lost.
    #[error("KV Connect failed to call '{url}': {why}")]
    Unreachable {
        /// Where the request was sent.
        url: Url,
        /// What is wrong.
        why: String,
    },
    /// No response came.
    #[error("KV Connect failed to call '{url}': no response within {seconds} seconds")]
    TimedOut {
        /// Where the request was sent.
        url: Url,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server responded with another status than that of success.
    #[error("KV Connect failed to call '{url}' (status={status}): {body}")]
    Status {
        /// Where the request was sent.
        url: Url,
        /// The status.
        status: http::StatusCode,
        /// The beginning of the response.
        body: String,
    },
    /// The response is not what the protocol has.
    #[error("KV Connect failed to decode the response of '{url}': {malformed}")]
    Malformed {
        /// Where the request was sent.
        url: Url,
        /// What is wrong.
        malformed: Malformed,
    },
    /// The token expired, and no further one could be fetched.
    #[error("KV Connect failed to refresh the metadata: {0}")]
    Metadata(#[from] MetadataError),
    /// The metadata name no endpoint for the call.
    #[error("KV Connect found no endpoint with strong consistency in the metadata of the database")]
    NoStrongEndpoint,
    /// The endpoint does not read at present.
    #[error("Reads are disabled for this database")]
    ReadsDisabled,
    /// The endpoint's reads may be out of date.
    #[error("Strong consistency reads are not available for this database")]
    NotStrong,
    /// The server was replaced by one that would not recognize the call.
    #[error("the server does not recognize calls any more that are sent again")]
    ExtensionLost,
    /// The client's thread has stopped.
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

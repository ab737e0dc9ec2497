use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use openkv_engine::Error;

use super::body::{self, Body};
use super::tokens::Denied;
use crate::wire::{Malformed, error, headers};

/// The failure of a request: a status, a message, and the engine's error for clients with the extension.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: StatusCode,
    pub text: String,
    error: Option<HeaderValue>,
    /// Whether the storage failed.
    pub is_of_storage: bool,
}

impl Failure {
    /// Creates a failure without an error of the engine.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), error: None, is_of_storage: false }
    }

    /// Returns the failure of a request that exceeds the capacity of the server.
    pub fn busy(what: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("the server has no capacity for more {what}: retry later"))
    }

    /// Returns the failure of a request to a server that is stopping.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
    }

    /// Returns the response.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(body::full(self.text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(error) = self.error {
            headers.insert(headers::ERROR, error);
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::new(StatusCode::BAD_REQUEST, malformed.to_string())
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, denied.to_string())
    }
}

impl From<Error> for Failure {
    /// Maps transient errors to 5xx, which Deno retries indefinitely. A write with an unknown outcome must not be retried, as it
    /// could be committed twice.
    fn from(error: Error) -> Self {
        let status = match &error {
            // The host closes its databases when it stops the server.
            Error::Closed => return Self::stopping(),
            Error::Busy | Error::Storage(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::OutcomeUnknown(_) => StatusCode::CONFLICT,
            Error::ReadOnly => StatusCode::FORBIDDEN,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self { status, text: error.to_string(), error: Some(error::encode(&error)), is_of_storage: error.is_failure() }
    }
}

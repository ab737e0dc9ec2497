//! Bodies of requests.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::failure::Failure;
use super::memory::{Memory, Reservation};
use super::options::Options;

/// Reads the body of a request, and reserves memory for it.
///
/// # Errors
/// The body is too long, too slow or incomplete, or exceeds the memory.
pub(crate) async fn read_body(
    body: Incoming,
    options: &Options,
    memory: &Arc<Memory>,
) -> Result<(Bytes, Reservation), Failure> {
    let read = read_frames(body, options.body_size, memory);
    tokio::time::timeout(options.body_timeout, read)
        .await
        .unwrap_or_else(|_| Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timed out reading the request body")))
}

async fn read_frames(mut body: Incoming, limit: usize, memory: &Arc<Memory>) -> Result<(Bytes, Reservation), Failure> {
    let too_long = || {
        let text = format!("the request body exceeds {limit} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_long());
    }
    let mut reservation = memory.reserve(0).ok_or_else(|| Failure::busy("requests"))?;
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |error| Failure::new(StatusCode::BAD_REQUEST, format!("failed to read the request: {error}"));
        // Trailers are ignored.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_long());
        }
        if !reservation.grow(data.len()) {
            return Err(Failure::busy("requests"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), reservation))
}

//! Bodies of requests.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use openkv_engine::Limits;

use super::failure::Failure;
use super::memory::Memory;
use super::options::Options;
use super::shares::Share;
use crate::wire::Malformed;
use crate::wire::parts::{self, Parts};

/// The memory that a part of a message may take once it is decoded and converted, in bytes.
const PART: usize = 512;

/// The parts of a mutation, at most: those of a message in the queue, with its schedule and its keys.
const PARTS_OF_MUTATION: usize = 32;

/// The received body of a request. Its memory, and that of its messages, is reserved until this is dropped.
pub(crate) struct Received {
    pub body: Bytes,
    share: Share,
}

impl Received {
    /// Reads the body of a request of a client with a token.
    ///
    /// # Errors
    /// The body is too long, too slow or incomplete, or exceeds the memory.
    pub async fn read(body: Incoming, options: &Options, memory: &Memory, token: usize) -> Result<Self, Failure> {
        let read = read_frames(body, options.body_size, memory, token);
        tokio::time::timeout(options.body_timeout, read)
            .await
            .unwrap_or_else(|_| Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timed out reading the request body")))
    }

    /// Decodes the message of the request.
    ///
    /// # Errors
    /// See [`Decoder::decode`].
    pub fn decode<M: Parts>(&mut self, limits: &Limits) -> Result<M, Failure> {
        let body = self.body.clone();
        self.decoder(limits).decode(body)
    }

    /// Returns a decoder for the messages of the request.
    pub fn decoder(&mut self, limits: &Limits) -> Decoder<'_> {
        let fixed = limits.read_ranges + limits.checks + limits.watched_keys;
        let parts = limits.mutations.saturating_mul(PARTS_OF_MUTATION).saturating_add(fixed.saturating_mul(4));
        Decoder { share: &mut self.share, parts }
    }
}

/// Decodes the messages of a request.
pub(crate) struct Decoder<'r> {
    share: &'r mut Share,
    /// How many parts they may have.
    parts: usize,
}

impl Decoder<'_> {
    /// Decodes a message, unless it has far more parts than the limits of the database allow, and reserves memory before.
    ///
    /// # Errors
    /// The message is malformed, has too many parts, or exceeds the memory.
    pub fn decode<M: Parts>(&mut self, bytes: Bytes) -> Result<M, Failure> {
        let parts = parts::count::<M>(bytes.clone(), self.parts)?;
        self.parts -= parts;
        if !self.share.grow(parts.saturating_mul(PART)) {
            return Err(Failure::busy("requests"));
        }
        Ok(M::decode(bytes).map_err(Malformed::from)?)
    }
}

async fn read_frames(mut body: Incoming, limit: usize, memory: &Memory, token: usize) -> Result<Received, Failure> {
    let too_long = || {
        let text = format!("the request body exceeds {limit} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_long());
    }
    let mut share = memory.reserve(token, 0).ok_or_else(|| Failure::busy("requests"))?;
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |error| Failure::new(StatusCode::BAD_REQUEST, format!("failed to read the request: {error}"));
        // Trailers are ignored.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_long());
        }
        if !share.grow(data.len()) {
            return Err(Failure::busy("requests"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Received { body: bytes.freeze(), share })
}

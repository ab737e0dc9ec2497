use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use openkv_engine::Error;
use url::Url;

use super::call::{Call, Failure, Head, RESPONSE_PARTS};
use super::error::CallError;
use super::session::Session;
use super::transport::{Lane, describe};
use crate::wire::Malformed;
use crate::wire::frame::{Decoder, Frame, MAX_LEN};
use crate::wire::parts::{self, Parts};

/// The frames of a streaming response.
pub(crate) struct Frames {
    url: Url,
    body: Incoming,
    decoder: Decoder,
    /// Keeps the connection of the response reserved.
    _lane: Arc<Lane>,
}

/// How long a server may be silent. Servers send a ping every 5 seconds.
const SILENCE: Duration = Duration::from_secs(15);

impl Frames {
    /// Makes a call with a streaming response.
    pub async fn open(session: &Arc<Session>, call: &Call) -> Result<Self, Failure> {
        let lane = session.transport.lane();
        match tokio::time::timeout(SILENCE, session.send(&lane, call, false)).await {
            Ok(sent) => {
                let Head { url, body, .. } = sent?;
                Ok(Self { url, body, decoder: Decoder::new(MAX_LEN), _lane: lane })
            }
            Err(_) => Err(session.timed_out(call, SILENCE)),
        }
    }

    /// Waits for the next message.
    pub async fn next<T: Parts>(&mut self) -> Result<T, Failure> {
        loop {
            match self.decoder.next_frame().map_err(|malformed| self.malformed(malformed))? {
                Some(Frame::Message(message)) => {
                    return parts::decode(message, RESPONSE_PARTS).map_err(|malformed| self.malformed(malformed));
                }
                Some(Frame::Ping) => {}
                None => {
                    let bytes = self.receive().await.map_err(|why| self.lost(why))?;
                    self.decoder.push(&bytes);
                }
            }
        }
    }

    async fn receive(&mut self) -> Result<Bytes, String> {
        loop {
            let received = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let received = received.map_err(|_| format!("no data received for {} seconds", SILENCE.as_secs()))?;
            let frame = received.ok_or("the server closed the stream")?.map_err(|error| describe(&error))?;
            // Trailers are ignored.
            if let Ok(bytes) = frame.into_data() {
                return Ok(bytes);
            }
        }
    }

    fn lost(&self, why: String) -> Failure {
        let error = CallError::Unreachable { url: self.url.clone(), why };
        Failure::Transient { was_sent: true, retry_after: None, error: error.into() }
    }

    /// Returns the failure of a malformed response.
    pub fn malformed(&self, malformed: Malformed) -> Failure {
        Failure::Final(Error::from(CallError::Malformed { url: self.url.clone(), malformed }))
    }
}

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::connector::Connector;

/// Sends requests over HTTP/2, or over HTTP/1.1 to servers without HTTP/2.
pub(crate) struct Transport {
    connector: Connector,
    /// The connections of calls with short responses.
    pub calls: Lane,
    /// The connections of streaming responses, which would use up the concurrent requests of the other connections.
    streams: Mutex<Vec<Arc<Lane>>>,
    /// Whether servers without TLS speak HTTP/2, by authority.
    speak_h2: Mutex<HashMap<Authority, bool>>,
}

/// A pool of connections: over HTTP/2, one for each server.
pub(crate) struct Lane {
    /// HTTP/2 with prior knowledge.
    h2: Client<Connector, Full<Bytes>>,
    /// HTTP/1.1, or over TLS the protocol that the server chooses.
    negotiated: Client<Connector, Full<Bytes>>,
}

/// The maximum number of streaming responses on a connection. Servers allow at least 100.
const STREAMS: usize = 64;

/// A request that got no response.
#[derive(Debug)]
pub(crate) struct SendError {
    /// Whether the server may have processed it.
    pub was_sent: bool,
    /// The reason.
    pub why: String,
}

/// The interval of pings on a connection with open requests, and their timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The flow-control window of a stream in bytes: enough for a connection with high bandwidth and latency.
const WINDOW: u32 = 4 * 1024 * 1024;

/// The timeout of the detection of HTTP/2.
const DETECTION: Duration = Duration::from_secs(5);

/// The preface of an HTTP/2 connection, with an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

impl Lane {
    fn new(connector: &Connector) -> Self {
        let client = |is_h2| {
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .http2_only(is_h2)
                .http2_initial_stream_window_size(WINDOW)
                .http2_initial_connection_window_size(4 * WINDOW)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .http2_keep_alive_timeout(KEEP_ALIVE)
                .build(connector.clone())
        };
        Self { h2: client(true), negotiated: client(false) }
    }
}

impl Transport {
    pub fn new(connector: Connector) -> Self {
        Self { calls: Lane::new(&connector), streams: Mutex::default(), connector, speak_h2: Mutex::default() }
    }

    /// Returns connections for a streaming response, which keeps the lane until its end.
    pub fn lane(&self) -> Arc<Lane> {
        let mut lanes = self.streams.lock();
        if let Some(lane) = lanes.iter().find(|lane| Arc::strong_count(lane) <= STREAMS) {
            return lane.clone();
        }
        let lane = Arc::new(Lane::new(&self.connector));
        lanes.retain(|lane| Arc::strong_count(lane) > 1);
        lanes.push(lane.clone());
        lane
    }

    /// Sends a request, and waits for the head of its response.
    pub async fn post(
        &self,
        lane: &Lane,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, SendError> {
        let unsent = |why: String| SendError { was_sent: false, why };
        let uri = Uri::try_from(url.as_str()).map_err(|error| unsent(error.to_string()))?;
        let speaks_h2 =
            self.speaks_h2(&uri).await.map_err(|error| unsent(format!("client error (Connect): {error}")))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        let client = if speaks_h2 { &lane.h2 } else { &lane.negotiated };
        client.request(request).await.map_err(|error| {
            // The address may belong to another server now.
            self.speak_h2.lock().retain(|authority, _| Some(authority) != uri.authority());
            SendError { was_sent: was_sent(&error), why: describe(&error) }
        })
    }

    /// Returns whether a server without TLS speaks HTTP/2. Over TLS, ALPN negotiates it.
    async fn speaks_h2(&self, uri: &Uri) -> io::Result<bool> {
        let Some(authority) = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP)) else { return Ok(false) };
        if let Some(known) = self.speak_h2.lock().get(authority) {
            return Ok(*known);
        }
        let mut stream = self.connector.connect_plain(uri).await?;
        let exchange = async {
            stream.write_all(PREFACE).await?;
            let mut header = [0; 9];
            stream.read_exact(&mut header).await?;
            // A server's first frame is SETTINGS: type 4 on stream 0.
            Ok::<_, io::Error>(matches!(header, [.., 4, _, 0, 0, 0, 0]))
        };
        let speaks_h2 = matches!(tokio::time::timeout(DETECTION, exchange).await, Ok(Ok(true)));
        self.speak_h2.lock().insert(authority.clone(), speaks_h2);
        Ok(speaks_h2)
    }
}

/// Returns whether the server may have processed a request that failed.
fn was_sent(error: &Error) -> bool {
    if error.is_connect() {
        return false;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let is_refused = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return !(error.is_remote() && is_refused);
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return false;
        }
        source = cause.source();
    }
    true
}

/// Returns the messages of an error and of its causes.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        source = cause.source();
    }
    text
}

/// Why the body of a response cannot be read.
pub(crate) enum BodyError {
    TooLong,
    /// The connection was lost, for this reason.
    Lost(String),
}

/// Reads the body of a response of up to `max` bytes.
pub(crate) async fn read_body(body: Incoming, max: usize) -> Result<Bytes, BodyError> {
    let collected = Limited::new(body, max).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() { BodyError::TooLong } else { BodyError::Lost(describe(&*error)) }
    })
}

/// The maximum length of the text of an error, in characters.
const TEXT_LEN: usize = 512;

/// Reads the text of an error response.
pub(crate) async fn read_text(body: Incoming) -> String {
    let text = read_body(body, 64 * 1024).await.unwrap_or_else(|_| Bytes::new());
    String::from_utf8_lossy(&text).trim().chars().take(TEXT_LEN).collect()
}

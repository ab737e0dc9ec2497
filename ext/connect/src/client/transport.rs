use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::connector::Connector;

/// Sends requests over HTTP/2, or HTTP/1.1 to servers that speak no other.
pub(crate) struct Transport {
    connector: Connector,
    /// The connections of calls whose responses end soon.
    pub calls: Lane,
    /// Those of responses that go on: they would keep calls from being sent, as a connection has a limit of requests.
    streams: Mutex<Vec<Arc<Lane>>>,
    /// Whether servers without TLS speak HTTP/2.
    speak_h2: Mutex<HashMap<Authority, bool>>,
}

/// Connections that requests share: over HTTP/2, one for each server.
pub(crate) struct Lane {
    /// HTTP/2 with prior knowledge.
    h2: Client<Connector, Full<Bytes>>,
    /// HTTP/1.1, or over TLS what the server chooses.
    negotiated: Client<Connector, Full<Bytes>>,
}

/// How many responses that go on may share a connection. Servers allow 100 at least.
const STREAMS: usize = 64;

/// A request without a response.
#[derive(Debug)]
pub(crate) struct SendError {
    /// Whether the server may have processed it.
    pub was_sent: bool,
    /// What is wrong.
    pub why: String,
}

/// How often a connection with open requests is checked, and how long the server may take to answer that.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How much may be on its way to the client, in bytes: enough for a fast connection over a long distance.
const WINDOW: u32 = 4 * 1024 * 1024;

/// How long a server may take to say what it speaks.
const DETECTION: Duration = Duration::from_secs(5);

/// The beginning of a connection over HTTP/2: its preface, and a frame of settings without any.
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

    /// Returns connections for a response that goes on, which it holds as long.
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
            // Another server may be there by now.
            self.speak_h2.lock().retain(|authority, _| Some(authority) != uri.authority());
            SendError { was_sent: was_sent(&error), why: describe(&error) }
        })
    }

    /// Returns whether a server without TLS speaks HTTP/2. Over TLS, that is agreed on with the connection.
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
            // A server begins with its settings, a frame of type 4 of the connection itself.
            Ok::<_, io::Error>(matches!(header, [.., 4, _, 0, 0, 0, 0]))
        };
        let speaks_h2 = matches!(tokio::time::timeout(DETECTION, exchange).await, Ok(Ok(true)));
        self.speak_h2.lock().insert(authority.clone(), speaks_h2);
        Ok(speaks_h2)
    }
}

/// Whether the server may have processed a request that failed.
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

/// Reads the body of a response, if it is not longer than `max` bytes.
///
/// # Errors
/// Why it could not be read.
pub(crate) async fn read_body(body: Incoming, max: usize) -> Result<Bytes, String> {
    let collected = Limited::new(body, max).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| describe(&*error))
}

/// How much of the text of an error is kept, in characters.
const TEXT_LEN: usize = 512;

/// Reads the text that a response of an error has.
pub(crate) async fn read_text(body: Incoming) -> String {
    let text = read_body(body, 64 * 1024).await.unwrap_or_default();
    String::from_utf8_lossy(&text).trim().chars().take(TEXT_LEN).collect()
}

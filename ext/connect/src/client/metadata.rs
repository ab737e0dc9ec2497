use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use openkv_engine::Consistency;
use tokio::time::Instant;
use url::Url;

use super::backoff::fraction;
use super::error::MetadataError;
use super::options::Options;
use super::transport::{BodyError, Transport, describe, read_body, read_text};
use crate::wire::headers;
use crate::wire::metadata::{EndpointConsistency, Metadata as Message, Request, Version};

/// The endpoints of a database, and the headers of calls to them.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub version: Version,
    pub database_id: uuid::Uuid,
    /// Whether the server supports the extension.
    pub has_extension: bool,
    /// The headers of each call.
    pub headers: HeaderMap,
    endpoints: Vec<Endpoint>,
    /// When to refresh the metadata.
    pub refresh_at: Instant,
    pub expires_at: Instant,
}

#[derive(Debug)]
struct Endpoint {
    url: Url,
    is_strong: bool,
}

impl Metadata {
    /// Returns the URL of a call, or `None` without an endpoint for it.
    pub fn url(&self, consistency: Consistency, path: &str) -> Option<Url> {
        let strong = self.endpoints.iter().find(|endpoint| endpoint.is_strong);
        let eventual = self.endpoints.iter().find(|endpoint| !endpoint.is_strong);
        let endpoint = match consistency {
            Consistency::Strong => strong,
            Consistency::Eventual => eventual.or(strong),
        };
        let mut url = endpoint?.url.clone();
        // The URL has a host, so it has segments.
        url.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
        Some(url)
    }
}

/// The timeout of the exchange.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of redirects to follow.
const REDIRECTS: usize = 5;

/// The maximum length of a response in bytes.
const MAX_LEN: usize = 1024 * 1024;

/// The minimum time to use metadata unless the server rejects them, as the clocks may differ.
const SHORTEST: Duration = Duration::from_secs(10);

/// The URL and the headers of the metadata exchange.
pub(crate) struct Exchange {
    url: Url,
    headers: HeaderMap,
}

impl Exchange {
    /// Creates the exchange with a server. Returns `None` if the token is not valid in a header.
    pub fn new(url: Url, access_token: &str) -> Option<Self> {
        let headers = [
            (AUTHORIZATION, bearer(access_token)?),
            (CONTENT_TYPE, HeaderValue::from_static(headers::JSON)),
            (headers::OPENKV_PROTOCOL, HeaderValue::from_static(headers::OPENKV_PROTOCOL_1)),
        ];
        Some(Self { url, headers: headers.into_iter().collect() })
    }

    /// Fetches the metadata.
    pub async fn run(&self, transport: &Transport, options: &Options) -> Result<Metadata, MetadataError> {
        tokio::time::timeout(TIMEOUT, self.follow(transport, options))
            .await
            .unwrap_or_else(|_| Err(MetadataError::TimedOut { url: self.url.clone(), seconds: TIMEOUT.as_secs() }))
    }

    async fn follow(&self, transport: &Transport, options: &Options) -> Result<Metadata, MetadataError> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            (options.permit)(&url).map_err(MetadataError::Denied)?;
            let body = Bytes::from(Request::default().encode());
            let sent = transport.post(&transport.calls, &url, self.headers.clone(), body).await;
            let response = sent.map_err(|error| MetadataError::Unreachable { url: url.clone(), why: error.why })?;
            let status = response.status();
            let is_redirect = matches!(status.as_u16(), 301 | 302 | 307 | 308);
            if let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect) {
                url = redirected(&url, location)?;
                continue;
            }
            let (head, body) = response.into_parts();
            if status != StatusCode::OK {
                return Err(MetadataError::Status { url, status, body: read_text(body).await });
            }
            let body = read_body(body, MAX_LEN).await;
            let body = body.map_err(|error| match error {
                BodyError::TooLong => {
                    MetadataError::Invalid { url: url.clone(), why: format!("its metadata exceed {MAX_LEN} bytes") }
                }
                BodyError::Lost(why) => MetadataError::Unreadable { url: url.clone(), why },
            })?;
            return decode(&url, &head.headers, &body, options);
        }
        let why = format!("more than {REDIRECTS} redirects");
        Err(MetadataError::Invalid { url: self.url.clone(), why })
    }
}

/// Returns the target of a redirect, which must not disclose the token to another host or without TLS.
fn redirected(url: &Url, location: &HeaderValue) -> Result<Url, MetadataError> {
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let is_followed = |target: &Url| {
        let is_port_kept = target.port_or_known_default() == url.port_or_known_default();
        let is_upgrade = (url.scheme(), target.scheme()) == ("http", "https");
        target.host_str() == url.host_str() && (is_upgrade || (target.scheme() == url.scheme() && is_port_kept))
    };
    let target = url.join(&location).ok().filter(is_followed);
    target.ok_or_else(|| MetadataError::Redirected { url: url.clone(), location })
}

fn decode(url: &Url, response: &HeaderMap, body: &[u8], options: &Options) -> Result<Metadata, MetadataError> {
    let invalid = |why: String| MetadataError::Invalid { url: url.clone(), why };
    let unreadable = |error| MetadataError::Unreadable { url: url.clone(), why: describe(&error) };
    std::str::from_utf8(body).map_err(unreadable)?;
    // The other fields depend on the version.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u64,
    }
    let version = serde_json::from_slice::<Versioned>(body)
        .map_err(|error| invalid(format!("failed to read the metadata version: {error}")))?
        .version;
    let version = Version::from_number(version).ok_or_else(|| MetadataError::Version { url: url.clone(), version })?;
    let unparsed = |why: &dyn std::fmt::Display| invalid(format!("failed to parse metadata response: {why}"));
    let message: Message = serde_json::from_slice(body).map_err(|error| unparsed(&error))?;

    let mut endpoints = Vec::new();
    for endpoint in &message.endpoints {
        let parsed = if version == Version::V1 { Url::parse(&endpoint.url) } else { url.join(&endpoint.url) };
        let target = parsed.ok().filter(|target| matches!(target.scheme(), "http" | "https") && target.has_host());
        let target = target.ok_or_else(|| unparsed(&format_args!("invalid endpoint URL: {:?}", endpoint.url)))?;
        match endpoint.consistency {
            EndpointConsistency::Strong => endpoints.push(Endpoint { url: target, is_strong: true }),
            EndpointConsistency::Eventual => endpoints.push(Endpoint { url: target, is_strong: false }),
            EndpointConsistency::Unknown => {}
        }
    }
    let token = bearer(&message.token).ok_or_else(|| unparsed(&"the token cannot be sent"))?;
    let lifetime = Duration::from_millis(message.expires_at.saturating_sub(options.clock.now())).max(SHORTEST);
    let now = Instant::now();
    Ok(Metadata {
        version,
        database_id: message.database_id,
        has_extension: response.get(headers::OPENKV_PROTOCOL).is_some_and(|known| known == headers::OPENKV_PROTOCOL_1),
        headers: call_headers(version, message.database_id, token),
        endpoints,
        // Jitter spreads the refreshes of clients that started at the same time.
        refresh_at: now + lifetime.mul_f64(0.7 + 0.2 * fraction(&*options.random)),
        expires_at: now + lifetime,
    })
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn call_headers(version: Version, database_id: uuid::Uuid, token: HeaderValue) -> HeaderMap {
    let database_id = database_id.to_string();
    let (id_name, number) = match version {
        Version::V1 => (headers::DATABASE_ID_V1, None),
        Version::V2 => (headers::DATABASE_ID, Some("2")),
        Version::V3 => (headers::DATABASE_ID, Some("3")),
    };
    let known: [(HeaderName, HeaderValue); 2] =
        [(AUTHORIZATION, token), (CONTENT_TYPE, HeaderValue::from_static(headers::PROTOBUF))];
    let id = HeaderValue::try_from(database_id).ok().map(|id| (id_name, id));
    let number = number.map(|number| (headers::VERSION, HeaderValue::from_static(number)));
    known.into_iter().chain(id).chain(number).collect()
}

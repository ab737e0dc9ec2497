//! The metadata exchange: a client sends a token, and receives an access token and the URL of the endpoint.

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use super::body::{self, Body};
use super::failure::Failure;
use super::hosted::Hosted;
use crate::wire::headers::{self, OPENKV_PROTOCOL, OPENKV_PROTOCOL_1};
use crate::wire::metadata::{Endpoint, EndpointConsistency, Metadata, Request, Version};

/// Responds with the metadata of a database, including the issued access token.
///
/// # Errors
/// The request is malformed or supports no known version.
pub(crate) fn respond(
    hosted: &Hosted,
    (token, expires_at): (String, u64),
    is_tls: bool,
    head: &Parts,
    body: &Bytes,
) -> Result<Response<Body>, Failure> {
    let bad_request = |text| Failure::new(StatusCode::BAD_REQUEST, text);
    let version = Request::decode(body)?.version();
    let version = version.ok_or_else(|| bad_request("the server supports only versions 1, 2 and 3 of the protocol"))?;
    let url = endpoint(version, is_tls, head).ok_or_else(|| bad_request("the request has no host"))?;
    let metadata = Metadata {
        version: version.number(),
        database_id: hosted.id,
        endpoints: vec![Endpoint { url, consistency: EndpointConsistency::Strong }],
        token,
        expires_at,
    };
    let mut response = body::response(headers::JSON, body::full(metadata.encode()));
    if head.headers.get(OPENKV_PROTOCOL).is_some_and(|version| version == OPENKV_PROTOCOL_1) {
        response.headers_mut().insert(OPENKV_PROTOCOL, HeaderValue::from_static(OPENKV_PROTOCOL_1));
    }
    Ok(response)
}

/// Returns the URL of the endpoint of a version, within the path of the exchange. It is relative to the last segment, as a
/// reverse proxy may have removed a prefix of the path. Version 1 requires an absolute URL.
fn endpoint(version: Version, is_tls: bool, head: &Parts) -> Option<String> {
    let path = head.uri.path();
    let number = version.number();
    if version == Version::V1 {
        let host = head.uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(|| head.headers.get(HOST)?.to_str().ok())?;
        let scheme = if is_tls { "https" } else { "http" };
        return Some(format!("{scheme}://{host}{}/v1", path.trim_end_matches('/')));
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    Some(if last.is_empty() { format!("./v{number}") } else { format!("./{last}/v{number}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint_of(version: Version, is_tls: bool, uri: &str, host: Option<&str>) -> Option<String> {
        let mut request = http::Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        endpoint(version, is_tls, &request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn endpoint_is_relative_to_the_last_segment() {
        let endpoint = |uri| endpoint_of(Version::V3, false, uri, None).unwrap();
        assert_eq!(endpoint("/"), "./v3");
        assert_eq!(endpoint("/a"), "./a/v3");
        assert_eq!(endpoint("/a/"), "./v3");
        assert_eq!(endpoint_of(Version::V2, false, "http://host/a", None).unwrap(), "./a/v2");
    }

    #[test]
    fn endpoint_of_version_1_is_absolute() {
        let endpoint = |is_tls, uri, host| endpoint_of(Version::V1, is_tls, uri, host);
        assert_eq!(endpoint(false, "/", Some("host:1")).unwrap(), "http://host:1/v1");
        assert_eq!(endpoint(true, "https://host/a", None).unwrap(), "https://host/a/v1");
        assert_eq!(endpoint(false, "/", None), None);
    }
}

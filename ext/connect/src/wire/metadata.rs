//! The metadata exchange, in which a client obtains the endpoints of a database and an access token.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Malformed;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The first version: absolute URLs of endpoints, and the header
    /// [`DATABASE_ID_V1`](super::headers::DATABASE_ID_V1).
    V1 = 1,
    /// Adds relative URLs.
    V2 = 2,
    /// Adds watches and the status of reads.
    V3 = 3,
}

impl Version {
    /// All versions, latest first.
    pub const ALL: [Self; 3] = [Self::V3, Self::V2, Self::V1];

    /// Returns the version with a number, or `None` if it is unknown.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// Returns the number of the version.
    pub fn number(self) -> u64 {
        self as u64
    }
}

/// The request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The numbers of the versions that the client supports.
    pub supported_versions: Vec<u64>,
}

impl Default for Request {
    /// Returns a request that supports all versions.
    fn default() -> Self {
        Self { supported_versions: Version::ALL.map(Version::number).into_iter().rev().collect() }
    }
}

impl Request {
    /// Decodes the body of a request. An empty body means version 1.
    ///
    /// # Errors
    /// [`Malformed::Metadata`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        if body.is_empty() {
            return Ok(Self { supported_versions: vec![Version::V1.number()] });
        }
        serde_json::from_slice(body).map_err(|error| Malformed::Metadata(error.to_string()))
    }

    /// Encodes the body of the request.
    pub fn encode(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Returns the latest version that both sides support.
    pub fn version(&self) -> Option<Version> {
        Version::ALL.into_iter().find(|version| self.supported_versions.contains(&version.number()))
    }
}

/// The response of a server. It has no additional fields, which `@deno/kv` rejects.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The number of the version.
    pub version: u64,
    /// The id of the database, encoded in lower case.
    pub database_id: Uuid,
    /// The endpoints for calls.
    pub endpoints: Vec<Endpoint>,
    /// The token to send with calls.
    pub token: String,
    /// When the token expires, in milliseconds since the Unix epoch; encoded as RFC 3339 in UTC with the suffix `Z`.
    #[serde(with = "rfc3339")]
    pub expires_at: u64,
}

impl std::fmt::Debug for Metadata {
    /// Leaves out the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metadata")
            .field("version", &self.version)
            .field("database_id", &self.database_id)
            .field("endpoints", &self.endpoints)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// An endpoint for calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The URL: absolute in version 1, otherwise relative to that of the exchange.
    pub url: String,
    /// The consistency of its reads.
    pub consistency: EndpointConsistency,
}

/// The consistency of the reads of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointConsistency {
    /// Reads return the latest state. The endpoint accepts writes.
    Strong,
    /// Reads may return an outdated state.
    Eventual,
    /// An unknown consistency. The endpoint is ignored.
    #[serde(other)]
    Unknown,
}

impl Metadata {
    /// Decodes the body of a response.
    ///
    /// # Errors
    /// [`Malformed::Metadata`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        serde_json::from_slice(body).map_err(|error| Malformed::Metadata(error.to_string()))
    }

    /// Encodes the body of the response.
    pub fn encode(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

mod rfc3339 {
    use super::{DateTime, Deserialize, SecondsFormat};

    pub fn serialize<S: serde::Serializer>(millis: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        let time = i64::try_from(*millis).ok().and_then(DateTime::from_timestamp_millis);
        let time = time.ok_or_else(|| serde::ser::Error::custom("the time is out of range for RFC 3339"))?;
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        // A time before 1970 has expired as well.
        Ok(u64::try_from(time.timestamp_millis()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = r#"{"version":3,"databaseId":"0190a0b0-c0d0-7000-8000-00000000000a","endpoints":[{"url":"./v3","consistency":"strong"}],"token":"t","expiresAt":"2024-01-02T03:04:05.678Z"}"#;

    #[test]
    fn latest_common_version_is_chosen() {
        let version = |body: &str| Request::decode(body.as_bytes()).map(|request| request.version());
        assert_eq!(version(""), Ok(Some(Version::V1)));
        assert_eq!(version(r#"{"supportedVersions":[1,2,3]}"#), Ok(Some(Version::V3)));
        assert_eq!(version(r#"{"supportedVersions":[2,1,4]}"#), Ok(Some(Version::V2)));
        assert_eq!(version(r#"{"supportedVersions":[4]}"#), Ok(None));
        for body in ["{}", "[]", "null", r#"{"supportedVersions":["3"]}"#, "{\"supportedVersions\":", "\u{e9}"] {
            assert!(version(body).is_err(), "{body}");
        }
        assert_eq!(version(&Request::default().encode()), Ok(Some(Version::V3)));
    }

    #[test]
    fn response_has_the_fields_and_forms_that_clients_check() {
        let metadata = Metadata::decode(RESPONSE.as_bytes()).unwrap();
        assert_eq!(metadata.expires_at, 1_704_164_645_678);
        let expected: serde_json::Value = serde_json::from_str(RESPONSE).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&metadata.encode()).unwrap(), expected);
        assert!(!format!("{metadata:?}").contains("\"t\""));
    }

    #[test]
    fn responses_of_other_servers_are_decoded() {
        let other = RESPONSE.replace("strong", "quorum").replace("05.678Z", "05.678123456+01:00");
        let metadata = Metadata::decode(other.replace("\"version\"", "\"region\":1,\"version\"").as_bytes()).unwrap();
        assert_eq!(metadata.endpoints[0].consistency, EndpointConsistency::Unknown);
        assert_eq!(metadata.expires_at, 1_704_161_045_678);
        for wrong in [RESPONSE.replace("2024", "x"), RESPONSE.replace("0190", "y"), RESPONSE.replace("\"t\"", "1")] {
            assert!(Metadata::decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}

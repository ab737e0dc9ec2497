//! The names of headers.

use http::HeaderName;

/// The id of the database, in requests of versions 2 and 3.
pub const DATABASE_ID: HeaderName = HeaderName::from_static("x-denokv-database-id");
/// The id of the database, in requests of version 1.
pub const DATABASE_ID_V1: HeaderName = HeaderName::from_static("x-transaction-domain-id");
/// The version of the protocol, in requests of versions 2 and 3.
pub const VERSION: HeaderName = HeaderName::from_static("x-denokv-version");
/// Announces support of the extension in the request and the response of the metadata exchange. Its value is
/// [`OPENKV_PROTOCOL_1`].
pub const OPENKV_PROTOCOL: HeaderName = HeaderName::from_static("x-openkv-protocol");
/// The version of the extension.
pub const OPENKV_PROTOCOL_1: &str = "1";
/// The commit id of a write or of the deletion of a range, by which the server recognizes retries: 32 hexadecimal digits.
pub const COMMIT_ID: HeaderName = HeaderName::from_static("x-openkv-commit-id");
/// Marks a request with a commit id that the server may have processed before. Its value is `1`.
pub const RETRY: HeaderName = HeaderName::from_static("x-openkv-retry");
/// The error of the engine. See [`error`](super::error).
pub const ERROR: HeaderName = HeaderName::from_static("x-openkv-error");

/// The `content-type` of messages.
pub const PROTOBUF: &str = "application/x-protobuf";
/// The `content-type` of streams of frames.
pub const FRAMES: &str = "application/octet-stream";
/// The `content-type` of the metadata exchange.
pub const JSON: &str = "application/json";

//! The messages, headers and frames of the protocol, and their conversions to and from the engine's types.
//!
//! Peers are not trusted: each conversion of a message to a type of the engine validates it, and fails with [`Malformed`]. The
//! database checks the limits.

pub mod entry;
pub mod error;
pub mod expiry;
pub mod frame;
pub mod headers;
mod malformed;
pub mod metadata;
pub mod openkv;
pub mod parts;
pub mod paths;
pub mod read;
pub mod watch;
pub mod write;
pub mod writes;

/// The messages of the protocol, in Protocol Buffers.
pub use denokv_proto::datapath;
/// The trait that encodes and decodes messages.
pub use prost::Message;

pub use malformed::Malformed;

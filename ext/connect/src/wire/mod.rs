//! What client and server send: messages, headers and frames, and their conversions to and from the engine's types.
//!
//! Whatever a peer sends may be wrong: each conversion of a message to a type of the engine checks it, and fails with
//! [`Malformed`]. Limits are not checked here, but by the database.

pub mod entry;
pub mod error;
pub mod frame;
pub mod headers;
mod malformed;
pub mod metadata;
pub mod openkv;
pub mod paths;
pub mod read;
pub mod watch;
pub mod write;
pub mod writes;

/// The messages of the protocol, in Protocol Buffers.
pub use denokv_proto::datapath;
/// The trait of messages: how they are encoded and decoded.
pub use prost::Message;

pub use malformed::Malformed;

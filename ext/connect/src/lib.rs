//! KV Connect, the protocol by which Deno, Node and others reach a Deno KV database over HTTP: a client that is a backend of the
//! engine, and a server of the engine's databases.
//!
//! - [`wire`] is what both sides send: messages, headers, frames, and their conversions to and from the engine's types.
//! - `client`, with the feature of that name, opens the database of a server.
//! - `server`, with the feature of that name, serves databases.
//!
//! Between the two of this crate, the protocol is extended by what it lacks: commit ids, queues, counts, deletions of ranges, and
//! reads without values. A client asks for it with [`wire::headers::OPENKV_PROTOCOL`], which other servers ignore.

#![warn(missing_debug_implementations)]

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod server;
pub mod wire;

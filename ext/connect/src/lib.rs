//! KV Connect, the protocol by which Deno, Node and others reach a Deno KV database over HTTP: a client that is a backend of the
//! engine, and a server of the engine's databases.
//!
//! - [`wire`] has the messages, headers and frames of the protocol, and their conversions to and from the engine's types.
//! - `client`, with the feature of that name, opens remote databases.
//! - `server`, with the feature of that name, serves databases.
//!
//! Between this client and this server, an extension adds commit ids, queues, expiries, counts, deletions of ranges, and reads without
//! values. The client requests it with the header [`wire::headers::OPENKV_PROTOCOL`], which other servers ignore.

#![warn(missing_debug_implementations)]

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod server;
pub mod wire;

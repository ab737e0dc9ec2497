//! The server, asked by a client that is none of ours: what it responds to what, and when it ends what.

mod admin;
mod data;
mod exchange;
mod faults;
mod limits;
mod malformed;
mod queue;
mod shutdown;
mod support;
mod tls;
mod watches;

//! Tests the server over plain HTTP, independently of the client of this crate.

mod admin;
mod data;
mod exchange;
mod faults;
mod floods;
mod limits;
mod malformed;
mod queue;
mod shutdown;
mod support;
mod tls;
mod watches;

//! The bindings of nghttp2, under the name that deno_node imports them by.
//!
//! The crate of this name on crates.io generates them when it is built, which needs libclang. libnghttp2-sys holds the same
//! ones, generated already, so that a build needs only Rust and a C compiler. The workspace patches the one by the other.

#![no_std]

pub use libnghttp2_sys::*;

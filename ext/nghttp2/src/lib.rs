//! The bindings of nghttp2, under the name that deno_node imports.
//!
//! The crate of this name on crates.io generates its bindings at build time, which requires libclang. libnghttp2-sys contains
//! the same bindings, pregenerated, so that a build requires only Rust and a C compiler. The workspace patches the former with
//! this crate.

#![no_std]

pub use libnghttp2_sys::*;

//! The bindings of AWS-LC, under the version that deno_crypto_provider and deno_node_crypto require.
//!
//! They require 0.40, and aws-lc-rs a later version. Without this crate, the binary would contain the C library twice. The
//! workspace patches 0.40 with it.

#![no_std]

pub use current::*;

//! The suite: everything is driven as a user would, by scripts under the `openkv` binary.

mod accepted;
#[cfg(feature = "fake")]
mod backends;
mod cli;
mod closing;
mod conformance;
mod damage;
mod db;
mod documents;
mod engine_only;
#[cfg(unix)]
mod environment;
mod faults;
mod flags;
mod handlers;
mod hostile;
mod interop;
mod lockfile;
mod modules;
mod node;
mod permissions;
mod processes;
mod repl;
mod rust_values;
mod stdio;
mod support;
#[cfg(unix)]
mod terminal;
mod testing;
mod torture;

//! The test suite: runs scripts with the `openkv` binary.

mod accepted;
#[cfg(feature = "fake")]
mod backends;
mod cli;
mod closing;
mod conformance;
mod cron;
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
mod permissions;
mod processes;
mod repl;
mod rust_values;
mod serve;
mod stdio;
mod storage;
mod support;
mod task;
#[cfg(unix)]
mod terminal;
mod testing;
mod torture;
mod watch;

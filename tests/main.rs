//! The test suite: runs scripts with the `openkv` binary.

mod accepted;
#[cfg(feature = "fake")]
mod backends;
mod book;
mod cli;
#[cfg(feature = "connect")]
mod clients;
mod closing;
mod configuration;
mod conformance;
mod corruption;
mod cron;
mod db;
mod db_copy;
#[cfg(feature = "connect")]
mod db_data;
#[cfg(feature = "connect")]
mod db_serve;
mod dependencies;
mod derived;
mod documents;
mod engine_only;
#[cfg(unix)]
mod environment;
#[cfg(all(unix, feature = "etcd"))]
mod etcd;
#[cfg(all(unix, feature = "connect", feature = "etcd"))]
mod failover;
mod faults;
mod flags;
mod handlers;
mod hostile;
#[cfg(unix)]
mod inspector;
mod interop;
mod lockfile;
mod modules;
mod node;
mod npm;
mod packages;
mod permission_sets;
mod permissions;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
mod processes;
mod registry;
#[cfg(feature = "connect")]
mod remote;
mod repl;
mod resolution;
mod rust_values;
mod serve;
#[cfg(all(unix, any(feature = "etcd", feature = "postgres")))]
mod services;
mod stdio;
mod storage;
mod studio;
mod support;
mod task;
#[cfg(unix)]
mod terminal;
mod testing;
mod torture;
mod watch;
mod workers;

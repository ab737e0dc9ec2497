//! A TypeScript runtime with Deno KV built in.
//!
//! A [`Runtime`] is a V8 isolate with the KV extension, Deno's extensions and a main module. The `openkv` binary is its command
//! line.

#[cfg(any(feature = "etcd", feature = "postgres"))]
mod access;
mod certificates;
mod dependencies;
mod environment;
#[cfg(feature = "etcd")]
mod etcd;
mod extensions;
#[cfg(feature = "fake")]
mod fake;
mod heap;
mod inspector;
mod kv;
mod modules;
mod node;
pub mod permissions;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "connect")]
mod remote;
mod repl;
mod report;
mod runtime;
mod snapshot;
mod system_certificates;
pub mod testing;
pub mod unstable;
mod watch;

pub use certificates::Certificates;
pub use dependencies::installer;
pub use inspector::{Inspect, InspectPublishUid, InspectStart};
pub use kv::{StorageKey, kv_options, storage_directory};
pub use modules::{Config, InstallOptions, Installer, Lock, Manifests, ModuleOptions, Project, ProjectError, Registry};
pub use repl::{Preamble, repl};
pub use report::report;
pub use runtime::{DENO_VERSION, Options, Runtime, ServeAddress, TYPESCRIPT_VERSION, V8_VERSION};
pub use watch::{FileWatcher, Stop, WatchedFiles};

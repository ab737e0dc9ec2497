//! A TypeScript runtime with Deno KV built in.
//!
//! A [`Runtime`] is a V8 isolate with the KV extension, Deno's extensions and a main module. The `openkv` binary is its command
//! line.

mod certificates;
mod environment;
mod extensions;
#[cfg(feature = "fake")]
mod fake;
mod heap;
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
mod system_certificates;
pub mod testing;
pub mod unstable;
mod watch;

pub use certificates::Certificates;
pub use kv::{StorageKey, kv_options, storage_directory};
pub use modules::{Config, Lock, ModuleOptions, Project, ProjectError};
pub use repl::{Preamble, repl};
pub use report::report;
pub use runtime::{DENO_VERSION, Options, Runtime, ServeAddress, TYPESCRIPT_VERSION, V8_VERSION};
pub use watch::{FileWatcher, Stop, WatchedFiles};

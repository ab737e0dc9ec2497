//! How scripts find their modules: as the reference does, with its libraries. A graph of all modules that the main module
//! may need is built before it runs; what it imports later extends the graph.

mod fetcher;
mod freshness;
mod http_client;
mod loader;
mod lockfile;
mod options;
mod project;
mod resolver;

pub(crate) use fetcher::{FetcherOptions, MainModule};
pub(crate) use loader::GraphLoader;
pub use options::{Config, Lock, ModuleOptions};
pub use project::{Error as ProjectError, Project};

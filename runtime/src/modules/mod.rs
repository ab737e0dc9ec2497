//! How scripts find their modules: as Deno does, with its libraries. A graph of all modules that the main module
//! may need is built before it runs; what it imports later extends the graph.

use std::error::Error;
use std::fmt::Write;

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

/// Returns the message of an error, with those of what caused it: only they say what is wrong with a file, or why a host could
/// not be reached.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    for i in 0.. {
        let Some(error) = cause else { break };
        write!(text, "\n    {i}: {error}").expect("a string takes all");
        cause = error.source();
    }
    text
}

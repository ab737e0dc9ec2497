//! How scripts find their modules: as Deno does, with its libraries. A graph of all modules that the main module
//! may need is built before it runs; what it imports later extends the graph.

use std::error::Error;
use std::fmt::Write;

use deno_core::anyhow;
use deno_error::JsErrorBox;

mod cjs_sources;
mod fetcher;
mod freshness;
mod graph;
mod http_client;
mod install_scripts;
mod loader;
mod lockfile;
mod options;
mod packages;
mod project;
mod require;
mod resolver;
mod services;
mod source;
mod source_map;

pub(crate) use fetcher::MainModule;
pub(crate) use loader::GraphLoader;
pub use options::{Config, Lock, ModuleOptions};
pub use project::{Error as ProjectError, Project};
pub(crate) use services::LoaderOptions;

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

/// Returns an error of Deno's libraries as one of a script, with what caused it.
fn failed(error: anyhow::Error) -> JsErrorBox {
    error.downcast().unwrap_or_else(|error| JsErrorBox::generic(with_causes(&*error)))
}

//! Resolves and loads modules with Deno's own crates. A graph of the main module and all its imports is built before it
//! runs. Dynamic imports extend the graph.

use std::error::Error;
use std::fmt::Write;

use deno_core::anyhow;
use deno_error::JsErrorBox;

mod analysis;
mod cjs_sources;
mod derived;
mod fetcher;
mod freshness;
mod graph;
mod http_client;
mod install_scripts;
mod installer;
mod loader;
mod lockfile;
mod options;
mod packages;
mod program;
mod project;
mod require;
mod resolver;
mod services;
mod source;
mod source_map;

pub(crate) use fetcher::MainModule;
pub use installer::{Installer, Registry};
pub(crate) use loader::GraphLoader;
pub use options::{Config, InstallOptions, Lock, ModuleOptions};
pub use project::{Error as ProjectError, Manifests, Project};
pub(crate) use services::LoaderOptions;

/// Returns the messages of an error and all its causes. Often only a cause says why a file is invalid or a host is
/// unreachable.
fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    for i in 0.. {
        let Some(error) = cause else { break };
        write!(message, "\n    {i}: {error}").expect("writing to a string cannot fail");
        cause = error.source();
    }
    message
}

/// Converts an error of Deno's crates to an error of a script, with its causes.
fn failed(error: anyhow::Error) -> JsErrorBox {
    error.downcast().unwrap_or_else(|error| JsErrorBox::generic(with_causes(&*error)))
}

//! Resolves imports with Deno's resolver, and adds hints to its errors.

use std::path::Path;

use deno_core::url::Url;
use deno_error::{JsErrorBox, JsErrorClass};
use deno_graph::source::{ResolutionKind, ResolveError, Resolver};
use deno_graph::{Range, SpecifierError};
use deno_resolver::graph::DenoGraphResolverAdapter;
use deno_resolver::npm::{DenoInNpmPackageChecker, NpmResolver};
use import_map::{ImportMapError, ImportMapErrorKind};
use node_resolver::DenoIsBuiltInNodeModuleChecker;
use openkv_js::transpile::MediaType;
use sys_traits::impls::RealSys;

use crate::extensions::node::NO_SQLITE;

/// The reason why an import cannot be resolved.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
enum Error {
    #[error("Import \"{name}\" not a dependency\n  hint: map it in \"imports\" of deno.json, or import {instead}", instead = suggestions(name))]
    Bare {
        /// The specifier of the import.
        name: String,
    },
    #[error("{NO_SQLITE}")]
    Sqlite,
    #[error("importing {0} is not allowed: JSR packages can only import remote modules of JSR")]
    Remote(Url),
}

/// Rejects `node:sqlite`.
pub(super) fn check_not_sqlite(resolved: Url) -> Result<Url, JsErrorBox> {
    if resolved.as_str() == "node:sqlite" { Err(JsErrorBox::from_err(Error::Sqlite)) } else { Ok(resolved) }
}

/// Rejects a remote module that is imported by a JSR package, unless it is part of a JSR package itself.
pub(super) fn check_not_remote(resolved: &Url, referrer: &str, jsr: &str) -> Result<(), JsErrorBox> {
    let is_remote = matches!(resolved.scheme(), "http" | "https") && !resolved.as_str().starts_with(jsr);
    if is_remote && referrer.starts_with(jsr) {
        Err(JsErrorBox::from_err(Error::Remote(resolved.clone())))
    } else {
        Ok(())
    }
}

/// Replaces an error of Deno's resolver if there is a more helpful one.
pub(super) fn explain(error: ResolveError) -> ResolveError {
    let bare = match &error {
        ResolveError::Specifier(SpecifierError::ImportPrefixMissing { specifier, .. }) => Some(specifier.clone()),
        ResolveError::Specifier(_) => None,
        ResolveError::Other(error) => match error.get_ref().downcast_ref().map(ImportMapError::as_kind) {
            Some(ImportMapErrorKind::UnmappedBareSpecifier(specifier, _)) => Some(specifier.clone()),
            _ => None,
        },
    };
    bare.map_or(error, |name| ResolveError::from_err(Error::Bare { name }))
}

/// Suggests specifiers for a bare name.
fn suggestions(name: &str) -> String {
    if MediaType::from_path(Path::new(name)) != MediaType::Unknown {
        format!("\"./{name}\"")
    } else if name.starts_with("@std/") {
        format!("\"jsr:{name}\"")
    } else if name.starts_with('@') && name.contains('/') {
        format!("\"jsr:{name}\" or \"npm:{name}\"")
    } else {
        format!("\"npm:{name}\"")
    }
}

/// Resolves the imports of a graph.
#[derive(Debug)]
pub(super) struct GraphResolver<'a>(
    pub  DenoGraphResolverAdapter<
        'a,
        DenoInNpmPackageChecker,
        DenoIsBuiltInNodeModuleChecker,
        NpmResolver<RealSys>,
        RealSys,
    >,
);

impl Resolver for GraphResolver<'_> {
    fn default_jsx_import_source(&self, referrer: &Url) -> Option<String> {
        self.0.default_jsx_import_source(referrer)
    }

    fn jsx_import_source_module(&self, referrer: &Url) -> &str {
        self.0.jsx_import_source_module(referrer)
    }

    fn resolve(&self, specifier: &str, referrer: &Range, kind: ResolutionKind) -> Result<Url, ResolveError> {
        let resolved = self.0.resolve(specifier, referrer, kind).map_err(explain)?;
        Ok(check_not_sqlite(resolved)?)
    }
}

//! Where imports lead to.

use std::path::Path;

use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_graph::source::{JsrUrlProvider, ResolutionKind, ResolveError, Resolver};
use deno_graph::{Range, resolve_import};
use deno_node::is_builtin_node_module;
use import_map::{ImportMap, ImportMapErrorKind};
use openkv_js::transpile::{CompilerOptions, MediaType};

use crate::environment::Environment;
use crate::extensions::node::NO_SQLITE;

/// Why an import leads nowhere.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
enum Error {
    #[error("Import \"{name}\" not a dependency\n  hint: map it in \"imports\" of deno.json, or import {instead}", instead = by_url(name))]
    Bare {
        /// What the import says.
        name: String,
    },
    #[error("No such built-in module: {0}")]
    Node(Url),
    #[error("{NO_SQLITE}")]
    Sqlite,
    #[error("\"{0}\" is a package of npm, which OpenKV does not load: import an ES module by its URL")]
    Npm(Url),
}

/// Resolves imports by an import map, and what JSX imports by the compiler options.
#[derive(Debug)]
pub(super) struct ModuleResolver {
    pub import_map: Option<ImportMap>,
    pub compiler_options: CompilerOptions,
}

impl ModuleResolver {
    /// The module that an import means.
    pub fn resolve_specifier(&self, specifier: &str, referrer: &Url) -> Result<Url, JsErrorBox> {
        let resolved = self.resolve_url(specifier, referrer)?;
        match resolved.scheme() {
            "node" if resolved.path() == "sqlite" => Err(JsErrorBox::from_err(Error::Sqlite)),
            "node" if !is_builtin_node_module(resolved.path()) => Err(JsErrorBox::from_err(Error::Node(resolved))),
            "npm" => Err(JsErrorBox::from_err(Error::Npm(resolved))),
            _ => Ok(resolved),
        }
    }

    /// The URL that an import means, whether there are modules at it or not.
    pub fn resolve_url(&self, specifier: &str, referrer: &Url) -> Result<Url, JsErrorBox> {
        match &self.import_map {
            Some(map) => map.resolve(specifier, referrer).or_else(|error| match error.as_kind() {
                ImportMapErrorKind::UnmappedBareSpecifier(specifier, _) => bare(specifier),
                _ => Err(JsErrorBox::from_err(error)),
            }),
            None => resolve_import(specifier, referrer).or_else(|error| match error {
                deno_graph::SpecifierError::ImportPrefixMissing { specifier, .. } => bare(&specifier),
                error => Err(JsErrorBox::from_err(error)),
            }),
        }
    }
}

/// What a name means that no import map has: a module of Node.js, or nothing.
fn bare(name: &str) -> Result<Url, JsErrorBox> {
    match Url::parse(&format!("node:{name}")) {
        Ok(url) if is_builtin_node_module(name) => Ok(url),
        _ => Err(JsErrorBox::from_err(Error::Bare { name: name.into() })),
    }
}

/// The import that may be meant by the name of a package.
fn by_url(name: &str) -> String {
    if MediaType::from_path(Path::new(name)) != MediaType::Unknown {
        format!("\"./{name}\"")
    } else if name.starts_with('@') && name.contains('/') {
        format!("\"jsr:{name}\"")
    } else {
        format!("a module by its URL, such as \"https://esm.sh/{name}\"")
    }
}

impl Resolver for ModuleResolver {
    fn default_jsx_import_source(&self, _referrer: &Url) -> Option<String> {
        self.compiler_options.jsx.import_source().map(Into::into)
    }

    fn jsx_import_source_module(&self, _referrer: &Url) -> &str {
        self.compiler_options.jsx.import_module()
    }

    fn resolve(&self, specifier: &str, referrer: &Range, _kind: ResolutionKind) -> Result<Url, ResolveError> {
        Ok(self.resolve_specifier(specifier, &referrer.specifier)?)
    }
}

/// Where packages of `jsr:` are: at the registry of `JSR_URL`, or the public one.
#[derive(Debug)]
pub(super) struct Jsr(Option<Url>);

impl Jsr {
    pub fn from_env() -> Self {
        Self(Environment::at_start().jsr_url.clone().map(|mut url| {
            if !url.path().ends_with('/') {
                let path = format!("{}/", url.path());
                url.set_path(&path);
            }
            url
        }))
    }
}

impl JsrUrlProvider for Jsr {
    fn url(&self) -> &Url {
        self.0.as_ref().unwrap_or_else(|| <&dyn JsrUrlProvider>::default().url())
    }
}

//! Where imports lead to.

use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_graph::source::{JsrUrlProvider, ResolutionKind, ResolveError, Resolver};
use deno_graph::{Range, resolve_import};
use import_map::{ImportMap, ImportMapErrorKind};
use openkv_transpile::Jsx;

use crate::environment::Environment;

/// Why an import leads nowhere.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
enum Error {
    #[error("Import \"{0}\" not a dependency")]
    Bare(String),
    #[error("\"{0}\" is a module of Node.js, which OpenKV does not have")]
    Node(Url),
    #[error("\"{0}\" is a package of npm, which OpenKV does not load: import an ES module by its URL")]
    Npm(Url),
}

/// Resolves imports by an import map, and what JSX imports by the compiler options.
#[derive(Debug)]
pub(super) struct ModuleResolver {
    pub import_map: Option<ImportMap>,
    pub jsx: Jsx,
}

impl ModuleResolver {
    /// The module that an import means.
    pub fn resolve_specifier(&self, specifier: &str, referrer: &Url) -> Result<Url, JsErrorBox> {
        let resolved = match &self.import_map {
            Some(map) => map.resolve(specifier, referrer).map_err(|error| match error.as_kind() {
                ImportMapErrorKind::UnmappedBareSpecifier(specifier, _) => {
                    JsErrorBox::from_err(Error::Bare(specifier.clone()))
                }
                _ => JsErrorBox::from_err(error),
            }),
            None => resolve_import(specifier, referrer).map_err(|error| match error {
                deno_graph::SpecifierError::ImportPrefixMissing { specifier, .. } => {
                    JsErrorBox::from_err(Error::Bare(specifier))
                }
                error => JsErrorBox::from_err(error),
            }),
        }?;
        match resolved.scheme() {
            "node" => Err(JsErrorBox::from_err(Error::Node(resolved))),
            "npm" => Err(JsErrorBox::from_err(Error::Npm(resolved))),
            _ => Ok(resolved),
        }
    }
}

impl Resolver for ModuleResolver {
    fn default_jsx_import_source(&self, _referrer: &Url) -> Option<String> {
        self.jsx.import_source().map(Into::into)
    }

    fn jsx_import_source_module(&self, _referrer: &Url) -> &str {
        self.jsx.import_module()
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

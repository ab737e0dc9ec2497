//! Packages as the user names them.

use deno_semver::jsr::JsrPackageReqReference;
use deno_semver::npm::NpmPackageReqReference;
use deno_semver::package::PackageReq;
use openkv::Registry;

/// A package to add, with the name that it is imported by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub alias: String,
    pub registry: Registry,
    pub package: PackageReq,
}

impl Request {
    /// Parses `npm:NAME@VERSION`, `jsr:NAME@VERSION`, the same after `ALIAS@`, or, for the default registry, `NAME@VERSION`.
    pub fn parse(text: &str, default: Registry) -> Result<Self, String> {
        let (alias, registry, name) = match split(text) {
            (alias, Some((registry, name))) => (alias, registry, name),
            (_, None) => (None, default, text),
        };
        let package =
            parse_package(registry, name).map_err(|error| format!("failed to parse the package {text}: {error}"))?;
        let alias = alias.unwrap_or(&package.name).to_owned();
        Ok(Self { alias, registry, package })
    }

    /// Drops the scope of the alias, unless the user has given one.
    pub fn without_scope(mut self) -> Self {
        if self.alias == *self.package.name
            && let Some((_, name)) = self.alias.split_once('/').filter(|(scope, _)| scope.starts_with('@'))
        {
            self.alias = name.to_owned();
        }
        self
    }

    /// Returns the name of the package with the prefix of its registry.
    pub fn prefixed_name(&self) -> String {
        format!("{}:{}", self.registry.prefix(), self.package.name)
    }
}

/// Returns the name by which a package to remove is imported.
pub(super) fn alias_to_remove(text: &str) -> Result<String, String> {
    Request::parse(text, Registry::Npm).map(|request| request.alias)
}

/// Splits an alias, a registry and the rest.
fn split(text: &str) -> (Option<&str>, Option<(Registry, &str)>) {
    for registry in [Registry::Npm, Registry::Jsr] {
        let prefix = format!("{}:", registry.prefix());
        if let Some(rest) = text.strip_prefix(&prefix) {
            return (None, Some((registry, rest)));
        }
        if let Some((alias, rest)) = text.split_once(&format!("@{prefix}")) {
            return (Some(alias), Some((registry, rest)));
        }
    }
    (None, None)
}

/// Parses a name and a version. Besides the versions of specifiers, all ranges of npm are accepted.
fn parse_package(registry: Registry, text: &str) -> Result<PackageReq, String> {
    let strict = match registry {
        Registry::Npm => NpmPackageReqReference::from_str(&format!("npm:{text}")).map(|found| found.into_inner().req),
        Registry::Jsr => JsrPackageReqReference::from_str(&format!("jsr:{text}")).map(|found| found.into_inner().req),
    };
    // The error of a specifier is the more helpful one.
    strict.or_else(|error| PackageReq::from_str_loose(text).map_err(|_| error.to_string()))
}

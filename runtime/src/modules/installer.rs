//! Installs the dependencies of a project without running a script.

use std::collections::HashSet;
use std::rc::Rc;

use deno_core::serde_json;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_graph::packages::{JsrPackageInfo, JsrPackageVersionInfo};
use deno_graph::{GraphKind, JsrLoadError, ModuleErrorKind, ModuleGraph, ModuleGraphError, ModuleLoadError};
use deno_npm::registry::NpmRegistryApi;
use deno_npm_installer::PackageCaching;
use deno_semver::Version;
use deno_semver::jsr::JsrPackageReqReference;
use deno_semver::npm::NpmPackageReqReference;
use deno_semver::package::PackageReq;

use super::freshness::WALK;
use super::graph::{GraphBuilder, Request, describe};
use super::services::{LoaderOptions, Services};
use super::{failed, with_causes};

/// A registry of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    /// The registry of npm.
    Npm,
    /// The registry of JSR.
    Jsr,
}

impl Registry {
    /// Returns the prefix of specifiers.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Jsr => "jsr",
        }
    }
}

/// Installs dependencies, and finds versions of packages.
pub struct Installer {
    services: Rc<Services>,
    builder: GraphBuilder,
}

impl Installer {
    /// Creates an installer.
    ///
    /// # Errors
    /// The download directory cannot be determined.
    pub(crate) fn new(options: LoaderOptions) -> Result<Self, JsErrorBox> {
        let services = Rc::new(Services::new(options)?);
        Ok(Self { builder: GraphBuilder::new(services.clone()), services })
    }

    /// Downloads modules and all that they import, and installs the packages.
    ///
    /// # Errors
    /// A module or a package cannot be loaded, or the lock file is frozen and lacks one.
    pub async fn cache(&self, modules: Vec<Url>) -> Result<(), JsErrorBox> {
        let mut graph = ModuleGraph::new(GraphKind::CodeOnly);
        self.builder.build(&mut graph, Request::Roots(modules.clone()), false).await?;
        if let Some(error) = graph.walk(modules.iter(), WALK).errors().next() {
            return Err(describe(error, &modules, false));
        }
        self.builder.lock(&graph).await?;
        self.finish(false).await
    }

    /// Installs the dependencies of the configuration files, and further packages. With `lock_only`, only the lock file is
    /// updated.
    ///
    /// # Errors
    /// A dependency cannot be loaded, or the lock file is frozen and lacks one.
    pub async fn install(&self, further: Vec<Url>, lock_only: bool) -> Result<(), JsErrorBox> {
        let installer = self.services.npm.npm_installer().await.map_err(failed)?;
        installer.ensure_no_pkg_json_dep_errors().map_err(|error| JsErrorBox::generic(with_causes(&error)))?;
        installer.ensure_top_level_package_json_install().await?;
        let mut graph = ModuleGraph::new(GraphKind::CodeOnly);
        let mut roots = self.imports().await?;
        roots.extend(further);
        self.builder.build(&mut graph, Request::Roots(roots.clone()), false).await?;
        let exports = self.exports(&graph, &roots).await?;
        self.builder.build(&mut graph, Request::Roots(exports.clone()), false).await?;
        roots.extend(exports);
        if let Some(error) = graph.walk(roots.iter(), WALK).errors().find(|error| is_fatal(error, &roots)) {
            return Err(describe(error, &roots, false));
        }
        self.builder.lock(&graph).await?;
        self.finish(lock_only).await
    }

    async fn finish(&self, lock_only: bool) -> Result<(), JsErrorBox> {
        // There is none for a directory node_modules that npm manages.
        match self.services.npm.npm_installer_if_managed().await.map_err(failed)? {
            Some(installer) if lock_only => installer.install_resolution_if_pending().await,
            Some(installer) => installer.cache_packages(PackageCaching::All).await,
            None => Ok(()),
        }
    }

    /// Returns the modules that the import map names, except for those of the workspace.
    async fn imports(&self) -> Result<Vec<Url>, JsErrorBox> {
        let resolver = self.services.resolvers.workspace_resolver().await.map_err(failed)?;
        let Some(map) = resolver.maybe_import_map() else { return Ok(Vec::new()) };
        let scopes = map.scopes().flat_map(|scope| scope.imports.entries());
        let mut found = Vec::new();
        for entry in map.imports().entries().chain(scopes) {
            let Some(url) = entry.value else { continue };
            let is_wanted = match url.scheme() {
                _ if entry.key.ends_with('/') => false,
                "jsr" => JsrPackageReqReference::from_specifier(url)
                    .is_ok_and(|package| !resolver.jsr_packages().iter().any(|own| own.matches_req(package.req()))),
                "npm" => NpmPackageReqReference::from_specifier(url).is_ok_and(|package| {
                    !resolver.package_jsons().any(|own| own.name.as_deref() == Some(&*package.req().name))
                }),
                "file" => url.to_file_path().is_ok_and(|path| path.is_file()),
                _ => true,
            };
            if is_wanted {
                found.push(url.clone());
            }
        }
        Ok(found)
    }

    /// Returns the exports of the packages of JSR among modules.
    async fn exports(&self, graph: &ModuleGraph, modules: &[Url]) -> Result<Vec<Url>, JsErrorBox> {
        let mut found = Vec::new();
        for module in modules {
            let Ok(package) = JsrPackageReqReference::from_specifier(module) else { continue };
            let Some(nv) = graph.packages.mappings().get(package.req()) else { continue };
            let url = self.jsr_url(&format!("{}/{}_meta.json", nv.name, nv.version))?;
            let Some(file) = self.services.fetcher.fetch_metadata(&url, false).await? else { continue };
            let info: JsrPackageVersionInfo = serde_json::from_slice(&file.source).map_err(invalid(&url))?;
            let names = info.exports().map(|(name, _)| name.trim_start_matches("./").to_owned());
            let named = names.filter(|name| package.sub_path().is_none() && name != ".");
            found.extend(named.filter_map(|name| Url::parse(&format!("jsr:/{}/{name}", package.req())).ok()));
        }
        Ok(found)
    }

    /// Returns the best version of a package, if the package exists.
    ///
    /// # Errors
    /// The registry cannot be reached, or has no version that matches.
    pub async fn find(&self, registry: Registry, package: &PackageReq) -> Result<Option<Version>, JsErrorBox> {
        match registry {
            Registry::Npm => self.find_in_npm(package).await,
            Registry::Jsr => self.find_in_jsr(package).await,
        }
    }

    async fn find_in_npm(&self, package: &PackageReq) -> Result<Option<Version>, JsErrorBox> {
        let provider = self.services.npm.registry_info_provider().map_err(failed)?;
        provider.mark_force_reload();
        let Some(info) = provider.maybe_package_info(&package.name).await.map_err(JsErrorBox::from_err)? else {
            return Ok(None);
        };
        let resolver = self.services.resolvers.npm_version_resolver().map_err(failed)?;
        let resolver = resolver.get_for_package(&info);
        let found = resolver.resolve_best_package_version_info(&package.version_req, std::iter::empty());
        found.map(|found| Some(found.version.clone())).map_err(JsErrorBox::from_err)
    }

    async fn find_in_jsr(&self, package: &PackageReq) -> Result<Option<Version>, JsErrorBox> {
        let url = self.jsr_url(&format!("{}/meta.json", package.name))?;
        let Some(file) = self.services.fetcher.fetch_metadata(&url, true).await? else { return Ok(None) };
        let info: JsrPackageInfo = serde_json::from_slice(&file.source).map_err(invalid(&url))?;
        match package.version_req.tag() {
            Some("latest") => {
                let versions = info.versions.iter().filter(|(_, info)| !info.yanked).map(|(version, _)| version);
                Ok(versions.max().cloned())
            }
            Some(tag) => Err(JsErrorBox::generic(format!(
                "jsr:{} has no version with the tag '{tag}': use a version, or the tag 'latest'",
                package.name
            ))),
            None => {
                let resolver = self.services.resolvers.jsr_version_resolver().map_err(failed)?;
                let resolver = resolver.get_for_package(&package.name, &info);
                let found = resolver.resolve_version(package, std::iter::empty(), &HashSet::new());
                found.map(|found| Some(found.version.clone())).map_err(JsErrorBox::from_err)
            }
        }
    }

    fn jsr_url(&self, path: &str) -> Result<Url, JsErrorBox> {
        self.services.project.jsr_url().join(path).map_err(JsErrorBox::from_err)
    }
}

/// Returns whether an error prevents the installation. A dependency need not be a module, nor have a main module.
fn is_fatal(error: &ModuleGraphError, dependencies: &[Url]) -> bool {
    let ModuleGraphError::ModuleError(error) = error else { return true };
    let is_expected = matches!(
        error.as_kind(),
        ModuleErrorKind::UnsupportedMediaType { .. }
            | ModuleErrorKind::Load { err: ModuleLoadError::Jsr(JsrLoadError::UnknownExport { .. }), .. }
    );
    !(is_expected && dependencies.contains(error.specifier()))
}

/// Returns the error for metadata that cannot be parsed.
fn invalid(url: &Url) -> impl Fn(serde_json::Error) -> JsErrorBox {
    move |error| JsErrorBox::generic(format!("{url} is not valid: {error}"))
}

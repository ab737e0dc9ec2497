//! Builds the graph of a module and all its imports.

use std::borrow::Cow;
use std::rc::Rc;

use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_graph::ast::ParserModuleAnalyzer;
use deno_graph::source::{JsrUrlProvider, LoaderChecksum, Locker};
use deno_graph::{BuildOptions, ModuleGraph, ModuleGraphError};
use deno_npm_installer::PackageCaching;
use deno_npm_installer::graph::NpmCachingStrategy;
use deno_resolver::deno_json::JsxImportSourceConfigResolver;
use deno_resolver::graph::{DefaultDenoResolverRc, EnhanceGraphErrorMode, NpmTypesResolutionMode, enhance_graph_error};
use sys_traits::impls::RealSys;
use tokio::sync::OnceCell;

use super::analysis::ImportAnalyzer;
use super::fetcher::GraphFetcher;
use super::lockfile::LockfileState;
use super::resolver::GraphResolver;
use super::services::Services;
use super::{failed, with_causes};

/// The modules from which a graph is built.
pub(super) enum Request {
    /// New roots.
    Roots(Vec<Url>),
    /// Modules of the graph to load again.
    Stale(Vec<Url>),
}

/// Builds graphs, and records their contents in the lock file.
pub(super) struct GraphBuilder {
    pub services: Rc<Services>,
    prepared: OnceCell<Prepared>,
}

/// The parts that are created before the first module is loaded.
struct Prepared {
    resolver: DefaultDenoResolverRc<RealSys>,
    jsx: JsxImportSourceConfigResolver,
    lockfile: Option<LockfileState>,
}

impl GraphBuilder {
    pub fn new(services: Rc<Services>) -> Self {
        Self { services, prepared: OnceCell::new() }
    }

    /// Installs the package of the main module, if it is one's program.
    pub async fn prepare(&self) -> Result<(), JsErrorBox> {
        self.prepared().await.map(drop)
    }

    async fn prepared(&self) -> Result<&Prepared, JsErrorBox> {
        self.prepared.get_or_try_init(|| self.create_prepared()).await
    }

    async fn create_prepared(&self) -> Result<Prepared, JsErrorBox> {
        let Services { resolvers, npm, main_package, .. } = &*self.services;
        let lockfile = npm.maybe_lockfile().await.map_err(failed)?;
        let lockfile = lockfile.cloned().map(LockfileState::new);
        npm.initialize_npm_resolution_if_managed().await.map_err(failed)?;
        if let (Some(package), Some(installer)) = (main_package, npm.npm_installer_if_managed().await.map_err(failed)?)
        {
            installer.add_and_cache_package_reqs(std::slice::from_ref(package)).await?;
        }
        let compiler_options = resolvers.compiler_options_resolver().map_err(failed)?;
        Ok(Prepared {
            resolver: resolvers.deno_resolver().await.map_err(failed)?.clone(),
            jsx: JsxImportSourceConfigResolver::from_compiler_options_resolver(compiler_options)
                .map_err(JsErrorBox::from_err)?,
            lockfile,
        })
    }

    /// Returns the resolver of imports, once a graph has been built.
    pub fn resolver(&self) -> Option<&DefaultDenoResolverRc<RealSys>> {
        self.prepared.get().map(|prepared| &prepared.resolver)
    }

    /// Returns the expected checksum of a remote file.
    pub fn checksum(&self, url: &Url) -> Option<LoaderChecksum> {
        let lockfile = self.prepared.get()?.lockfile.as_ref()?;
        lockfile.file.as_deno_graph_locker().get_remote_checksum(url)
    }

    /// Adds modules and all their imports to a graph.
    pub async fn build(&self, graph: &mut ModuleGraph, request: Request, is_dynamic: bool) -> Result<(), JsErrorBox> {
        let Services { resolvers, npm, fetcher, packages, derived, .. } = &*self.services;
        let Prepared { resolver, jsx, lockfile } = self.prepared().await?;
        if graph.roots.is_empty() {
            self.install_first().await?;
            if let Some(lockfile) = lockfile {
                lockfile.file.fill_graph(graph);
            }
        }
        let cjs = resolvers.cjs_tracker().map_err(failed)?;
        let resolver = GraphResolver(resolver.as_graph_resolver(cjs, jsx, None, NpmTypesResolutionMode::Strict));
        let npm_resolver = npm.npm_deno_graph_resolver().await.map_err(failed)?;
        let parser = resolvers.parsed_source_cache().as_capturing_parser();
        let jsr = Jsr(self.services.project.jsr_url().clone());
        let mut locker = lockfile.as_ref().map(|lockfile| lockfile.file.as_deno_graph_locker());
        let fetcher = GraphFetcher { fetcher, packages };
        let options = BuildOptions {
            is_dynamic,
            unstable_bytes_imports: true,
            locker: locker.as_mut().map(|locker| locker as &mut dyn Locker),
            file_system: &RealSys,
            jsr_url_provider: &jsr,
            jsr_version_resolver: Cow::Borrowed(resolvers.jsr_version_resolver().map_err(failed)?),
            prefer_cached_jsr_versions: self.services.cached_only,
            module_analyzer: &ImportAnalyzer { parser: ParserModuleAnalyzer::new(&parser), derived },
            npm_resolver: Some(&**npm_resolver),
            resolver: Some(&resolver),
            ..BuildOptions::default()
        };
        match request {
            Request::Roots(roots) => graph.build(roots, Vec::new(), &fetcher, options).await,
            Request::Stale(modules) => graph.reload(modules, &fetcher, options).await,
        }
        Ok(())
    }

    /// Installs the dependencies of each `package.json`, if the project has a `node_modules` directory managed by the
    /// runtime.
    async fn install_first(&self) -> Result<(), JsErrorBox> {
        let Services { npm, installs_first, caching, .. } = &*self.services;
        if *installs_first && let Some(installer) = npm.npm_installer_if_managed().await.map_err(failed)? {
            let is_installed = installer.ensure_top_level_package_json_install().await?;
            if !is_installed && matches!(caching, NpmCachingStrategy::Eager) {
                installer.cache_packages(PackageCaching::All).await?;
            }
        }
        Ok(())
    }

    /// Records the contents of a graph in the lock file, provided that its npm packages were resolved.
    pub async fn lock(&self, graph: &ModuleGraph) -> Result<(), JsErrorBox> {
        let lockfile = self.prepared().await?.lockfile.as_ref();
        if let Some(lockfile) = lockfile {
            lockfile.add(graph);
            lockfile.check_frozen()?;
        }
        if let Err(error) = &graph.npm_dep_graph_result {
            return Err(JsErrorBox::new(error.get_class(), with_causes(&**error)));
        }
        lockfile.map_or(Ok(()), LockfileState::write)
    }
}

/// Describes an error of a graph, and where it occurred. Scripts see every such error as a TypeError, as in Deno.
pub(super) fn describe(error: ModuleGraphError, roots: &[Url], is_dynamic: bool) -> JsErrorBox {
    if is_dynamic {
        // The message must not reveal files next to the requested one.
        return JsErrorBox::type_error(error.to_string_with_range());
    }
    let is_root = matches!(&error, ModuleGraphError::ModuleError(error) if roots.contains(error.specifier()));
    let mode = if is_root { EnhanceGraphErrorMode::HideRange } else { EnhanceGraphErrorMode::ShowRange };
    JsErrorBox::type_error(enhance_graph_error(&RealSys, error, mode, &[]).to_string())
}

/// The URL of the JSR registry.
#[derive(Debug)]
struct Jsr(Url);

impl JsrUrlProvider for Jsr {
    fn url(&self) -> &Url {
        &self.0
    }
}

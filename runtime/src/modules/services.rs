//! The services of a module loader: Deno's resolver and npm installer. Most parts are created when a module first needs
//! them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use deno_cache_dir::file_fetcher::CacheSetting;
use deno_cache_dir::{GlobalOrLocalHttpCache, HttpCacheRc};
use deno_config::deno_json::NodeModulesDirMode;
use deno_core::resolve_url_or_path;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_npm_cache::NpmCacheSetting;
use deno_npm_installer::graph::NpmCachingStrategy;
use deno_npm_installer::{LifecycleScriptsConfig, LogReporter, NpmInstallerFactory, NpmInstallerFactoryOptions};
use deno_permissions::PermissionsContainer;
use deno_resolver::cjs::IsCjsResolutionMode;
use deno_resolver::factory::{ResolverFactory, ResolverFactoryOptions, SpecifiedImportMapProvider};
use deno_resolver::graph::MappedResolutionDiagnosticWithPosition;
use deno_resolver::workspace::SpecifiedImportMap;
use deno_semver::package::PackageReq;
use deno_web::BlobStoreTrait;
use node_resolver::cache::NodeResolutionThreadLocalCache;
use node_resolver::{NodeConditionOptions, NodeResolverOptions, PackageJsonThreadLocalCache};
use sys_traits::impls::RealSys;

use super::analysis::ExportCache;
use super::derived::Derived;
use super::fetcher::{Fetcher, MainModule, Permissions};
use super::http_client::ModuleClient;
use super::install_scripts::InstallScripts;
use super::packages::Packages;
use super::project::Project;
use super::{ModuleOptions, failed, with_causes};
use crate::certificates::Certificates;
use crate::environment::Environment;
use crate::unstable::Unstable;
use crate::watch::WatchedFiles;

/// The options of a module loader.
pub(crate) struct LoaderOptions {
    /// The main module.
    pub main: MainModule,
    /// The package of the main module, if it is a program of an npm package.
    pub main_package: Option<PackageReq>,
    /// The options for resolving and fetching modules.
    pub modules: ModuleOptions,
    /// The workspace of the main module.
    pub project: Project,
    /// The unstable features of Deno that are enabled.
    pub unstable: Unstable,
    /// The certificates that downloads trust.
    pub certificates: Certificates,
    /// The blobs of the script.
    pub blobs: Arc<dyn BlobStoreTrait>,
    /// The permissions of the script.
    pub permissions: PermissionsContainer,
    /// In a worker, the permissions of its parent, with which the worker's main module and static imports are loaded.
    pub parent_permissions: Option<PermissionsContainer>,
    /// Receives the local files of the graph.
    pub watched: Option<WatchedFiles>,
    /// Whether downloads are not logged.
    pub quiet: bool,
    /// The `User-Agent` header of downloads.
    pub user_agent: String,
}

/// The services that resolve, fetch and install modules.
pub(super) struct Services {
    pub fetcher: Fetcher,
    pub resolvers: Arc<ResolverFactory<RealSys>>,
    pub npm: NpmInstallerFactory<ModuleClient, LogReporter, RealSys>,
    pub packages: Packages,
    pub project: Project,
    pub caching: NpmCachingStrategy,
    /// Whether all dependencies of a `package.json` are installed before the first module is loaded.
    pub installs_first: bool,
    pub cached_only: bool,
    pub permissions: PermissionsContainer,
    pub main_package: Option<PackageReq>,
    pub derived: Arc<Derived>,
    /// Whether compiled code is kept.
    pub keeps_code: bool,
}

impl Services {
    /// # Errors
    /// The download directory cannot be determined.
    pub fn new(options: LoaderOptions) -> Result<Self, JsErrorBox> {
        let LoaderOptions {
            main,
            main_package,
            modules,
            project,
            unstable,
            certificates,
            blobs,
            permissions,
            parent_permissions,
            quiet,
            user_agent,
            ..
        } = options;
        let cache_setting = match modules.reload {
            _ if modules.cached_only => CacheSetting::Only,
            Some(urls) if urls.is_empty() => CacheSetting::ReloadAll,
            Some(urls) => CacheSetting::ReloadSome(urls),
            None => CacheSetting::Use,
        };
        let client = ModuleClient::new(user_agent, certificates, permissions.clone(), !quiet);
        let http_cache = project.workspace.http_cache().map_err(|error| JsErrorBox::generic(with_causes(&error)))?;
        let http_cache: HttpCacheRc = match http_cache {
            GlobalOrLocalHttpCache::Global(cache) => cache.clone(),
            GlobalOrLocalHttpCache::Local(cache) => cache.clone(),
        };
        let npm_cache_setting = NpmCacheSetting::from_cache_setting(&cache_setting);
        let fetcher = Fetcher::new(
            main,
            blobs,
            Permissions { own: permissions.clone(), parent: parent_permissions },
            client.clone(),
            http_cache,
            !modules.no_remote,
            cache_setting,
        );
        let workspace = project.workspace.workspace_directory();
        let workspace = workspace.map_err(|error| JsErrorBox::generic(with_causes(&error)))?;
        let has_package_json = workspace.workspace.package_jsons().next().is_some();
        // As in Deno: without a package.json in the workspace, the directories of modules are not searched for one.
        let is_cjs_resolution_mode =
            if has_package_json { IsCjsResolutionMode::ExplicitTypeCommonJs } else { IsCjsResolutionMode::Disabled };
        let import_map = modules.import_map.map(|name| {
            Box::new(NamedImportMap { name, fetcher: fetcher.clone() }) as Box<dyn SpecifiedImportMapProvider>
        });
        let derived = Arc::new(Derived::in_cache_directory());
        let resolvers = Arc::new(ResolverFactory::new(
            project.workspace.clone(),
            ResolverFactoryOptions {
                is_cjs_resolution_mode,
                newest_dependency_date: modules.newest_dependency_date,
                node_resolver_options: NodeResolverOptions {
                    conditions: NodeConditionOptions {
                        conditions: modules.conditions.into_iter().map(Cow::Owned).collect(),
                        ..NodeConditionOptions::default()
                    },
                    ..NodeResolverOptions::default()
                },
                node_analysis_cache: Some(Arc::new(ExportCache(derived.clone()))),
                node_resolution_cache: Some(Arc::new(NodeResolutionThreadLocalCache)),
                package_json_cache: Some(Arc::new(PackageJsonThreadLocalCache)),
                on_mapped_resolution_diagnostic: Some(Arc::new(|found| {
                    let warning = deno_terminal::colors::yellow("Warning");
                    let MappedResolutionDiagnosticWithPosition { diagnostic, referrer, start } = found;
                    let (line, column) = (start.line + 1, start.character + 1);
                    log::warn!(target: "deno_resolver", "{warning} {diagnostic}\n    at {referrer}:{line}:{column}");
                })),
                specified_import_map: import_map,
                unstable_sloppy_imports: unstable.sloppy_imports,
                ..ResolverFactoryOptions::default()
            },
        ));
        let packages = Packages {
            checker: resolvers.in_npm_package_checker().map_err(failed)?.clone(),
            root: workspace.workspace.root_dir_path(),
        };
        let configured = workspace.workspace.node_modules_dir().map_err(JsErrorBox::from_err)?;
        let installs_first = modules.node_modules_dir.or(configured) == Some(NodeModulesDirMode::Auto);
        let install = modules.install;
        let caching = if install.manages {
            NpmCachingStrategy::Manual
        } else if unstable.npm_lazy_caching {
            NpmCachingStrategy::Lazy
        } else {
            NpmCachingStrategy::Eager
        };
        let npm = NpmInstallerFactory::new(
            resolvers.clone(),
            Arc::new(client),
            Arc::new(InstallScripts),
            LogReporter,
            None,
            NpmInstallerFactoryOptions {
                cache_setting: npm_cache_setting,
                caching_strategy: caching,
                clean_on_install: install.cleans,
                // Running a script must not change the existing entries of Deno's lock file.
                dedup_lockfile_peer_variants: true,
                lifecycle_scripts_config: LifecycleScriptsConfig {
                    allowed: modules.allow_scripts,
                    denied: Vec::new(),
                    initial_cwd: project.workspace.initial_cwd().clone(),
                    root_dir: project.workspace.initial_cwd().clone(),
                    explicit_install: install.manages,
                },
                production: install.production,
                skip_types: install.skip_types,
                resolve_npm_resolution_snapshot: Box::new(|| Ok(None)),
            },
        );
        Ok(Self {
            fetcher,
            resolvers,
            npm,
            packages,
            project,
            caching,
            installs_first,
            cached_only: modules.cached_only,
            permissions,
            main_package,
            derived,
            keeps_code: !modules.no_code_cache,
        })
    }
}

/// The import map given on the command line.
struct NamedImportMap {
    name: String,
    fetcher: Fetcher,
}

impl fmt::Debug for NamedImportMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedImportMap").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait::async_trait(?Send)]
impl SpecifiedImportMapProvider for NamedImportMap {
    async fn get(&self) -> Result<Option<SpecifiedImportMap>, deno_core::anyhow::Error> {
        let failed = |error: &dyn fmt::Display| {
            JsErrorBox::type_error(format!("failed to load the import map {}: {error}", self.name))
        };
        let directory = Environment::at_start().absolute("");
        let url: Url = resolve_url_or_path(&self.name, &directory).map_err(|error| failed(&error))?;
        let file = self.fetcher.fetch_named(&url).await.map_err(|error| failed(&error))?;
        let value = deno_core::serde_json::from_slice(&file.source).map_err(|error| failed(&error))?;
        Ok(Some(SpecifiedImportMap { base_url: file.url, value }))
    }
}

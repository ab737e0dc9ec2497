use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::pin::Pin;
use std::rc::Rc;

use deno_core::error::ModuleLoaderError;
use deno_core::url::Url;
use deno_core::{
    ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSource, ModuleSourceCode,
    ModuleType, RequestedModuleType, ResolutionKind, SourceCodeCacheInfo, resolve_import,
};
use deno_error::JsErrorBox;
use deno_graph::{GraphKind, Module, ModuleGraph, Position};
use deno_permissions::CheckSpecifierKind;
use deno_resolver::graph::{ResolveWithGraphError, ResolveWithGraphErrorKind, ResolveWithGraphOptions};
use deno_resolver::loader::{LoadedModule, LoadedModuleOrAsset};
use deno_semver::npm::NpmPackageReqReference;
use node_resolver::{NodeResolutionKind, ResolutionMode};
use openkv_js::transpile::{Decorators, MediaType};
use tokio::sync::Mutex;

use super::cjs_sources::PermittedSources;
use super::derived::{Kind, hash};
use super::failed;
use super::freshness::{self, WALK};
use super::graph::{GraphBuilder, Request, describe};
use super::program;
use super::require::{NodeServices, node_services};
use super::resolver::{check_not_remote, check_not_sqlite, explain};
use super::services::{LoaderOptions, Services};
use super::source::{asset_type, module_type, requested_type, source_code};
use super::source_map;
use crate::snapshot::code_cache;
use crate::watch::WatchedFiles;

/// Returns the compiled code of a CommonJS module, whose source is given in UTF-16.
type GetCompiled = Box<dyn Fn(&Url, &[u16]) -> Result<SourceCodeCacheInfo, JsErrorBox>>;
/// Keeps the compiled code of a CommonJS module, with the hash of its source.
type KeepCompiled = Box<dyn Fn(Url, u64, &[u8])>;

/// The length in memory from which compiled code is kept, in bytes: V8 compiles shorter code in less time than a file is read.
const MIN_KEPT_CODE: usize = 1024;

/// Loads modules from a graph, which it builds before they run.
#[derive(Clone)]
pub(crate) struct GraphLoader(Rc<State>);

struct State {
    services: Rc<Services>,
    builder: GraphBuilder,
    watched: Option<WatchedFiles>,
    graph: RefCell<Rc<ModuleGraph>>,
    /// Held while the graph is extended.
    extending: Mutex<()>,
    /// The files that the program imports as text or bytes with constant specifiers. Set before the first module runs.
    assets: OnceCell<HashSet<Url>>,
    /// The modules that V8 has loaded.
    loaded: RefCell<HashSet<Url>>,
}

impl GraphLoader {
    /// Creates a loader. It reads no file before the first module is loaded.
    pub fn new(options: LoaderOptions) -> Result<Self, JsErrorBox> {
        let watched = options.watched.clone();
        let services = Rc::new(Services::new(options)?);
        Ok(Self(Rc::new(State {
            builder: GraphBuilder::new(services.clone()),
            services,
            watched,
            graph: RefCell::new(Rc::new(ModuleGraph::new(GraphKind::CodeOnly))),
            extending: Mutex::default(),
            assets: OnceCell::new(),
            loaded: RefCell::default(),
        })))
    }

    /// Returns the kind of decorators that a module is compiled with.
    pub fn decorators(&self, module: &Url) -> Result<Decorators, JsErrorBox> {
        let options = self.0.services.resolvers.compiler_options_resolver().map_err(failed)?;
        let options = options.for_specifier(module).transpile_options().map_err(JsErrorBox::from_err)?;
        Ok(options.transpile.decorators.clone())
    }

    /// Returns the file of a program of an npm package, which is installed.
    pub async fn program(&self, package: &NpmPackageReqReference) -> Result<Url, JsErrorBox> {
        program::resolve(&self.0.builder, package).await
    }

    /// Returns the services with which the Node.js built-in modules load packages.
    pub fn node_services(&self) -> Result<NodeServices, JsErrorBox> {
        node_services(&self.0.services.resolvers, &self.0.services.packages)
    }

    /// Returns whether npm packages are in a `node_modules` directory, rather than in the global cache.
    pub fn uses_node_modules(&self) -> Result<bool, JsErrorBox> {
        let packages = self.0.services.resolvers.npm_resolver().map_err(failed)?;
        Ok(packages.root_node_modules_path().is_some())
    }

    /// Adds a module and all its imports to the graph.
    async fn extend(&self, root: Url, is_dynamic: bool) -> Result<(), JsErrorBox> {
        let State { builder, services, .. } = &*self.0;
        let _extending = self.0.extending.lock().await;
        let known = self.0.graph.borrow().clone();
        let mut graph = ModuleGraph::clone(&known);
        builder.build(&mut graph, Request::Roots(vec![root.clone()]), is_dynamic).await?;
        if is_dynamic {
            let mut checked = HashSet::new();
            loop {
                let loaded = |module: &Url| self.0.loaded.borrow().contains(module);
                let stale = freshness::stale(&graph, &known, &root, loaded, &mut checked);
                if stale.is_empty() {
                    break;
                }
                builder.build(&mut graph, Request::Stale(stale), is_dynamic).await?;
            }
        }
        if let Some(watched) = &self.0.watched {
            // Modules with errors are watched, too: they may be corrected.
            let files = graph.specifiers().filter_map(|(url, _)| url.to_file_path().ok());
            files.for_each(|file| watched.add(&file));
        }
        if let Some(error) = graph.walk(std::iter::once(&root), WALK).errors().next() {
            return Err(describe(error, &[root], is_dynamic));
        }
        builder.lock(&graph).await?;
        services.npm.has_js_execution_started_flag().raise();
        let graph = Rc::new(graph);
        if !is_dynamic {
            self.0.assets.get_or_init(|| assets(&graph));
        }
        *self.0.graph.borrow_mut() = graph;
        Ok(())
    }

    /// Resolves an import. With `keep_npm`, the URL of an npm package that may not be installed yet stays an `npm:`
    /// specifier.
    fn resolve_specifier(&self, specifier: &str, referrer: &str, keep_npm: bool) -> Result<Url, JsErrorBox> {
        let Some(resolver) = self.0.builder.resolver() else {
            // The main module is not resolved yet, and its specifier is a URL.
            return resolve_import(specifier, referrer).map_err(JsErrorBox::from_err);
        };
        // A referrer without a URL, such as the input of the REPL, resolves imports like the main module.
        let referrer = Url::parse(referrer).unwrap_or_else(|_| self.0.services.fetcher.main_module().clone());
        let graph = self.0.graph.borrow().clone();
        let options = ResolveWithGraphOptions {
            mode: ResolutionMode::Import,
            kind: NodeResolutionKind::Execution,
            maintain_npm_specifiers: keep_npm,
        };
        resolver
            .resolve_with_graph(&graph, specifier, &referrer, Position::zeroed(), options)
            .map_err(describe_resolution)
    }

    /// Loads a module of the graph or of an npm package, or a file imported as text or bytes.
    async fn load_async(
        self,
        specifier: Url,
        referrer: Option<Url>,
        requested: RequestedModuleType,
    ) -> Result<ModuleSource, JsErrorBox> {
        let services = &self.0.services;
        // A dynamic import of a package keeps its `npm:` specifier until the package is installed.
        let found = match (NpmPackageReqReference::from_specifier(&specifier), self.0.builder.resolver()) {
            (Ok(package), Some(resolver)) => {
                let importer = referrer.as_ref().unwrap_or(services.fetcher.main_module());
                let file = resolver.resolve_non_workspace_npm_req_ref_to_file(
                    &package,
                    importer,
                    ResolutionMode::Import,
                    NodeResolutionKind::Execution,
                );
                file.map_err(JsErrorBox::from_err)?.into_url().map_err(JsErrorBox::from_err)?
            }
            _ => specifier.clone(),
        };
        let graph = self.0.graph.borrow().clone();
        let loader = services.resolvers.module_loader().map_err(failed)?;
        let sources = PermittedSources::new(&services.permissions);
        let loaded = loader
            .load(&graph, &found, referrer.as_ref(), &requested_type(&requested), Some(&sources))
            .await
            .map_err(JsErrorBox::from_err)?;
        match loaded {
            LoadedModuleOrAsset::Module(module) => Ok(self.module_source(&specifier, module, &requested)),
            LoadedModuleOrAsset::ExternalAsset { specifier, .. } => {
                let specifier = specifier.into_owned();
                let module_type = asset_type(&requested).unwrap_or(ModuleType::Wasm);
                self.clone().load_asset(specifier, module_type).await
            }
        }
    }

    fn module_source(&self, specifier: &Url, module: LoadedModule, requested: &RequestedModuleType) -> ModuleSource {
        let module_type = module_type(module.media_type, requested);
        let is_javascript = module_type == ModuleType::JavaScript;
        let code = source_code(module.source, is_javascript);
        let compiled = if is_javascript { self.compiled(Kind::Code, &module.specifier, code.as_bytes()) } else { None };
        ModuleSource::new_with_redirect(module_type, code, specifier, &module.specifier, compiled)
    }

    /// Returns the compiled code of a module, or what is needed to keep it once V8 has compiled it. `None` if it is not kept.
    fn compiled(&self, kind: Kind, module: &Url, code: &[u8]) -> Option<SourceCodeCacheInfo> {
        let Services { derived, keeps_code, .. } = &*self.0.services;
        (*keeps_code && code.len() >= MIN_KEPT_CODE).then(|| {
            let hash = hash(code, MediaType::JavaScript);
            SourceCodeCacheInfo { hash, data: derived.read(kind, module, hash).map(Cow::Owned) }
        })
    }

    /// Keeps the compiled code of a module.
    fn keep_compiled(&self, kind: Kind, module: &Url, hash: u64, code: &[u8]) {
        self.0.services.derived.write(kind, module, hash, code.to_vec());
    }

    /// Returns the functions with which CommonJS modules use compiled code, and keep it.
    pub fn cjs_code_cache(&self) -> (GetCompiled, KeepCompiled) {
        let (loader, keeper) = (self.clone(), self.clone());
        let get = move |module: &Url, code: &[u16]| {
            // SAFETY: these are the bytes of the same slice.
            let bytes = unsafe { std::slice::from_raw_parts(code.as_ptr().cast(), size_of_val(code)) };
            loader
                .compiled(Kind::CommonJsCode, module, bytes)
                .ok_or_else(|| JsErrorBox::generic("compiled code is not kept"))
        };
        let keep = move |module: Url, hash, code: &[u8]| keeper.keep_compiled(Kind::CommonJsCode, &module, hash, code);
        (Box::new(get), Box::new(keep))
    }

    /// Loads a file imported as text or bytes. Dynamic imports need permission to read it, even if it is a module of the
    /// program.
    async fn load_asset(self, specifier: Url, module_type: ModuleType) -> Result<ModuleSource, JsErrorBox> {
        let is_named = self.0.assets.get().is_some_and(|assets| assets.contains(&specifier));
        let kind = if is_named { CheckSpecifierKind::Static } else { CheckSpecifierKind::Dynamic };
        let found = self.0.graph.borrow().resolve(&specifier).clone();
        let file = self.0.services.fetcher.fetch_asset(&found, kind, |url| self.0.builder.checksum(url)).await?;
        let code = match module_type {
            ModuleType::Text => {
                let text = String::from_utf8_lossy(&file.source);
                ModuleSourceCode::String(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned().into())
            }
            _ => ModuleSourceCode::Bytes(file.source.to_vec().into_boxed_slice().into()),
        };
        Ok(ModuleSource::new_with_redirect(module_type, code, &specifier, &file.url, None))
    }

    /// Returns whether a module is WebAssembly that is imported only as a source: the graph does not parse it.
    fn is_wasm_source(&self, specifier: &Url) -> bool {
        let graph = self.0.graph.borrow();
        matches!(graph.get(specifier), Some(Module::External(module)) if module.was_asset_load)
            && MediaType::from_specifier(graph.resolve(specifier)) == MediaType::Wasm
    }
}

fn describe_resolution(error: ResolveWithGraphError) -> JsErrorBox {
    match error.into_kind() {
        ResolveWithGraphErrorKind::Resolution(error) => JsErrorBox::type_error(error.to_string_with_range()),
        kind => JsErrorBox::from_err(explain(kind.into_box().into_deno_graph_error())),
    }
}

/// Returns the files that the modules of a graph import as text or bytes with constant specifiers.
fn assets(graph: &ModuleGraph) -> HashSet<Url> {
    let dependencies = graph.modules().flat_map(|module| module.dependencies().values());
    let assets = dependencies.filter(|found| found.imports.iter().any(|import| import.attributes.has_asset()));
    assets.filter_map(|found| found.get_code().cloned()).collect()
}

impl ModuleLoader for GraphLoader {
    fn resolve(&self, specifier: &str, referrer: &str, kind: ResolutionKind) -> Result<Url, ModuleLoaderError> {
        if kind == ResolutionKind::MainModule {
            return resolve_import(specifier, referrer).map_err(JsErrorBox::from_err);
        }
        let resolved = self.resolve_specifier(specifier, referrer, kind == ResolutionKind::DynamicImport)?;
        let jsr = self.0.services.project.jsr_url().as_str();
        check_not_remote(&resolved, referrer, jsr)?;
        check_not_sqlite(resolved)
    }

    /// As in Deno, a specifier resolves even if the module cannot be loaded.
    fn import_meta_resolve(&self, specifier: &str, referrer: &str) -> Result<Url, ModuleLoaderError> {
        self.resolve_specifier(specifier, referrer, false)
            .or_else(|_| self.resolve_specifier(specifier, referrer, true))
    }

    fn prepare_load(
        &self,
        specifier: &Url,
        _referrer: Option<String>,
        _content: Option<String>,
        options: ModuleLoadOptions,
    ) -> Pin<Box<dyn Future<Output = Result<(), ModuleLoaderError>>>> {
        // The graph contains modules only. Assets that are imported dynamically and modules of npm packages are fetched
        // when they are loaded.
        let is_asset = asset_type(&options.requested_module_type).is_some();
        if options.is_dynamic_import && (is_asset || self.0.services.packages.own(specifier)) {
            return Box::pin(std::future::ready(Ok(())));
        }
        let (loader, specifier) = (self.clone(), specifier.clone());
        Box::pin(async move { loader.extend(specifier, options.is_dynamic_import).await })
    }

    fn load(
        &self,
        specifier: &Url,
        referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        self.0.loaded.borrow_mut().insert(specifier.clone());
        let requested = options.requested_module_type;
        let asset = asset_type(&requested).filter(|_| !self.0.services.packages.own(specifier));
        let wasm = || {
            (matches!(requested, RequestedModuleType::None) && self.is_wasm_source(specifier))
                .then_some(ModuleType::Wasm)
        };
        if let Some(asset) = asset.or_else(wasm) {
            return ModuleLoadResponse::Async(Box::pin(self.clone().load_asset(specifier.clone(), asset)));
        }
        let graph = self.0.graph.borrow().clone();
        let loader = match self.0.services.resolvers.module_loader() {
            Ok(loader) => loader,
            Err(error) => return ModuleLoadResponse::Sync(Err(failed(error))),
        };
        match loader.try_load_prepared_module_sync(&graph, specifier, &requested_type(&requested)) {
            Ok(Some(module)) => ModuleLoadResponse::Sync(Ok(self.module_source(specifier, module, &requested))),
            Err(error) => ModuleLoadResponse::Sync(Err(JsErrorBox::from_err(error))),
            Ok(None) => {
                let referrer = referrer.map(|referrer| referrer.specifier.clone());
                let loading = self.clone().load_async(specifier.clone(), referrer, requested);
                ModuleLoadResponse::Async(Box::pin(loading))
            }
        }
    }

    fn finish_load(&self) {
        self.0.services.resolvers.parsed_source_cache().free_all();
    }

    fn code_cache_ready(&self, specifier: Url, hash: u64, code: &[u8]) -> Pin<Box<dyn Future<Output = ()>>> {
        self.keep_compiled(Kind::Code, &specifier, hash, code);
        Box::pin(std::future::ready(()))
    }

    fn get_code_cache(&self, specifier: &Url, _source: &str) -> Option<SourceCodeCacheInfo> {
        code_cache(specifier.as_str())
    }

    fn get_source_map(&self, specifier: &str) -> Option<Cow<'_, [u8]>> {
        let specifier = Url::parse(specifier).ok()?;
        let graph = self.0.graph.borrow().clone();
        let loader = self.0.services.resolvers.module_loader().ok()?;
        let module = loader.load_prepared_module_for_source_map_sync(&graph, &specifier).ok()??;
        source_map::decode(module.source.as_bytes()).map(Cow::Owned)
    }

    fn get_source_mapped_source_line(&self, specifier: &str, line: usize) -> Option<String> {
        let specifier = Url::parse(specifier).ok()?;
        let graph = self.0.graph.borrow();
        let line_of = |text: &str| text.lines().nth(line).map(Into::into);
        match graph.get(&specifier) {
            Some(Module::Js(module)) => line_of(&module.source.text),
            None if self.0.services.packages.own(&specifier) => {
                line_of(&std::fs::read_to_string(specifier.to_file_path().ok()?).ok()?)
            }
            _ => None,
        }
    }
}

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use deno_core::error::ModuleLoaderError;
use deno_core::url::Url;
use deno_core::{
    ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSource, ModuleSourceCode,
    ModuleType, RequestedModuleType, ResolutionKind, SourceCodeCacheInfo, resolve_import, resolve_url_or_path,
};
use deno_error::JsErrorBox;
use deno_graph::analysis::ModuleAnalyzer;
use deno_graph::ast::ParsedSourceStore;
use deno_graph::ast::{CapturingEsParser, DefaultParsedSourceStore, EsParser, ParseOptions, ParserModuleAnalyzer};
use deno_graph::source::Locker;
use deno_graph::{BuildOptions, GraphKind, JsModule, Module, ModuleGraph, ModuleGraphError};
use deno_permissions::CheckSpecifierKind;
use openkv_js::transpile::{MediaType, is_needed, transpile_parsed};
use tokio::sync::Mutex;

use super::fetcher::{Fetcher, FetcherOptions};
use super::freshness::{self, WALK};
use super::lockfile::{Locked, LockfileOptions};
use super::project::{Project, Settings};
use super::resolver::{Jsr, ModuleResolver};
use super::{Config, Lock, ModuleOptions};
use crate::code_cache;
use crate::environment::Environment;

/// Loads modules from a graph, which it builds before they run.
#[derive(Clone)]
pub(crate) struct GraphLoader(Rc<State>);

struct State {
    fetcher: Fetcher,
    resolver: RefCell<Rc<ModuleResolver>>,
    graph: RefCell<Rc<ModuleGraph>>,
    /// What the program, as it was before the first module ran, imports as text or bytes with constant specifiers.
    assets: OnceCell<HashSet<Url>>,
    /// Held by who extends the graph.
    builder: Mutex<Builder>,
    /// Modules that were parsed for the graph and may run.
    parsed: DefaultParsedSourceStore,
    /// What is kept of modules that run, for the stacks of errors.
    loaded: RefCell<HashMap<String, Loaded>>,
}

/// What the graph is built with.
struct Builder {
    /// Where the import map has still to be read from.
    import_map: Option<String>,
    /// Which lock file has still to be read.
    lock: Option<LockfileOptions>,
    locked: Option<Locked>,
    jsr: Jsr,
    cached_only: bool,
}

impl Builder {
    fn options<'a>(
        &'a mut self,
        is_dynamic: bool,
        analyzer: &'a dyn ModuleAnalyzer,
        resolver: &'a ModuleResolver,
    ) -> BuildOptions<'a> {
        BuildOptions {
            is_dynamic,
            unstable_bytes_imports: true,
            locker: self.locked.as_mut().map(|locked| locked as &mut dyn Locker),
            jsr_url_provider: &self.jsr,
            prefer_cached_jsr_versions: self.cached_only,
            module_analyzer: analyzer,
            resolver: Some(resolver),
            ..BuildOptions::default()
        }
    }
}

struct Loaded {
    text: Arc<str>,
    source_map: Option<String>,
}

impl GraphLoader {
    /// A loader whose first work is that of its first module: it reads nothing yet.
    pub fn new(modules: ModuleOptions, project: Option<Project>, options: FetcherOptions) -> Self {
        let fetcher = Fetcher::new(options, &modules);
        let Settings { compiler_options, import_map, lockfile, frozen, dependencies } =
            project.map(|project| project.settings).unwrap_or_default();
        let lock = match modules.lock {
            Lock::Discovered => lockfile,
            Lock::Path(path) => Some(Environment::at_start().absolute(path)),
            Lock::None => None,
        };
        let builder = Builder {
            lock: lock.map(|path| LockfileOptions {
                path,
                frozen: modules.frozen.unwrap_or(frozen),
                dependencies: Some(dependencies).filter(|_| !matches!(modules.config, Config::None)),
            }),
            locked: None,
            jsr: Jsr::from_env(),
            cached_only: modules.cached_only,
            import_map: modules.import_map,
        };
        let import_map = import_map.filter(|_| builder.import_map.is_none());
        Self(Rc::new(State {
            fetcher,
            resolver: RefCell::new(Rc::new(ModuleResolver { import_map, compiler_options })),
            graph: RefCell::new(Rc::new(ModuleGraph::new(GraphKind::CodeOnly))),
            assets: OnceCell::new(),
            builder: Mutex::new(builder),
            parsed: DefaultParsedSourceStore::default(),
            loaded: RefCell::default(),
        }))
    }

    /// Adds a module and all that it imports to the graph.
    async fn extend(&self, root: Url, is_dynamic: bool) -> Result<(), JsErrorBox> {
        let state = &*self.0;
        let mut builder = state.builder.lock().await;
        self.set_up(&mut builder).await?;
        let resolver = state.resolver.borrow().clone();
        let parser = CapturingEsParser::new(None, &state.parsed);
        let analyzer = ParserModuleAnalyzer::new(&parser);
        let mut graph = ModuleGraph::clone(&state.graph.borrow());
        if graph.roots.is_empty()
            && let Some(locked) = &builder.locked
        {
            locked.fill(&mut graph);
        }
        let known = state.graph.borrow().clone();
        graph
            .build(vec![root.clone()], Vec::new(), &state.fetcher, builder.options(is_dynamic, &analyzer, &resolver))
            .await;
        if is_dynamic {
            let mut checked = HashSet::new();
            loop {
                let loaded = |module: &Url| state.loaded.borrow().contains_key(module.as_str());
                let stale = freshness::stale(&graph, &known, &root, loaded, &mut checked);
                if stale.is_empty() {
                    break;
                }
                graph.reload(stale, &state.fetcher, builder.options(is_dynamic, &analyzer, &resolver)).await;
            }
        }
        graph.walk(std::iter::once(&root), WALK).validate().map_err(|error| describe(&error))?;
        if let Some(locked) = &mut builder.locked {
            locked.keep(&graph)?;
        }
        let graph = Rc::new(graph);
        if !is_dynamic {
            state.assets.get_or_init(|| assets(&graph));
        }
        *state.graph.borrow_mut() = graph;
        Ok(())
    }

    /// Reads the import map and the lock file, once.
    async fn set_up(&self, builder: &mut Builder) -> Result<(), JsErrorBox> {
        if let Some(name) = builder.import_map.take() {
            let unusable = |error: &dyn Display| JsErrorBox::type_error(format!("the import map {name}: {error}"));
            let directory = Environment::at_start().absolute("");
            let url = resolve_url_or_path(&name, &directory).map_err(|error| unusable(&error))?;
            let file = self.0.fetcher.fetch_named(&url).await.map_err(|error| unusable(&error))?;
            let text = String::from_utf8_lossy(&file.source);
            let map = import_map::parse_from_json(file.url, &text).map_err(|error| unusable(&error))?;
            let compiler_options = self.0.resolver.borrow().compiler_options.clone();
            *self.0.resolver.borrow_mut() =
                Rc::new(ModuleResolver { import_map: Some(map.import_map), compiler_options });
        }
        if let Some(options) = builder.lock.take() {
            builder.locked = Some(Locked::read(options).await?);
        }
        Ok(())
    }

    /// A module of the graph, as it runs.
    fn load_from_graph(&self, specifier: &Url, requested: &RequestedModuleType) -> Result<ModuleSource, JsErrorBox> {
        let graph = self.0.graph.borrow().clone();
        let module = graph.get(specifier);
        let (module_type, code) = match module {
            Some(Module::Json(json)) => {
                if *requested != RequestedModuleType::Json {
                    return Err(JsErrorBox::type_error(
                        "Attempted to load JSON module without specifying \"type\": \"json\" attribute in the import \
                         statement.",
                    ));
                }
                (ModuleType::Json, ModuleSourceCode::String(json.source.text.clone().into()))
            }
            Some(Module::Js(js)) => (ModuleType::JavaScript, ModuleSourceCode::String(self.transpile(js)?.into())),
            Some(Module::Wasm(wasm)) => {
                (ModuleType::Wasm, ModuleSourceCode::Bytes(wasm.source.to_vec().into_boxed_slice().into()))
            }
            _ => return Err(JsErrorBox::type_error(format!("Module not found \"{specifier}\"."))),
        };
        let found = graph.resolve(specifier);
        Ok(ModuleSource::new_with_redirect(module_type, code, specifier, found, None))
    }

    fn transpile(&self, module: &JsModule) -> Result<Arc<str>, JsErrorBox> {
        let JsModule { specifier, media_type, source, .. } = module;
        let text = source.text.clone();
        let (code, source_map) = if is_needed(*media_type) {
            let options =
                ParseOptions { specifier, source: text.clone(), media_type: *media_type, scope_analysis: false };
            let parsed = CapturingEsParser::new(None, &self.0.parsed)
                .parse_program(options)
                .map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?;
            self.0.parsed.remove_parsed_source(specifier);
            let transpiled = transpile_parsed(parsed, &self.0.resolver.borrow().compiler_options)
                .map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?;
            (transpiled.text.into(), Some(transpiled.source_map))
        } else {
            self.0.parsed.remove_parsed_source(specifier);
            (text.clone(), None)
        };
        self.0.loaded.borrow_mut().insert(specifier.to_string(), Loaded { text, source_map });
        Ok(code)
    }

    /// Whether a module is WebAssembly that is imported as a source only: the graph does not look into it.
    fn is_wasm_source(&self, specifier: &Url) -> bool {
        let graph = self.0.graph.borrow();
        matches!(graph.get(specifier), Some(Module::External(module)) if module.was_asset_load)
            && MediaType::from_specifier(graph.resolve(specifier)) == MediaType::Wasm
    }

    /// A file that is imported as text or bytes. That a module is part of the program lets no script read its text.
    async fn load_asset(self, specifier: Url, module_type: ModuleType) -> Result<ModuleSource, JsErrorBox> {
        let is_named = self.0.assets.get().is_some_and(|assets| assets.contains(&specifier));
        let kind = if is_named { CheckSpecifierKind::Static } else { CheckSpecifierKind::Dynamic };
        let found = self.0.graph.borrow().resolve(&specifier).clone();
        let builder = self.0.builder.lock().await;
        let checksum = |url: &Url| builder.locked.as_ref()?.get_remote_checksum(url);
        let file = self.0.fetcher.fetch_asset(&found, kind, checksum).await?;
        let code = match module_type {
            ModuleType::Text => {
                let text = String::from_utf8_lossy(&file.source);
                ModuleSourceCode::String(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned().into())
            }
            _ => ModuleSourceCode::Bytes(file.source.to_vec().into_boxed_slice().into()),
        };
        Ok(ModuleSource::new_with_redirect(module_type, code, &specifier, &file.url, None))
    }
}

/// What is wrong with a graph, and where in it. To scripts, all of it is a TypeError, as in Deno.
fn describe(error: &ModuleGraphError) -> JsErrorBox {
    JsErrorBox::type_error(error.to_string_with_range())
}

/// What the modules of a graph import as text or bytes with constant specifiers.
fn assets(graph: &ModuleGraph) -> HashSet<Url> {
    let dependencies = graph.modules().flat_map(|module| module.dependencies().values());
    let assets = dependencies.filter(|found| found.imports.iter().any(|import| import.attributes.has_asset()));
    assets.filter_map(|found| found.get_code().cloned()).collect()
}

/// The type of a module that is no code, but a file as it is.
fn asset_type(requested: &RequestedModuleType) -> Option<ModuleType> {
    match requested {
        RequestedModuleType::Text => Some(ModuleType::Text),
        RequestedModuleType::Bytes => Some(ModuleType::Bytes),
        _ => None,
    }
}

impl ModuleLoader for GraphLoader {
    fn resolve(&self, specifier: &str, referrer: &str, kind: ResolutionKind) -> Result<Url, ModuleLoaderError> {
        if kind == ResolutionKind::MainModule {
            return resolve_import(specifier, referrer).map_err(JsErrorBox::from_err);
        }
        // What has no URL, as the input of the REPL, imports like the main module.
        let referrer = Url::parse(referrer).unwrap_or_else(|_| self.0.fetcher.main_module().clone());
        let graph = self.0.graph.borrow();
        match graph.resolve_dependency(specifier, &referrer, false) {
            Some(url) => Ok(url.clone()),
            None => self.0.resolver.borrow().resolve_specifier(specifier, &referrer),
        }
    }

    /// As on Deno, the URL of a module that cannot be loaded is one all the same.
    fn import_meta_resolve(&self, specifier: &str, referrer: &str) -> Result<Url, ModuleLoaderError> {
        let referrer = Url::parse(referrer).unwrap_or_else(|_| self.0.fetcher.main_module().clone());
        self.0.resolver.borrow().resolve_url(specifier, &referrer)
    }

    fn prepare_load(
        &self,
        specifier: &Url,
        _referrer: Option<String>,
        _content: Option<String>,
        options: ModuleLoadOptions,
    ) -> Pin<Box<dyn Future<Output = Result<(), ModuleLoaderError>>>> {
        // The graph is of modules: an asset that the script names while it runs is fetched when it is loaded.
        if options.is_dynamic_import && asset_type(&options.requested_module_type).is_some() {
            return Box::pin(std::future::ready(Ok(())));
        }
        let (loader, specifier) = (self.clone(), specifier.clone());
        Box::pin(async move { loader.extend(specifier, options.is_dynamic_import).await })
    }

    fn load(
        &self,
        specifier: &Url,
        _referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        let requested = &options.requested_module_type;
        let wasm = || {
            (matches!(requested, RequestedModuleType::None) && self.is_wasm_source(specifier))
                .then_some(ModuleType::Wasm)
        };
        let Some(asset) = asset_type(requested).or_else(wasm) else {
            return ModuleLoadResponse::Sync(self.load_from_graph(specifier, requested));
        };
        ModuleLoadResponse::Async(Box::pin(self.clone().load_asset(specifier.clone(), asset)))
    }

    fn get_code_cache(&self, specifier: &Url, _source: &str) -> Option<SourceCodeCacheInfo> {
        code_cache::find(specifier.as_str())
    }

    fn get_source_map(&self, specifier: &str) -> Option<Cow<'_, [u8]>> {
        let loaded = self.0.loaded.borrow();
        Some(Cow::Owned(loaded.get(specifier)?.source_map.clone()?.into_bytes()))
    }

    fn get_source_mapped_source_line(&self, specifier: &str, line: usize) -> Option<String> {
        let loaded = self.0.loaded.borrow();
        loaded.get(specifier)?.text.lines().nth(line).map(Into::into)
    }
}

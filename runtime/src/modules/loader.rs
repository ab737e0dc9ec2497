use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use deno_core::error::ModuleLoaderError;
use deno_core::url::Url;
use deno_core::{
    ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSource, ModuleSourceCode,
    ModuleType, RequestedModuleType, ResolutionKind, resolve_import, resolve_url_or_path,
};
use deno_error::JsErrorBox;
use deno_graph::ast::ParsedSourceStore;
use deno_graph::ast::{CapturingEsParser, DefaultParsedSourceStore, EsParser, ParseOptions, ParserModuleAnalyzer};
use deno_graph::source::Locker;
use deno_graph::{
    BuildOptions, CheckJsOption, GraphKind, JsModule, Module, ModuleGraph, ModuleGraphError, WalkOptions,
};
use openkv_transpile::{MediaType, is_needed, transpile_parsed};
use tokio::sync::Mutex;

use super::fetcher::{Fetcher, FetcherOptions};
use super::lockfile::Locked;
use super::project::{Project, Settings};
use super::resolver::{Jsr, ModuleResolver};
use super::{Lock, ModuleOptions};

/// Loads modules from a graph, which it builds before they run.
#[derive(Clone)]
pub(crate) struct GraphLoader(Rc<State>);

struct State {
    fetcher: Fetcher,
    resolver: RefCell<Rc<ModuleResolver>>,
    graph: RefCell<Rc<ModuleGraph>>,
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
    /// Which lock file has still to be read, and whether it must stay as it is.
    lock: Option<(PathBuf, bool)>,
    locked: Option<Locked>,
    jsr: Jsr,
    cached_only: bool,
}

struct Loaded {
    text: Arc<str>,
    source_map: Option<String>,
}

impl GraphLoader {
    /// A loader whose first work is that of its first module: it reads nothing yet.
    pub fn new(modules: ModuleOptions, project: Option<Project>, options: FetcherOptions) -> Self {
        let fetcher = Fetcher::new(options, &modules);
        let Settings { compiler_options, import_map, lockfile, frozen } =
            project.map(|project| project.settings).unwrap_or_default();
        let lock = match modules.lock {
            Lock::Discovered => lockfile,
            Lock::Path(path) => Some(path.into()),
            Lock::None => None,
        };
        let builder = Builder {
            lock: lock.map(|file| (file, modules.frozen.unwrap_or(frozen))),
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
        let Builder { locked, jsr, cached_only, .. } = &mut *builder;
        if graph.roots.is_empty()
            && let Some(locked) = locked
        {
            locked.fill(&mut graph);
        }
        let options = BuildOptions {
            is_dynamic,
            unstable_bytes_imports: true,
            locker: locked.as_mut().map(|locked| locked as &mut dyn Locker),
            jsr_url_provider: jsr,
            prefer_cached_jsr_versions: *cached_only,
            module_analyzer: &analyzer,
            resolver: Some(&*resolver),
            ..BuildOptions::default()
        };
        // What was missing or wrong before may be there now: scripts write modules, too.
        let failed: Vec<Url> = graph.module_errors().map(|error| error.specifier().clone()).collect();
        match failed.contains(&root) {
            true => graph.reload(failed, &state.fetcher, options).await,
            false => graph.build(vec![root.clone()], Vec::new(), &state.fetcher, options).await,
        }
        let options = WalkOptions {
            check_js: CheckJsOption::True,
            follow_dynamic: false,
            kind: GraphKind::CodeOnly,
            prefer_fast_check_graph: false,
        };
        graph.walk(std::iter::once(&root), options).validate().map_err(|error| describe(&error))?;
        if let Some(locked) = locked {
            locked.keep(&graph)?;
        }
        *state.graph.borrow_mut() = Rc::new(graph);
        Ok(())
    }

    /// Reads the import map and the lock file, once.
    async fn set_up(&self, builder: &mut Builder) -> Result<(), JsErrorBox> {
        if let Some(name) = builder.import_map.take() {
            let unusable = |error: &dyn Display| JsErrorBox::type_error(format!("the import map {name}: {error}"));
            let folder = std::env::current_dir().map_err(|error| unusable(&error))?;
            let url = resolve_url_or_path(&name, &folder).map_err(|error| unusable(&error))?;
            let file = self.0.fetcher.fetch_named(&url).await.map_err(|error| unusable(&error))?;
            let text = String::from_utf8_lossy(&file.source);
            let map = import_map::parse_from_json(file.url, &text).map_err(|error| unusable(&error))?;
            let compiler_options = self.0.resolver.borrow().compiler_options.clone();
            *self.0.resolver.borrow_mut() =
                Rc::new(ModuleResolver { import_map: Some(map.import_map), compiler_options });
        }
        if let Some((path, frozen)) = builder.lock.take() {
            builder.locked = Some(Locked::read(path, frozen).await?);
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

    /// A file that is imported as text or bytes. The graph has checked that it may be read.
    async fn load_asset(self, specifier: Url, module_type: ModuleType) -> Result<ModuleSource, JsErrorBox> {
        let file = self.0.fetcher.fetch_named(&specifier).await?;
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

/// What is wrong with a graph, and where in it. To scripts, all of it is a TypeError, as in the reference.
fn describe(error: &ModuleGraphError) -> JsErrorBox {
    JsErrorBox::type_error(error.to_string_with_range())
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
        let (loader, specifier) = (self.clone(), specifier.clone());
        Box::pin(async move { loader.extend(specifier, options.is_dynamic_import).await })
    }

    fn load(
        &self,
        specifier: &Url,
        _referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        let asset = match &options.requested_module_type {
            RequestedModuleType::Text => ModuleType::Text,
            RequestedModuleType::Bytes => ModuleType::Bytes,
            RequestedModuleType::None if self.is_wasm_source(specifier) => ModuleType::Wasm,
            requested => return ModuleLoadResponse::Sync(self.load_from_graph(specifier, requested)),
        };
        ModuleLoadResponse::Async(Box::pin(self.clone().load_asset(specifier.clone(), asset)))
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

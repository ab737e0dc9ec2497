mod bootstrap;
mod options;
mod worker;

use std::future::poll_fn;
use std::mem::{self, ManuallyDrop};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use deno_core::error::{CoreError, CoreErrorKind, exception_to_err};
use deno_core::stats::{RuntimeActivity, RuntimeActivityStatsFilter};
use deno_core::url::Url;
use deno_core::{JsRuntime, ModuleId, PollEventLoopOptions, RuntimeOptions, serde_v8, v8};
use deno_cron::local::LocalCronHandler;
use deno_error::JsErrorBox;
use deno_features::{FeatureChecker, UNSTABLE_FEATURES};
use deno_fs::FileSystemRc;
use deno_io::Stdio;
use deno_os::{ExitCode, OpExitCallbacks, WatcherExitHandle, WatcherExited};
use deno_resolver::npm::{DenoInNpmPackageChecker, NpmResolver};
use openkv_js::transpile::Decorators;
use sys_traits::impls::RealSys;

use crate::environment::Environment;
use crate::extensions::interrupt::Interrupter;
use crate::extensions::node::UnstableFlags;
use crate::extensions::storage::Storages;
use crate::extensions::worker::{Workers, attach};
use crate::extensions::{self, extensions};
use crate::heap;
use crate::inspector::{self, InspectStart};
use crate::modules::GraphLoader;
use crate::node::Fork;
use crate::snapshot;
use bootstrap::{Bootstrap, Hooks, property};
pub use options::{Options, ServeAddress};
use worker::{Identity, Process};

/// The release of Deno in `Deno.version`, whose API the runtime has.
pub const DENO_VERSION: &str = "2.9.8";
/// The release of TypeScript in `Deno.version`.
pub const TYPESCRIPT_VERSION: &str = "6.0.3";
/// The release of V8 that runs scripts.
pub const V8_VERSION: &str = v8::VERSION_STRING;

/// The time that a runtime waits for the threads of its workers, which may be blocked by the system.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that a runtime waits to close databases that another process has locked.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the `User-Agent` header of requests.
pub(crate) fn user_agent() -> String {
    format!("Deno/{DENO_VERSION}")
}

/// Closes all databases before the process exits immediately, as by `Deno.exit`.
pub(crate) fn close_databases() {
    openkv_engine::sqlite::close_all(CLOSING_TIMEOUT);
}

/// An isolate with a script.
pub struct Runtime {
    js: JsRuntime,
    interrupter: Interrupter,
    main_module: Url,
    serve: Option<ServeAddress>,
    exit_code: ExitCode,
    /// When the main module starts if it can be debugged.
    inspect_start: InspectStart,
    is_inspected: bool,
    loader: GraphLoader,
    hooks: Hooks,
}

impl Runtime {
    /// Creates an isolate, ready to run its main module. Must be called within a tokio runtime, on the thread that will run
    /// the script.
    ///
    /// # Errors
    /// The snapshot cannot be restored.
    pub fn new(options: Options) -> Result<Self, CoreError> {
        Self::create(options, Process::default(), None)
    }

    /// Creates the isolate of a main thread, or of a worker.
    fn create(options: Options, process: Process, worker: Option<Identity>) -> Result<Self, CoreError> {
        let spawner = worker::spawner(&options, &process);
        let user_agent = user_agent();
        let is_main = worker.is_none();
        let parent_permissions = worker.as_ref().map(|worker| worker.parent_permissions.clone());
        let limits = worker.as_ref().and_then(|worker| worker.limits.as_ref()).map(heap::limited);
        let (create_params, limits) = match limits {
            Some((params, limits)) => (Some(params), Some(limits)),
            None => (heap::create_params(), None),
        };
        let loader = GraphLoader::new(options.loader_options(process.blobs.clone(), parent_permissions))?;
        let node_services = loader.node_services()?;
        let mut js = JsRuntime::try_new(RuntimeOptions {
            module_loader: Some(Rc::new(loader.clone())),
            eval_context_code_cache_cbs: Some(loader.cjs_code_cache()),
            create_params,
            extensions: extensions(),
            startup_snapshot: Some(snapshot::SNAPSHOT),
            residual_lazy_js_sources: snapshot::SCRIPTS,
            residual_lazy_esm_sources: snapshot::MODULES,
            // Required by structuredClone for transfers.
            shared_array_buffer_store: Some(process.array_buffers),
            compiled_wasm_module_store: Some(process.wasm_modules),
            // The ops are in the snapshot. Their fast variants are created when the first lazy script is loaded.
            skip_op_registration: true,
            is_main,
            wait_for_inspector_disconnect_callback: is_main.then(inspector::notify_of_waiting),
            ..RuntimeOptions::default()
        })?;

        let exit_code = ExitCode::default();
        let testing = is_main && options.output.is_some();
        let stdio = match options.output {
            Some(output) => output.stdio().map_err(JsErrorBox::from_err)?,
            None => Stdio::default(),
        };
        let location = if is_main { options.location } else { Some(options.main_module.clone()) };
        let fetch = deno_fetch::Options {
            user_agent: user_agent.clone(),
            root_cert_store_provider: Some(options.certificates.store()),
            unsafely_ignore_certificate_errors: options.certificates.unchecked_hosts(),
            file_fetch_handler: Rc::new(deno_fetch::FsFetchHandler),
            ..Default::default()
        };
        let fs: FileSystemRc = deno_maybe_sync::new_rc(deno_fs::RealFs);
        js.lazy_init_extensions(vec![
            deno_telemetry::deno_telemetry::args(),
            deno_webidl::deno_webidl::args(),
            // As in Deno, the main thread alone parses transforms of CSS.
            deno_web::deno_web::args(process.blobs, location.clone(), is_main, process.broadcast),
            deno_fetch::deno_fetch::args(fetch),
            deno_websocket::deno_websocket::args(),
            deno_crypto::deno_crypto::args(options.seed),
            deno_cron::deno_cron::args(Box::new(LocalCronHandler::new())),
            deno_net::deno_net::args(Some(options.certificates.store()), options.certificates.unchecked_hosts()),
            deno_tls::deno_tls::args(),
            deno_http::deno_http::args(deno_http::Options {
                no_legacy_abort: options.unstable.no_legacy_abort,
                ..Default::default()
            }),
            deno_io::deno_io::args(Some(stdio)),
            deno_fs::deno_fs::args(fs.clone()),
            deno_os::deno_os::args(Some(exit_code.clone())),
            deno_process::deno_process::args(None),
            deno_node_crypto::deno_node_crypto::args(),
            deno_node::deno_node::args::<DenoInNpmPackageChecker, NpmResolver<RealSys>, RealSys>(
                Some(node_services),
                fs,
            ),
            extensions::node::openkv_node::args(UnstableFlags(options.unstable.flags())),
            openkv_ext::openkv::args(options.kv),
            extensions::worker::openkv_worker::args(),
            extensions::openkv_runtime::args(Environment::at_start().proxies.clone(), Storages::from(options.storage)),
        ])?;
        js.op_state().borrow_mut().put(options.permissions);
        let mut at_exit = OpExitCallbacks::default();
        let exiting = process.exiting;
        at_exit.push(Box::new(move || {
            exiting.store(true, Ordering::Relaxed);
            close_databases();
        }));
        js.op_state().borrow_mut().put(at_exit);
        js.op_state().borrow_mut().put(every_feature());
        // Used by `node:inspector`.
        js.maybe_init_inspector();
        let inspector = js.inspector();
        if is_main {
            process.inspector.set(inspector.get_session_sender());
        } else {
            inspector::register_worker(&mut js, &options.main_module, &process.inspector);
        }
        js.op_state().borrow_mut().put(inspector);
        let inspect = options.inspect.filter(|_| is_main);
        if let Some(inspect) = inspect {
            inspect.register(&mut js, &options.main_module)?;
        }
        js.op_state().borrow_mut().put(options.main_module.clone());
        let environment = Environment::at_start();
        let fork = if is_main { environment.fork.lock().take() } else { None };
        let cluster = fork.map(|Fork { channel, cluster }| {
            js.op_state().borrow_mut().put(channel);
            cluster
        });
        js.op_state().borrow_mut().put(spawner);
        js.op_state().borrow_mut().put(process.threads);
        if let Some(limits) = limits {
            js.op_state().borrow_mut().put(limits);
        }
        let interrupter = Interrupter::new(&mut js);
        if let Some(watched) = options.watched.filter(|_| is_main) {
            let isolate = js.v8_isolate().thread_safe_handle();
            js.op_state().borrow_mut().put(WatcherExitHandle(isolate));
            watched.attach(interrupter.clone());
        }

        let worker = worker.map(|Identity { id, name, scope, metadata, .. }| {
            let state = js.op_state();
            let mut state = state.borrow_mut();
            state.put(scope);
            bootstrap::Worker { id, name, metadata: metadata.map(|metadata| attach(&mut state, metadata)) }
        });
        let bootstrap = Bootstrap {
            args: options.args,
            cluster,
            location: location.map(Into::into),
            quiet: options.quiet,
            testing,
            unsafe_proto: options.unstable.unsafe_proto,
            uses_node_modules: loader.uses_node_modules()?,
            worker,
            ..Bootstrap::of_process(&options.main_module, user_agent)
        };
        let hooks = bootstrap.start(&mut js)?;
        let inspect_start = inspect.map_or(InspectStart::Immediately, |inspect| inspect.start);
        let (main_module, serve) = (options.main_module, options.serve);
        Ok(Self {
            js,
            interrupter,
            main_module,
            serve,
            exit_code,
            inspect_start,
            is_inspected: inspect.is_some(),
            loader,
            hooks,
        })
    }

    /// Runs the main module until the event loop is empty. Returns the exit code.
    ///
    /// # Errors
    /// The module could not be loaded, or the script has thrown an uncaught exception.
    pub async fn run(&mut self) -> Result<i32, CoreError> {
        let state = self.js.op_state();
        let exit_code = self.exit_code.clone();
        let mut run = pin!(self.run_to_end());
        // While files are watched, `Deno.exit` terminates the execution, which some callbacks do not report.
        poll_fn(|context| {
            let polled = run.as_mut().poll(context);
            if state.borrow().has::<WatcherExited>() { Poll::Ready(Ok(exit_code.get())) } else { polled }
        })
        .await
    }

    async fn run_to_end(&mut self) -> Result<i32, CoreError> {
        let module = self.js.load_main_es_module(&self.main_module).await?;
        self.evaluate(module).await?;
        if let Some(address) = self.serve.take() {
            self.start_server(module, &address)?;
        }
        loop {
            self.js.run_event_loop(PollEventLoopOptions { wait_for_inspector: true }).await?;
            if self.dispatch(|hooks| &hooks.dispatch_before_unload)?
                && !self.dispatch(|hooks| &hooks.dispatch_before_exit)?
            {
                break;
            }
        }
        self.end()
    }

    /// Dispatches `unload` to a script that is stopped before its end. Its errors are ignored, as it is to be replaced.
    pub fn stop(&mut self) {
        self.interrupter.cancel();
        let _ = self.dispatch(|hooks| &hooks.dispatch_unload);
    }

    /// Drops the runtime before the process exits. If the script has left no pending operation and nothing open but the standard
    /// streams, the memory of the isolate is left to the system, which takes less time.
    pub fn end_with_process(self) {
        let mut runtime = ManuallyDrop::new(self);
        let activities = runtime.js.runtime_activity_stats_factory().capture(&RuntimeActivityStatsFilter::all()).dump();
        let is_standard = |activity: &RuntimeActivity| matches!(activity, RuntimeActivity::Resource(0..=2, ..));
        if runtime.is_inspected || !activities.active.iter().all(is_standard) {
            drop(ManuallyDrop::into_inner(runtime));
            return;
        }
        runtime.close();
        let state = runtime.js.op_state();
        // Closes the files of storages.
        let state = mem::take(&mut **state.borrow_mut());
        drop(state);
    }

    /// Loads the main module and its imports without running them.
    ///
    /// # Errors
    /// One of the modules could not be loaded.
    pub async fn load(&mut self) -> Result<(), CoreError> {
        self.js.load_side_es_module(&self.main_module).await?;
        Ok(())
    }

    /// Evaluates a module, without waiting for the work that it has started.
    pub(crate) async fn evaluate(&mut self, module: ModuleId) -> Result<(), CoreError> {
        self.inspect_start.wait(&mut self.js);
        let mut evaluated = Box::pin(self.js.mod_evaluate(module));
        tokio::select! {
            // The result of the module first: it may be ready already.
            biased;
            result = &mut evaluated => result?,
            result = self.js.run_event_loop(PollEventLoopOptions::default()) => {
                result?;
                evaluated.await?;
            }
        }
        self.dispatch(|hooks| &hooks.dispatch_load)?;
        Ok(())
    }

    /// Unloads a module, even if work is still pending. Returns the exit code.
    pub(crate) fn unload(&mut self) -> Result<i32, CoreError> {
        self.dispatch(|hooks| &hooks.dispatch_before_unload)?;
        self.end()
    }

    /// Dispatches `unload`. Returns the exit code.
    pub(crate) fn end(&mut self) -> Result<i32, CoreError> {
        self.dispatch(|hooks| &hooks.dispatch_unload)?;
        self.dispatch(|hooks| &hooks.dispatch_exit)?;
        Ok(self.exit_code.get())
    }

    /// Loads the main module, and prepares the global scope for the REPL. See `js/runtime/repl.ts`.
    pub(crate) async fn start_repl(&mut self) -> Result<(), CoreError> {
        self.js.load_main_es_module(&self.main_module).await?;
        self.dispatch(|hooks| &hooks.start_repl).map(drop)
    }

    pub(crate) fn main_module(&self) -> &Url {
        &self.main_module
    }

    /// Returns how decorators are transpiled in the main module.
    pub(crate) fn decorators(&self) -> Result<Decorators, CoreError> {
        Ok(self.loader.decorators(&self.main_module)?)
    }

    /// Returns a function of the test runner. See `js/runtime/testing/mod.ts`.
    pub(crate) fn test_function(&mut self, name: &'static str) -> v8::Global<v8::Function> {
        deno_core::scope!(scope, &mut self.js);
        let testing = v8::Local::new(scope, &self.hooks.testing);
        let function = property::<v8::Function>(scope, testing, name);
        v8::Global::new(scope, function)
    }

    pub(crate) fn js(&mut self) -> &mut JsRuntime {
        &mut self.js
    }

    pub(crate) fn interrupter(&self) -> &Interrupter {
        &self.interrupter
    }

    /// Serves the default export of a module.
    fn start_server(&mut self, module: ModuleId, address: &ServeAddress) -> Result<(), CoreError> {
        let exports = self.js.get_module_namespace(module)?;
        let args = {
            deno_core::scope!(scope, &mut self.js);
            let exports = v8::Local::new(scope, exports);
            let host = serde_v8::to_v8(scope, &address.host).expect("a host is a string");
            let port = v8::Integer::new_from_unsigned(scope, address.port.into());
            [exports.into(), host, port.into()].map(|value: v8::Local<v8::Value>| v8::Global::new(scope, value))
        };
        self.call(|hooks| &hooks.start_server, &args).map(drop)
    }

    /// Calls a hook without arguments. Returns whether it returned true.
    fn dispatch(&mut self, hook: fn(&Hooks) -> &v8::Global<v8::Function>) -> Result<bool, CoreError> {
        self.call(hook, &[])
    }

    /// Calls a hook. Returns whether it returned true.
    fn call(
        &mut self,
        hook: fn(&Hooks) -> &v8::Global<v8::Function>,
        args: &[v8::Global<v8::Value>],
    ) -> Result<bool, CoreError> {
        deno_core::scope!(scope, &mut self.js);
        v8::tc_scope!(scope, scope);
        let function = v8::Local::new(scope, hook(&self.hooks));
        let receiver = v8::undefined(scope).into();
        let args: Vec<_> = args.iter().map(|arg| v8::Local::new(scope, arg)).collect();
        let returned = function.call(scope, receiver, &args);
        match (returned, scope.exception()) {
            (Some(returned), None) => Ok(returned.is_true()),
            // An uncaught error of an event listener terminates the execution, and is recorded.
            (_, Some(exception)) => Err(exception_to_err(scope, exception, false, true).into()),
            (None, None) => Err(CoreErrorKind::ExecutionTerminated.into_box()),
        }
    }

    fn close(&mut self) {
        Interrupter::detach(&mut self.js);
        let workers: Option<Workers> = self.js.op_state().borrow_mut().try_take();
        if let Some(workers) = workers {
            workers.end(WORKERS_TIMEOUT);
        }
        openkv_ext::close_databases(&mut self.js.op_state().borrow_mut());
        openkv_engine::sqlite::wait_closed(CLOSING_TIMEOUT);
    }
}

/// Terminates the workers of the script and closes its databases, however it terminated.
impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
    }
}

/// Enables all features that need a flag on Deno.
fn every_feature() -> Arc<FeatureChecker> {
    let mut features = FeatureChecker::default();
    for feature in UNSTABLE_FEATURES {
        features.enable_feature(feature.name);
    }
    Arc::new(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// deno_runtime has ops of its own with similar functions, whose names must not clash.
    #[test]
    fn own_ops_have_the_prefix_of_this_runtime() {
        let own = extensions::openkv_runtime::init(extensions::env::Proxies(Vec::new()), Storages::from(None)).ops;
        let other: Vec<_> = own.iter().map(|op| op.name).filter(|op| !op.starts_with("op_openkv_")).collect();
        // Called by Deno's crates under this name.
        assert_eq!(other, ["op_http_start", "op_set_raw"]);
    }
}

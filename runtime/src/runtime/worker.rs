//! Workers, of the web and of Node.js: each has its own runtime, on its own thread.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;

use deno_core::error::CoreError;
use deno_core::{CompiledWasmModuleStore, ModuleId, PollEventLoopOptions, SharedArrayBufferStore, v8};
use deno_inspector_server::MainInspectorSessionChannel;
use deno_permissions::PermissionsContainer;
use deno_web::{BlobStore, BlobStoreTrait, InMemoryBroadcastChannel};
use openkv_js::transpile::MediaType;

use super::{Options, Runtime};
use crate::extensions::worker::{
    End, Link, Message, NewWorker, NodeOptions, ResourceLimits, Spawner, Threads, WorkerScope,
};
use crate::heap::HeapGuard;
use crate::report::report;

/// The stack size of a worker's thread: that of a main thread. V8 uses a part of it.
const STACK_SIZE: usize = 8 << 20;
/// The largest stack size that `resourceLimits` of `node:worker_threads` can set.
const MAX_STACK_SIZE: usize = 1 << 30;

/// The state shared by the isolates of a script and its workers.
#[derive(Clone)]
pub(super) struct Process {
    pub blobs: Arc<dyn BlobStoreTrait>,
    pub broadcast: InMemoryBroadcastChannel,
    pub array_buffers: SharedArrayBufferStore,
    pub wasm_modules: CompiledWasmModuleStore,
    pub threads: Threads,
    /// The sender of debugger sessions to the main isolate.
    pub inspector: MainInspectorSessionChannel,
    /// Whether the process is exiting: its databases are closed, and workers do not report the resulting errors.
    pub exiting: Arc<AtomicBool>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            blobs: BlobStore::default_arc(),
            broadcast: InMemoryBroadcastChannel::default(),
            array_buffers: SharedArrayBufferStore::default(),
            wasm_modules: CompiledWasmModuleStore::default(),
            threads: Threads::default(),
            inspector: MainInspectorSessionChannel::default(),
            exiting: Arc::default(),
        }
    }
}

/// The properties of a runtime that runs a worker.
pub(super) struct Identity {
    pub id: u32,
    pub name: String,
    pub parent_permissions: PermissionsContainer,
    pub scope: WorkerScope,
    /// Set for a worker of `node:worker_threads`.
    pub metadata: Option<Message>,
    pub limits: Option<ResourceLimits>,
}

/// The code that a worker runs.
enum Program {
    /// The main module of a web worker, which then waits for messages.
    Web,
    /// The main module of a worker of `node:worker_threads`, which ends when its event loop is empty.
    Node,
    /// The script of such a worker.
    Script(String),
}

/// Returns a function that starts workers for an isolate with these options.
pub(super) fn spawner(options: &Options, process: &Process) -> Spawner {
    let options = Arc::new(Options { main_text: None, main_media_type: None, ..options.clone() });
    let process = process.clone();
    Spawner(Box::new(move |worker| spawn(worker, Options::clone(&options), process.clone())))
}

fn spawn(worker: NewWorker, options: Options, process: Process) -> io::Result<()> {
    let limits = worker.node.as_ref().and_then(|node| node.limits);
    let stack_size = limits.and_then(|limits| limits.stack_size_mb).filter(|size| *size > 0);
    let stack_size =
        stack_size.map_or(STACK_SIZE, |size| size.saturating_mul(1 << 20).clamp(STACK_SIZE, MAX_STACK_SIZE));
    let thread = thread::Builder::new().name("openkv-worker".into()).stack_size(stack_size);
    thread.spawn(move || run(worker, options, process)).map(drop)
}

/// Runs a worker to its end, and notifies its parent.
fn run(worker: NewWorker, options: Options, process: Process) {
    let NewWorker { id, name, main_module, permissions, parent_permissions, link, port, end, running, .. } = worker;
    let exiting = process.exiting.clone();
    // Dropped last.
    let _running: mpsc::Sender<Infallible> = running;
    let scope = WorkerScope { link: link.clone(), port: Rc::new(port) };
    let mut identity = Identity { id, name: name.clone(), parent_permissions, scope, metadata: None, limits: None };
    let mut program = Program::Web;
    if let Some(NodeOptions { script, metadata, limits }) = worker.node {
        identity.metadata = Some(metadata);
        identity.limits = limits;
        program = script.map_or(Program::Node, Program::Script);
    }
    let is_node = identity.metadata.is_some();
    let guard = identity.limits.map(|_| HeapGuard::new(link.clone()));
    let mut exit_code = None;
    let result = block_on(async {
        let mut options = Options { main_module: main_module.clone(), permissions, ..options };
        if let Some(blob) = worker.main_blob {
            options.main_media_type = Some(MediaType::from_content_type(&options.main_module, &blob.media_type));
            options.main_text = Some(String::from_utf8_lossy(&blob.read_all().await).into_owned());
        }
        let mut runtime = Runtime::create(options, process, Some(identity))?;
        link.attach(runtime.interrupter.clone());
        if let Some(guard) = &guard {
            guard.watch(runtime.js.v8_isolate());
        }
        let result = runtime.run_worker(&link, program).await;
        if result.is_err() && is_node {
            exit_code = Some(runtime.end_failed_worker());
        }
        link.detach();
        // The runtime is dropped here, which releases the worker's resources.
        result
    });
    // The parent may be gone.
    let _ = end.send(match result {
        _ if guard.is_some_and(|guard| guard.is_reached()) => End::out_of_memory(),
        Ok(exit_code) => End::Closed(exit_code),
        Err(error) => {
            if !exiting.load(Ordering::Relaxed) {
                report_uncaught(&error, &name);
            }
            if is_node { End::of_node(&error, &main_module, exit_code.unwrap_or(1)) } else { End::from(&error) }
        }
    });
}

/// Prints the error that has ended a worker.
fn report_uncaught(error: &CoreError, name: &str) {
    let text = report(error);
    let label = deno_terminal::colors::red_bold("error");
    let text = text.trim_start_matches("Uncaught ");
    // stderr may be closed.
    let _ = writeln!(io::stderr(), "{label}: Uncaught (in worker \"{name}\") {text}");
}

/// Runs a future to completion on this thread.
fn block_on<T>(future: impl Future<Output = Result<T, CoreError>>) -> Result<T, CoreError> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = tokio.block_on(future);
    // Blocking tasks that are still running must not keep the thread alive.
    tokio.shutdown_background();
    result
}

impl Runtime {
    /// Runs a worker until it is closed or terminated. Returns the exit code.
    async fn run_worker(&mut self, link: &Link, program: Program) -> Result<i32, CoreError> {
        let result = {
            let mut terminated = pin!(link.terminated());
            let mut running = pin!(self.run_program(program));
            tokio::select! {
                // Termination takes precedence over running the worker further.
                biased;
                () = &mut terminated => Ok(()),
                result = &mut running => result,
            }
        };
        // After termination, the error may be a consequence of it.
        if !link.is_terminated() {
            result?;
        }
        Ok(self.exit_code.get())
    }

    async fn run_program(&mut self, program: Program) -> Result<(), CoreError> {
        // For a script, this is an empty module. It prepares the loader for dynamic imports.
        let module = self.js.load_main_es_module(&self.main_module).await?;
        match program {
            Program::Web => {
                self.dispatch(|hooks| &hooks.receive_from_parent)?;
                self.run_main_module(module).await?;
                // Messages may arrive until the parent is gone.
                return self.js.run_event_loop(PollEventLoopOptions::default()).await;
            }
            Program::Node => {
                self.dispatch(|hooks| &hooks.receive_from_parent)?;
                self.run_main_module(module).await?;
            }
            Program::Script(script) => {
                self.js.execute_script("[worker eval]", script)?;
                self.dispatch(|hooks| &hooks.receive_from_parent)?;
            }
        }
        self.run_until_idle().await?;
        self.dispatch(|hooks| &hooks.dispatch_exit).map(drop)
    }

    async fn run_main_module(&mut self, module: ModuleId) -> Result<(), CoreError> {
        let mut evaluated = pin!(self.js.mod_evaluate(module));
        tokio::select! {
            biased;
            result = &mut evaluated => result,
            result = self.js.run_event_loop(PollEventLoopOptions::default()) => {
                result?;
                evaluated.await
            }
        }
    }

    /// Runs the event loop until it is empty and no listener waits for messages.
    async fn run_until_idle(&mut self) -> Result<(), CoreError> {
        poll_fn(|context| match self.js.poll_event_loop(context, PollEventLoopOptions::default()) {
            Poll::Ready(Ok(())) => match self.dispatch(|hooks| &hooks.awaits_messages) {
                // The next message wakes the event loop.
                Ok(true) => Poll::Pending,
                ended => Poll::Ready(ended.map(drop)),
            },
            polled => polled,
        })
        .await
    }

    /// Emits `exit` on the process of a worker that has failed. Returns the exit code, which listeners may have changed.
    fn end_failed_worker(&mut self) -> i32 {
        let failed = {
            deno_core::scope!(scope, &mut self.js);
            let failed: v8::Local<v8::Value> = v8::Boolean::new(scope, true).into();
            v8::Global::new(scope, failed)
        };
        // An error of a listener does not replace that of the worker.
        let _ = self.call(|hooks| &hooks.dispatch_exit, &[failed]);
        self.exit_code.get()
    }
}

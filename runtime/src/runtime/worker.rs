//! Workers: each has its own runtime, on its own thread.

use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use deno_core::error::CoreError;
use deno_core::{CompiledWasmModuleStore, PollEventLoopOptions, SharedArrayBufferStore};
use deno_inspector_server::MainInspectorSessionChannel;
use deno_permissions::PermissionsContainer;
use deno_web::{BlobStore, BlobStoreTrait, InMemoryBroadcastChannel};
use openkv_js::transpile::MediaType;

use super::{Options, Runtime};
use crate::extensions::worker::{End, Link, NewWorker, Spawner, WorkerScope};
use crate::report::report;

/// The stack size of a worker's thread: that of a main thread. V8 uses a part of it.
const STACK_SIZE: usize = 8 << 20;

/// The state shared by the isolates of a script and its workers.
#[derive(Clone)]
pub(super) struct Process {
    pub blobs: Arc<dyn BlobStoreTrait>,
    pub broadcast: InMemoryBroadcastChannel,
    pub array_buffers: SharedArrayBufferStore,
    pub wasm_modules: CompiledWasmModuleStore,
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
            inspector: MainInspectorSessionChannel::default(),
            exiting: Arc::default(),
        }
    }
}

/// The properties of a runtime that runs a worker.
pub(super) struct Identity {
    pub name: String,
    pub parent_permissions: PermissionsContainer,
}

/// Returns a function that starts workers for an isolate with these options.
pub(super) fn spawner(options: &Options, process: &Process) -> Spawner {
    let options = Arc::new(Options { main_text: None, main_media_type: None, ..options.clone() });
    let process = process.clone();
    Spawner(Box::new(move |worker| spawn(worker, Options::clone(&options), process.clone())))
}

fn spawn(worker: NewWorker, options: Options, process: Process) -> io::Result<()> {
    let thread = thread::Builder::new().name("openkv-worker".into()).stack_size(STACK_SIZE);
    thread.spawn(move || run(worker, options, process)).map(drop)
}

/// Runs a worker to its end, and notifies its parent.
fn run(worker: NewWorker, options: Options, process: Process) {
    let NewWorker { name, main_module, main_blob, permissions, parent_permissions, link, port, end, running } = worker;
    let exiting = process.exiting.clone();
    // Dropped last.
    let _running: mpsc::Sender<Infallible> = running;
    let result = block_on(async {
        let mut options = Options { main_module, permissions, ..options };
        if let Some(blob) = main_blob {
            options.main_media_type = Some(MediaType::from_content_type(&options.main_module, &blob.media_type));
            options.main_text = Some(String::from_utf8_lossy(&blob.read_all().await).into_owned());
        }
        let identity = Identity { name: name.clone(), parent_permissions };
        let mut runtime = Runtime::create(options, process, Some(identity))?;
        let scope = WorkerScope { link: link.clone(), port: Rc::new(port) };
        runtime.js.op_state().borrow_mut().put(scope);
        link.attach(&mut runtime.js);
        let result = runtime.run_worker(&link).await;
        link.detach(&mut runtime.js);
        // The runtime is dropped here, which releases the worker's resources.
        result
    });
    // The parent may be gone.
    let _ = end.send(match result {
        Ok(exit_code) => End::Closed(exit_code),
        Err(error) if exiting.load(Ordering::Relaxed) => End::from(&error),
        Err(error) => {
            let text = report(&error);
            let label = deno_terminal::colors::red_bold("error");
            let text = text.trim_start_matches("Uncaught ");
            // stderr may be closed.
            let _ = writeln!(io::stderr(), "{label}: Uncaught (in worker \"{name}\") {text}");
            End::from(&error)
        }
    });
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
    /// Runs the main module of a worker until it is closed or terminated. Returns the exit code.
    async fn run_worker(&mut self, link: &Link) -> Result<i32, CoreError> {
        let result = {
            let mut terminated = pin!(link.terminated());
            let mut running = pin!(self.run_until_closed());
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

    async fn run_until_closed(&mut self) -> Result<(), CoreError> {
        let module = self.js.load_main_es_module(&self.main_module).await?;
        self.dispatch(|hooks| &hooks.receive_from_parent)?;
        let mut evaluated = pin!(self.js.mod_evaluate(module));
        tokio::select! {
            biased;
            result = &mut evaluated => result?,
            result = self.js.run_event_loop(PollEventLoopOptions::default()) => {
                result?;
                return evaluated.await;
            }
        }
        // Messages may arrive until the parent is gone.
        self.js.run_event_loop(PollEventLoopOptions::default()).await
    }
}

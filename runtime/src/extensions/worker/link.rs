use std::convert::Infallible;
use std::ffi::c_void;
use std::pin::pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deno_core::futures::future::{Either, select};
use deno_core::{JsRuntime, v8};
use deno_error::JsErrorBox;
use tokio::sync::watch;

use super::thread;

/// The interval after which a terminated worker is interrupted again. It doubles each time, up to `MAX_INTERVAL`.
pub(super) const INTERVAL: Duration = Duration::from_millis(1);
const MAX_INTERVAL: Duration = Duration::from_millis(100);

/// The script and functions of deno_core that load extensions on first use.
const LOADING_SCRIPT: &str = "ext:core/01_core.js";
const LOADING_FUNCTIONS: [&str; 2] = ["loadExtScript", "lazyLoad"];
/// The number of stack frames searched for these functions. Extensions do not nest as deeply.
const STACK_FRAMES: usize = 64;

/// Lets a parent terminate the thread of its worker.
pub(crate) struct Link {
    terminated: watch::Sender<bool>,
    /// The isolate of the worker, once it exists.
    isolate: Mutex<Option<v8::IsolateHandle>>,
    /// The system's id of the worker's thread, once it runs.
    thread: AtomicI32,
}

/// The context of a worker, in a slot of its isolate.
struct MainContext(v8::Global<v8::Context>);

impl Link {
    pub fn new() -> Self {
        Self { terminated: watch::Sender::new(false), isolate: Mutex::default(), thread: AtomicI32::new(0) }
    }

    /// Sets the runtime whose JavaScript `terminate` interrupts.
    pub fn attach(&self, js: &mut JsRuntime) {
        let context = js.main_context();
        let isolate = js.v8_isolate();
        isolate.set_slot(MainContext(context));
        *self.isolate() = Some(isolate.thread_safe_handle());
        self.thread.store(thread::id(), Ordering::Relaxed);
    }

    /// Releases the runtime. Must be called before its isolate is dropped: otherwise each would keep the other alive.
    pub fn detach(&self, js: &mut JsRuntime) {
        *self.isolate() = None;
        self.thread.store(0, Ordering::Relaxed);
        js.v8_isolate().remove_slot::<MainContext>();
    }

    /// Makes the worker end when it next returns to its event loop. Interrupts its JavaScript, unless an extension is being
    /// loaded: then the caller must try again.
    pub fn terminate(&self) {
        self.terminated.send_replace(true);
        if let Some(isolate) = &*self.isolate() {
            isolate.request_interrupt(stop, std::ptr::null_mut());
        }
    }

    /// Ends the worker like `terminate`, but from its own JavaScript, which does not continue after the call.
    pub fn close(&self) {
        self.terminated.send_replace(true);
        if let Some(isolate) = &*self.isolate() {
            isolate.terminate_execution();
        }
    }

    pub fn is_terminated(&self) -> bool {
        *self.terminated.borrow()
    }

    /// Waits until the worker is terminated.
    pub async fn terminated(&self) {
        // The sender outlives this call.
        let _ = self.terminated.subscribe().wait_for(|terminated| *terminated).await;
    }

    /// Waits for the end of the worker. Once it is terminated, interrupts it until it ends.
    pub async fn interrupt_until<T>(&self, end: impl Future<Output = T>) -> T {
        match select(pin!(end), pin!(self.interrupt())).await {
            Either::Left((end, _)) => end,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn interrupt(&self) -> Infallible {
        self.terminated().await;
        let mut interval = INTERVAL;
        loop {
            tokio::time::sleep(interval).await;
            self.terminate();
            interval = MAX_INTERVAL.min(2 * interval);
        }
    }

    /// Returns the user and system CPU time of the worker's thread, in microseconds: 0 unless it is running.
    pub fn cpu_usage(&self) -> Result<[f64; 2], JsErrorBox> {
        match self.thread.load(Ordering::Relaxed) {
            0 => Ok([0.0; 2]),
            id => thread::cpu_usage(id),
        }
    }

    fn isolate(&self) -> MutexGuard<'_, Option<v8::IsolateHandle>> {
        // The handle remains valid if a thread panics while it holds the lock.
        self.isolate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Terminates the JavaScript that V8 has interrupted, unless deno_core is loading a script or module of an extension: it
/// expects that to succeed.
unsafe extern "C" fn stop(isolate: v8::UnsafeRawIsolatePtr, _: *mut c_void) {
    // SAFETY: V8 passes the isolate that it has interrupted, on the thread that runs it.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    let Some(context) = isolate.get_slot::<MainContext>().map(|context| context.0.clone()) else { return };
    let is_loading = {
        v8::scope_with_context!(scope, &mut isolate, &context);
        is_loading(scope)
    };
    if !is_loading {
        isolate.terminate_execution();
    }
}

/// Returns whether one of the functions of deno_core that load extensions is on the stack.
fn is_loading(scope: &mut v8::PinScope<'_, '_>) -> bool {
    let Some(stack) = v8::StackTrace::current_stack_trace(scope, STACK_FRAMES) else { return false };
    (0..stack.get_frame_count()).filter_map(|i| stack.get_frame(scope, i)).any(|frame| {
        let function = frame.get_function_name(scope).map(|name| name.to_rust_string_lossy(scope));
        let script = frame.get_script_name(scope).map(|name| name.to_rust_string_lossy(scope));
        script.as_deref() == Some(LOADING_SCRIPT)
            && function.is_some_and(|function| LOADING_FUNCTIONS.contains(&function.as_str()))
    })
}

//! Interrupts of running JavaScript from other threads.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deno_core::{JsRuntime, v8};

/// The interval after which callers interrupt again. It doubles each time, up to `MAX_INTERVAL`.
pub(crate) const INTERVAL: Duration = Duration::from_millis(1);
pub(crate) const MAX_INTERVAL: Duration = Duration::from_millis(100);

/// The script and functions of deno_core that load extensions on first use.
const LOADING_SCRIPT: &str = "ext:core/01_core.js";
const LOADING_FUNCTIONS: [&str; 2] = ["loadExtScript", "lazyLoad"];
/// The number of stack frames searched for these functions. Extensions do not nest as deeply.
const STACK_FRAMES: usize = 64;

/// Interrupts the JavaScript of a runtime from any thread.
#[derive(Clone)]
pub(crate) struct Interrupter {
    isolate: v8::IsolateHandle,
    is_wanted: Arc<AtomicBool>,
}

/// What an interrupt needs, in a slot of the isolate.
struct Interruptible {
    context: v8::Global<v8::Context>,
    is_wanted: Arc<AtomicBool>,
}

impl Interrupter {
    /// Prepares a runtime for interrupts.
    pub fn new(js: &mut JsRuntime) -> Self {
        let context = js.main_context();
        let isolate = js.v8_isolate();
        let is_wanted = Arc::new(AtomicBool::new(false));
        isolate.set_slot(Interruptible { context, is_wanted: is_wanted.clone() });
        Self { isolate: isolate.thread_safe_handle(), is_wanted }
    }

    /// Releases the runtime. Must be called before its isolate is dropped: otherwise each would keep the other alive.
    pub fn detach(js: &mut JsRuntime) {
        js.v8_isolate().remove_slot::<Interruptible>();
    }

    /// Terminates the running JavaScript, or what runs next, unless an extension is being loaded: it could not be used any more,
    /// and deno_core expects it to load. As that cannot be seen from here, callers repeat this until the JavaScript has ended.
    pub fn interrupt(&self) {
        self.is_wanted.store(true, Ordering::Release);
        self.repeat();
    }

    /// Interrupts again, unless `cancel` was called since. Returns whether it did.
    pub fn repeat(&self) -> bool {
        let is_wanted = self.is_wanted.load(Ordering::Acquire);
        if is_wanted {
            self.isolate.request_interrupt(stop, std::ptr::null_mut());
        }
        is_wanted
    }

    /// Terminates the JavaScript that calls this, through an op.
    pub fn terminate(&self) {
        self.isolate.terminate_execution();
    }

    /// Lets JavaScript run again, whether or not interrupts have terminated anything.
    pub fn cancel(&self) {
        self.is_wanted.store(false, Ordering::Release);
        self.isolate.cancel_terminate_execution();
    }
}

/// Terminates the JavaScript that V8 has interrupted, as described at [`Interrupter::interrupt`].
unsafe extern "C" fn stop(isolate: v8::UnsafeRawIsolatePtr, _: *mut c_void) {
    // SAFETY: V8 passes the isolate that it has interrupted, on the thread that runs it.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    let Some(context) = isolate
        .get_slot::<Interruptible>()
        .filter(|interruptible| interruptible.is_wanted.load(Ordering::Acquire))
        .map(|interruptible| interruptible.context.clone())
    else {
        return;
    };
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

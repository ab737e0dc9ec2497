//! Debuggers attach to isolates over WebSockets, as in Deno.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::JsRuntime;
use deno_core::url::Url;
use deno_error::JsErrorBox;
pub use deno_inspector_server::InspectPublishUid;
use deno_inspector_server::{MainInspectorSessionChannel, create_inspector_server, get_inspector_server};

/// How debuggers attach to the isolates of a script.
#[derive(Clone, Copy, Debug)]
pub struct Inspect {
    /// The address of the server.
    pub address: SocketAddr,
    /// When the main module starts.
    pub start: InspectStart,
    /// Where the URL for debuggers is published.
    pub publish: InspectPublishUid,
}

/// When a script that can be debugged starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectStart {
    /// Without waiting for a debugger.
    Immediately,
    /// Once a debugger is attached.
    Attached,
    /// Once a debugger resumes it. It pauses at its first statement.
    Paused,
}

impl Inspect {
    /// Starts the server if it is not running, and registers a main isolate.
    pub(crate) fn register(self, js: &mut JsRuntime, main_module: &Url) -> Result<(), JsErrorBox> {
        let server = create_inspector_server(self.address, "openkv", self.publish).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            JsErrorBox::generic(format!("failed to start the server for debuggers at {}{cause}", self.address))
        })?;
        let waits = self.start != InspectStart::Immediately;
        let url = server.register_inspector(main_module.to_string(), js.inspector(), waits);
        js.op_state().borrow_mut().put(url);
        Ok(())
    }
}

impl InspectStart {
    /// Waits for a debugger, if the script starts after one has attached. Blocks the thread.
    pub(crate) fn wait(self, js: &mut JsRuntime) {
        match self {
            Self::Immediately => {}
            Self::Attached => js.inspector().wait_for_session(),
            Self::Paused => js.inspector().wait_for_session_and_break_on_next_statement(),
        }
    }
}

/// Makes a worker a target of the debuggers of its main isolate.
pub(crate) fn register_worker(js: &mut JsRuntime, main_module: &Url, main: &MainInspectorSessionChannel) {
    if get_inspector_server().is_none() {
        return;
    }
    if let Some(main) = main.get() {
        let (ours, theirs) = deno_core::create_worker_inspector_session_pair(main_module.to_string());
        // Either isolate may be about to end.
        let _ = main.unbounded_send(ours);
        let _ = js.inspector().get_session_sender().unbounded_send(theirs);
    }
}

/// Returns the function that is called when the script has ended, but a debugger is still attached.
pub(crate) fn notify_of_waiting() -> Box<dyn Fn()> {
    let notified = AtomicBool::new(false);
    Box::new(move || {
        if !notified.swap(true, Ordering::Relaxed) {
            // Debuggers look for this line.
            log::info!(target: "deno_inspector_server", "Waiting for the debugger to disconnect...");
        }
    })
}

//! The isolate of the REPL, driven through V8's inspector: only that evaluates a script in pieces, which may await and may
//! declare again what was declared before.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use deno_core::error::CoreError;
use deno_core::serde_json::{self, Value, json};
use deno_core::v8::IsolateHandle;
use deno_core::{
    InspectorMsg, InspectorMsgKind, InspectorSessionKind, JsRuntimeInspector, LocalInspectorSession,
    PollEventLoopOptions,
};
use openkv_js::transpile::Decorators;
use tokio::sync::mpsc;

use super::print::print;
use crate::report;
use crate::runtime::Runtime;

/// The objects that the inspector holds for one evaluation.
const OBJECT_GROUP: &str = "repl";

/// What deno_core reports when the user has interrupted a callback.
const TERMINATED: &str = "Uncaught Error: execution terminated";

/// A script that goes on, input by input.
pub(super) struct Session {
    // Dropped first: the inspector of a runtime must not outlive it.
    inspector: LocalInspectorSession,
    received: Rc<RefCell<Received>>,
    last_call: i32,
    /// The inspector's name for the functions of `js/runtime/repl.ts`.
    functions: Value,
    decorators: Decorators,
    pub runtime: Runtime,
}

/// What the inspector has sent.
#[derive(Default)]
struct Received {
    /// Returns, by the number of the call.
    answers: HashMap<i32, Value>,
    /// What was thrown during a call with nobody to catch it, such as by a listener of an event.
    thrown: Vec<Value>,
    /// Whether a call is being made.
    is_calling: bool,
}

impl Received {
    fn add(&mut self, message: InspectorMsg) {
        let mut content: Value = serde_json::from_str(&message.content).unwrap_or_default();
        match message.kind {
            InspectorMsgKind::Message(call) => {
                self.answers.insert(call, content);
            }
            // Otherwise it ends the event loop, which tells.
            InspectorMsgKind::Notification if self.is_calling && content["method"] == "Runtime.exceptionThrown" => {
                self.thrown.push(content["params"]["exceptionDetails"]["exception"].take());
            }
            InspectorMsgKind::Notification => {}
        }
    }
}

/// Why the inspector did not answer a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("interrupted")]
    Interrupted,
    #[error("the promise never resolves: nothing is left that could resolve it")]
    NeverResolves,
    #[error("{0}")]
    Refused(String),
}

impl Session {
    /// Readies a runtime, which has not run anything yet.
    ///
    /// # Errors
    /// The main module cannot be loaded, or what tells where modules are.
    pub async fn new(mut runtime: Runtime) -> Result<Self, CoreError> {
        runtime.start_repl().await?;
        runtime.js().maybe_init_inspector();
        let received = Rc::new(RefCell::new(Received::default()));
        let receiver = received.clone();
        let receive = move |message| receiver.borrow_mut().add(message);
        let kind = InspectorSessionKind::NonBlocking { wait_for_disconnect: false };
        let inspector = JsRuntimeInspector::create_local_session(runtime.js().inspector(), Box::new(receive), kind);
        let decorators = runtime.decorators()?;
        let mut session = Self { inspector, received, last_call: 0, functions: Value::Null, decorators, runtime };
        // So that it tells what was thrown.
        let _ = session.call("Runtime.enable", json!({}));
        let taken = session.call(
            "Runtime.evaluate",
            json!({ "expression": "(({ bootstrap }) => { delete globalThis.bootstrap; return bootstrap; })(globalThis)" }),
        );
        session.functions = taken.map(|taken| taken["result"].clone()).unwrap_or_default();
        Ok(session)
    }

    /// What stops the isolate from another thread.
    pub fn handle(&mut self) -> IsolateHandle {
        self.runtime.js().v8_isolate().thread_safe_handle()
    }

    /// Evaluates statements, in TypeScript, and remembers the result. Returns its text, or that of what was thrown.
    pub async fn evaluate(
        &mut self,
        text: &str,
        interrupts: &mut mpsc::UnboundedReceiver<()>,
    ) -> Result<String, String> {
        let script = openkv_js::transpile::transpile_input(text, self.decorators.clone())
            .map_err(|error| format!("parse error: {error}"))?;
        let result = self.evaluate_script(&script, interrupts).await;
        if result.is_err() {
            // What runs next was not meant.
            self.runtime.js().v8_isolate().cancel_terminate_execution();
        }
        let thrown = std::mem::take(&mut self.received.borrow_mut().thrown);
        for error in &thrown {
            match self.apply("error", error) {
                Ok(text) if !error.is_null() => print(&text),
                // The inspector tells of objects only.
                _ => print("Uncaught value that is no object"),
            }
        }
        let _ = self.call("Runtime.releaseObjectGroup", json!({ "objectGroup": OBJECT_GROUP }));
        result.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Evaluates a script. Returns the text of the result, or that of what was thrown.
    async fn evaluate_script(
        &mut self,
        script: &str,
        interrupts: &mut mpsc::UnboundedReceiver<()>,
    ) -> Result<Result<String, String>, CallError> {
        // As modules are, input is in strict mode; the directive shall not be its result.
        let expression = format!("\"use strict\"; void 0;{script}");
        let parameters = json!({ "expression": expression, "replMode": true, "objectGroup": OBJECT_GROUP });
        let call = self.post("Runtime.evaluate", parameters);
        let evaluated = tokio::select! {
            biased;
            answer = poll_fn(|cx| self.poll_answer(call, cx)) => answer?,
            Some(()) = interrupts.recv() => return Err(CallError::Interrupted),
        };
        match evaluated["exceptionDetails"].get("exception") {
            Some(thrown) => self.apply("error", thrown).map(Err),
            None => self.apply("result", &evaluated["result"]).map(Ok),
        }
    }

    /// Calls a function of `js/runtime/repl.ts` with an object of the inspector. Returns the text that it returns.
    fn apply(&mut self, function: &str, object: &Value) -> Result<String, CallError> {
        let argument = ["objectId", "unserializableValue", "value"]
            .into_iter()
            .find_map(|key| object.get(key).map(|value| json!({ key: value })))
            .unwrap_or_else(|| json!({}));
        let returned = self.call(
            "Runtime.callFunctionOn",
            json!({
                "functionDeclaration": format!("function (value) {{ return this.{function}(value); }}"),
                "objectId": self.functions["objectId"],
                "arguments": [argument],
            }),
        )?;
        match (&returned["exceptionDetails"], &returned["result"]["value"]) {
            (Value::Null, Value::String(text)) => Ok(text.clone()),
            (details, _) => Err(CallError::Refused(format!(
                "the value cannot be shown: {}",
                details["exception"]["description"].as_str().unwrap_or("its inspection threw")
            ))),
        }
    }

    /// Calls a method of the inspector that answers immediately.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, CallError> {
        let call = self.post(method, parameters);
        self.take_answer(call).unwrap_or(Err(CallError::NeverResolves))
    }

    /// Calls a method of the inspector. Returns the number of the call.
    fn post(&mut self, method: &str, parameters: Value) -> i32 {
        self.last_call += 1;
        // What comes late, to a call that was interrupted, interests nobody.
        self.received.borrow_mut().answers.clear();
        self.received.borrow_mut().is_calling = true;
        self.inspector.post_message(self.last_call, method, Some(parameters));
        self.received.borrow_mut().is_calling = false;
        self.last_call
    }

    fn take_answer(&mut self, call: i32) -> Option<Result<Value, CallError>> {
        let mut answer = self.received.borrow_mut().answers.remove(&call)?;
        Some(match answer["error"]["message"].as_str() {
            Some("Execution was terminated") => Err(CallError::Interrupted),
            Some(message) => Err(CallError::Refused(message.into())),
            None => Ok(answer["result"].take()),
        })
    }

    /// Runs the event loop until a call is answered.
    fn poll_answer(&mut self, call: i32, cx: &mut Context) -> Poll<Result<Value, CallError>> {
        if let Some(answer) = self.take_answer(call) {
            return Poll::Ready(answer);
        }
        let ended = self.poll_event_loop(cx).is_ready();
        match self.take_answer(call) {
            Some(answer) => Poll::Ready(answer),
            None if ended => Poll::Ready(Err(CallError::NeverResolves)),
            None => Poll::Pending,
        }
    }

    /// Runs the event loop. What was not caught is printed, and the session goes on. Ready when there is nothing to wait
    /// for.
    pub fn poll_event_loop(&mut self, cx: &mut Context) -> Poll<()> {
        match self.runtime.js().poll_event_loop(cx, PollEventLoopOptions::default()) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                let text = report(&error).replacen("Uncaught (in promise) ", "Uncaught ", 1);
                if text != TERMINATED {
                    print(&text);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

//! The isolate of the REPL. It evaluates input through V8's inspector, whose REPL mode allows top-level await and repeated
//! declarations.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use deno_core::error::CoreError;
use deno_core::serde_json::{self, Value, json};
use deno_core::{
    InspectorMsg, InspectorMsgKind, InspectorSessionKind, JsRuntimeInspector, LocalInspectorSession,
    PollEventLoopOptions,
};
use openkv_js::transpile::Decorators;
use tokio::sync::mpsc;

use super::print::print;
use crate::report;
use crate::runtime::Runtime;

/// The group of objects that the inspector holds for one evaluation.
const OBJECT_GROUP: &str = "repl";

/// The error that deno_core reports after the user has interrupted a callback.
const TERMINATED: &str = "Uncaught Error: execution terminated";

/// A session, which evaluates one input after the other in the same isolate.
pub(super) struct Session {
    // Dropped first: the inspector of a runtime must not outlive it.
    inspector: LocalInspectorSession,
    received: Rc<RefCell<Received>>,
    last_call: i32,
    /// The inspector's reference to the functions of `js/runtime/repl.ts`.
    functions: Value,
    decorators: Decorators,
    pub runtime: Runtime,
}

/// The messages of the inspector.
#[derive(Default)]
struct Received {
    /// Responses, by the number of the call.
    responses: HashMap<i32, Value>,
    /// Uncaught exceptions during a call, such as those of event listeners.
    thrown: Vec<Value>,
    /// Whether a call is in progress.
    is_calling: bool,
}

impl Received {
    fn add(&mut self, message: InspectorMsg) {
        let mut content: Value = serde_json::from_str(&message.content).unwrap_or_default();
        match message.kind {
            InspectorMsgKind::Message(call) => {
                self.responses.insert(call, content);
            }
            // Otherwise, the event loop returns the exception.
            InspectorMsgKind::Notification if self.is_calling && content["method"] == "Runtime.exceptionThrown" => {
                self.thrown.push(content["params"]["exceptionDetails"]["exception"].take());
            }
            InspectorMsgKind::Notification => {}
        }
    }
}

/// The reason why a call of the inspector failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("interrupted")]
    Interrupted,
    #[error("the promise never resolves: no pending operation could resolve it")]
    NeverResolves,
    #[error("{0}")]
    Refused(String),
}

impl Session {
    /// Starts a session in a runtime that has not run anything yet.
    ///
    /// # Errors
    /// The main module or the configuration of modules cannot be loaded.
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
        // Enables notifications of exceptions.
        let _ = session.call("Runtime.enable", json!({}));
        let functions = session.call(
            "Runtime.evaluate",
            json!({ "expression": "(({ bootstrap }) => { delete globalThis.bootstrap; return bootstrap; })(globalThis)" }),
        );
        session.functions = functions.map(|functions| functions["result"].clone()).unwrap_or_default();
        Ok(session)
    }

    /// Evaluates TypeScript statements, and saves the result. Returns its text, or that of the error.
    pub async fn evaluate(
        &mut self,
        text: &str,
        interrupts: &mut mpsc::UnboundedReceiver<()>,
    ) -> Result<String, String> {
        let script = openkv_js::transpile::transpile_input(text, self.decorators.clone())
            .map_err(|error| format!("parse error: {error}"))?;
        let result = self.evaluate_script(&script, interrupts).await;
        // Interrupts must not affect the next code.
        self.runtime.interrupter().cancel();
        let thrown = std::mem::take(&mut self.received.borrow_mut().thrown);
        for error in &thrown {
            match self.apply("error", error) {
                Ok(text) if !error.is_null() => print(&text),
                // The inspector has no value for exceptions that are not objects.
                _ => print("Uncaught value that is not an object"),
            }
        }
        let _ = self.call("Runtime.releaseObjectGroup", json!({ "objectGroup": OBJECT_GROUP }));
        result.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Evaluates a script. Returns the text of the result, or that of the thrown value.
    async fn evaluate_script(
        &mut self,
        script: &str,
        interrupts: &mut mpsc::UnboundedReceiver<()>,
    ) -> Result<Result<String, String>, CallError> {
        // Input is in strict mode, as modules are. `void 0` keeps the directive from being the result.
        let expression = format!("\"use strict\"; void 0;{script}");
        let parameters = json!({ "expression": expression, "replMode": true, "objectGroup": OBJECT_GROUP });
        let call = self.post("Runtime.evaluate", parameters);
        let evaluated = tokio::select! {
            biased;
            response = poll_fn(|cx| self.poll_response(call, cx)) => response?,
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
                "failed to inspect the value: {}",
                details["exception"]["description"].as_str().unwrap_or("an exception was thrown")
            ))),
        }
    }

    /// Calls a method of the inspector that returns immediately.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, CallError> {
        let call = self.post(method, parameters);
        self.take_response(call).unwrap_or(Err(CallError::NeverResolves))
    }

    /// Calls a method of the inspector. Returns the number of the call.
    fn post(&mut self, method: &str, parameters: Value) -> i32 {
        self.last_call += 1;
        // Drops late responses to calls that were interrupted.
        self.received.borrow_mut().responses.clear();
        self.received.borrow_mut().is_calling = true;
        self.inspector.post_message(self.last_call, method, Some(parameters));
        self.received.borrow_mut().is_calling = false;
        self.last_call
    }

    fn take_response(&mut self, call: i32) -> Option<Result<Value, CallError>> {
        let mut response = self.received.borrow_mut().responses.remove(&call)?;
        Some(match response["error"]["message"].as_str() {
            Some("Execution was terminated") => Err(CallError::Interrupted),
            Some(message) => Err(CallError::Refused(message.into())),
            None => Ok(response["result"].take()),
        })
    }

    /// Runs the event loop until a call returns.
    fn poll_response(&mut self, call: i32, cx: &mut Context) -> Poll<Result<Value, CallError>> {
        if let Some(response) = self.take_response(call) {
            return Poll::Ready(response);
        }
        let ended = self.poll_event_loop(cx).is_ready();
        match self.take_response(call) {
            Some(response) => Poll::Ready(response),
            None if ended => Poll::Ready(Err(CallError::NeverResolves)),
            None => Poll::Pending,
        }
    }

    /// Runs the event loop, and prints uncaught exceptions. Ready when nothing is pending.
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

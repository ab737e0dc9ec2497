use deno_core::error::{CoreError, JsError};
use deno_core::url::Url;
use deno_core::{JsRuntime, serde_v8, v8};
use deno_web::JsMessageData;
use serde::Serialize;

use super::{DENO_VERSION, TYPESCRIPT_VERSION, V8_VERSION};
use crate::environment::Environment;
use crate::node::Cluster;

/// Functions of the bootstrap script that the runtime calls.
pub(super) struct Hooks {
    pub dispatch_load: v8::Global<v8::Function>,
    pub dispatch_before_unload: v8::Global<v8::Function>,
    pub dispatch_unload: v8::Global<v8::Function>,
    /// Returns whether listeners have started more work.
    pub dispatch_before_exit: v8::Global<v8::Function>,
    pub dispatch_exit: v8::Global<v8::Function>,
    pub receive_from_parent: v8::Global<v8::Function>,
    /// Returns whether a worker waits for messages.
    pub awaits_messages: v8::Global<v8::Function>,
    pub start_repl: v8::Global<v8::Function>,
    pub start_server: v8::Global<v8::Function>,
    /// The test runner. See `js/runtime/testing/mod.ts`.
    pub testing: v8::Global<v8::Object>,
}

/// The options of the bootstrap script. See `js/runtime/main.ts`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bootstrap {
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    pub main_module: String,
    pub navigator: Navigator,
    pub no_color: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_debug: Option<&'static str>,
    pub pid: u32,
    pub program: &'static str,
    pub quiet: bool,
    pub stderr_no_color: bool,
    pub stdout_no_color: bool,
    pub target: &'static str,
    pub testing: bool,
    pub unsafe_proto: bool,
    pub uses_node_modules: bool,
    pub version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<Worker>,
}

/// The options of a worker.
#[derive(Serialize)]
pub(super) struct Worker {
    pub id: u32,
    pub name: String,
    /// Set for a worker of `node:worker_threads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsMessageData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Navigator {
    hardware_concurrency: usize,
    language: String,
    user_agent: String,
}

#[derive(Serialize)]
pub(super) struct Version {
    deno: &'static str,
    v8: &'static str,
    typescript: &'static str,
}

impl Bootstrap {
    /// Returns the options that all isolates of the process have in common.
    pub fn of_process(main_module: &Url, user_agent: String) -> Self {
        let environment = Environment::at_start();
        let color = deno_terminal::colors::use_color();
        Self {
            args: Vec::new(),
            cluster: None,
            location: None,
            main_module: main_module.to_string(),
            navigator: Navigator {
                hardware_concurrency: std::thread::available_parallelism().map_or(1, Into::into),
                language: v8::icu::get_language_tag(),
                user_agent,
            },
            no_color: !color,
            node_debug: environment.node_debug.as_deref(),
            pid: std::process::id(),
            program: &environment.program,
            quiet: false,
            stderr_no_color: !color || !deno_terminal::is_stderr_tty(),
            stdout_no_color: !color || !deno_terminal::is_stdout_tty(),
            target: env!("OPENKV_TARGET"),
            testing: false,
            unsafe_proto: false,
            uses_node_modules: false,
            version: Version { deno: DENO_VERSION, v8: V8_VERSION, typescript: TYPESCRIPT_VERSION },
            worker: None,
        }
    }

    /// Calls the bootstrap script to set up the global scope.
    pub fn start(self, js: &mut JsRuntime) -> Result<Hooks, CoreError> {
        deno_core::scope!(scope, js);
        v8::tc_scope!(scope, scope);
        let global = scope.get_current_context().global(scope);
        let bootstrap = property::<v8::Object>(scope, global, "bootstrap");
        let testing = property::<v8::Object>(scope, bootstrap, "testing");
        let testing = v8::Global::new(scope, testing);
        let mut function = |name| {
            let function = property::<v8::Function>(scope, bootstrap, name);
            v8::Global::new(scope, function)
        };
        let start = function("start");
        let hooks = Hooks {
            dispatch_load: function("dispatchLoad"),
            dispatch_before_unload: function("dispatchBeforeUnload"),
            dispatch_unload: function("dispatchUnload"),
            dispatch_before_exit: function("dispatchBeforeExit"),
            dispatch_exit: function("dispatchExit"),
            receive_from_parent: function("receiveFromParent"),
            awaits_messages: function("awaitsMessages"),
            start_repl: function("startRepl"),
            start_server: function("startServer"),
            testing,
        };
        let options = serde_v8::to_v8(scope, self).expect("the options are plain data");
        let start = v8::Local::new(scope, start);
        let receiver = v8::undefined(scope).into();
        start.call(scope, receiver, &[options]);
        match scope.exception() {
            None => Ok(hooks),
            Some(exception) => Err(JsError::from_v8_exception(scope, exception).into()),
        }
    }
}

/// Returns a property that the bootstrap script has set.
pub(super) fn property<'s, T>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    name: &'static str,
) -> v8::Local<'s, T>
where
    v8::Local<'s, v8::Value>: TryInto<v8::Local<'s, T>, Error: std::fmt::Debug>,
{
    let key = v8::String::new(scope, name).expect("the name is short");
    let value = object.get(scope, key.into()).expect("the bootstrap script sets plain properties");
    value.try_into().expect("the bootstrap script sets properties of this type")
}

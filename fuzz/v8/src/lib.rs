//! A bare host of the extension, created once per process.

use std::cell::RefCell;
use std::time::Duration;

use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, v8};
use openkv_ext::engine::sqlite::Location;
use openkv_ext::{Options, Target};

/// How long a script may take.
const TIMEOUT: Duration = Duration::from_secs(20);

deno_core::extension!(fuzz_host, deps = [openkv], esm_entry_point = "ext:fuzz_host/host.js", esm = [dir "src", "host.js"]);

/// Resolves absolute paths to files, and all others to databases in memory.
fn resolve(path: Option<String>) -> Target {
    Target::Trusted(match path.filter(|path| path.starts_with('/')) {
        Some(path) => Location::File { path: path.into(), follow_links: true },
        None => Location::Memory,
    })
}

struct Scripts {
    js: JsRuntime,
    tokio: tokio::runtime::Runtime,
}

thread_local! {
    static SCRIPTS: RefCell<Option<Scripts>> = const { RefCell::new(None) };
}

/// Evaluates the source of an asynchronous function, and returns the string that it resolves to. It finds the extension in `host`.
///
/// # Panics
/// If it does not resolve in time, or not to a string.
pub fn run(function: &str) -> String {
    SCRIPTS.with_borrow_mut(|scripts| scripts.get_or_insert_with(Scripts::new).run(function))
}

/// Closes the databases that scripts left open.
pub fn close_all() {
    SCRIPTS.with_borrow_mut(|scripts| {
        let Some(scripts) = scripts else { return };
        let state = scripts.js.op_state();
        let open: Vec<_> = state.borrow().resource_table.names().map(|(rid, _)| rid).collect();
        for rid in open {
            let resource = state.borrow_mut().resource_table.take_any(rid);
            resource.expect("the resource is open").close();
        }
    });
}

impl Scripts {
    fn new() -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts");
        let _entered = tokio.enter();
        let mut js = JsRuntime::new(RuntimeOptions {
            extensions: vec![openkv_ext::init(Options::resolve(|_, path| Ok(resolve(path)))), fuzz_host::init()],
            ..RuntimeOptions::default()
        });
        js.execute_script("prelude.js", openkv_torture::fuzz::PRELUDE).expect("the prelude can be evaluated");
        drop(_entered);
        Self { js, tokio }
    }

    fn run(&mut self, function: &str) -> String {
        let script =
            format!("globalThis.result = undefined; ({function})().then((result) => globalThis.result = result); 0");
        let _entered = self.tokio.enter();
        self.js.execute_script("script.js", script).unwrap_or_else(|error| panic!("{error}: {function}"));
        loop {
            let run = tokio::time::timeout(TIMEOUT, self.js.run_event_loop(PollEventLoopOptions::default()));
            // An unhandled rejection stops the event loop with an error.
            let outcome = self.tokio.block_on(run).unwrap_or_else(|_| panic!("timed out after {TIMEOUT:?}: {function}"));
            if let Some(result) = self.result() {
                return result;
            }
            assert!(outcome.is_err(), "the event loop is done, but the promise is pending: {function}");
        }
    }

    fn result(&mut self) -> Option<String> {
        let result = self.js.execute_script("result.js", "result").expect("the global can be read");
        deno_core::scope!(scope, &mut self.js);
        let result = v8::Local::<v8::String>::try_from(v8::Local::new(scope, result)).ok()?;
        Some(result.to_rust_string_lossy(scope))
    }
}

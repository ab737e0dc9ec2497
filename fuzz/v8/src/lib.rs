//! A bare host of the extension, made once for a process.

use std::cell::RefCell;
use std::time::Duration;

use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, v8};
use openkv_ext::engine::sqlite::Location;
use openkv_ext::{Options, Place};

/// How long a script may take.
const TIMEOUT: Duration = Duration::from_secs(20);

deno_core::extension!(fuzz_host, deps = [openkv], esm_entry_point = "ext:fuzz_host/host.js", esm = [dir "src", "host.js"]);

/// Databases are in memory, or in the files that a script names from the root.
fn locate(path: Option<String>) -> Place {
    Place::Trusted(match path.filter(|path| path.starts_with('/')) {
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

/// Evaluates an asynchronous function, given as text, until it has answered a string. It finds the extension in `host`.
///
/// # Panics
/// It does not answer in time, or something else.
pub fn run(function: &str) -> String {
    SCRIPTS.with_borrow_mut(|scripts| scripts.get_or_insert_with(Scripts::new).run(function))
}

/// Closes what scripts left open.
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
            extensions: vec![openkv_ext::init(Options::resolve(|_, path| Ok(locate(path)))), fuzz_host::init()],
            ..RuntimeOptions::default()
        });
        js.execute_script("prelude.js", openkv_torture::fuzz::PRELUDE).expect("the prelude can be evaluated");
        drop(_entered);
        Self { js, tokio }
    }

    fn run(&mut self, function: &str) -> String {
        let script =
            format!("globalThis.answer = undefined; ({function})().then((answer) => globalThis.answer = answer); 0");
        let _entered = self.tokio.enter();
        self.js.execute_script("script.js", script).unwrap_or_else(|error| panic!("{error}: {function}"));
        loop {
            let turn = tokio::time::timeout(TIMEOUT, self.js.run_event_loop(PollEventLoopOptions::default()));
            // A promise that was rejected and that no one has looked at ends the turn.
            let ended = self.tokio.block_on(turn).unwrap_or_else(|_| panic!("no end in {TIMEOUT:?}: {function}"));
            if let Some(answer) = self.answer() {
                return answer;
            }
            assert!(ended.is_err(), "nothing is left to be done, and there is no answer: {function}");
        }
    }

    fn answer(&mut self) -> Option<String> {
        let answer = self.js.execute_script("answer.js", "answer").expect("the answer can be read");
        deno_core::scope!(scope, &mut self.js);
        let answer = v8::Local::<v8::String>::try_from(v8::Local::new(scope, answer)).ok()?;
        Some(answer.to_rust_string_lossy(scope))
    }
}

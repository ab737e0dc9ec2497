//! Runs modules for their tests: `Deno.test` registers them (`js/runtime/testing`), and a [`TestRun`] has them run one by
//! one, each module in an isolate of its own.

mod discovery;
mod filter;
mod leaks;
mod output;
mod plan;
mod reporter;
mod runner;

use std::env;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use deno_core::url::Url;

pub use discovery::{DiscoveryError, Paths, discover};
pub use filter::Filter;
pub use output::Output;
pub use reporter::ReporterKind;

use crate::runtime::{Options, Runtime};
use reporter::Report;
use runner::Runner;

/// Which tests run, and how.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// Which tests run, by their names. None stands for all.
    pub filter: Option<Filter>,
    /// After how many failures the rest is left out.
    pub fail_fast: Option<NonZeroUsize>,
    /// Mixes the order of tests, the same for the same number.
    pub shuffle: Option<u64>,
    /// How often a test that fails is tried again, where it does not say itself.
    pub retry: u32,
    /// How often a test runs again after it passed, where it does not say itself.
    pub repeats: u32,
    /// Whether a test fails that leaves asynchronous operations or timers, where it does not say itself.
    pub sanitize_ops: bool,
    /// Whether a test fails that leaves files, sockets or databases open, where it does not say itself.
    pub sanitize_resources: bool,
    /// How the results are shown.
    pub reporter: ReporterKind,
}

/// How a [`TestRun`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No test failed.
    Passed,
    /// A test or a module failed.
    Failed,
    /// No test failed, but a module ran some of its tests only, because they are marked so.
    PassedWithOnly,
}

/// A run of the tests of some modules.
pub struct TestRun {
    options: TestOptions,
    report: Shared,
    output: Output,
    started: Instant,
}

/// What the runner and the thread that reads what tests print both write to.
#[derive(Clone)]
struct Shared(Arc<Mutex<Report>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TestRun {
    /// Begins a run.
    ///
    /// # Errors
    /// The system gives no pipe, or no thread, for what tests print.
    pub fn new(options: TestOptions) -> io::Result<Self> {
        let report = Shared(Arc::new(Mutex::new(Report::new(options.reporter))));
        let output = Output::new({
            let report = report.clone();
            move |printed| report.lock().output(printed)
        })?;
        Ok(Self { options, report, output, started: Instant::now() })
    }

    /// Runs the tests of a module. Errors are part of the report.
    pub async fn module(&mut self, options: Options) {
        let name = shown(&options.main_module);
        let options = Options { output: Some(self.output.clone()), ..options };
        match Runtime::new(options) {
            Ok(runtime) => {
                Runner::new(runtime, name, &self.options, self.report.clone(), self.output.clone()).run().await
            }
            Err(error) => self.report.lock().module_failed(&name, crate::report(&error)),
        }
    }

    /// Whether as many tests failed as [`TestOptions::fail_fast`] allows.
    pub fn is_over(&self) -> bool {
        is_over(&self.options, &self.report.lock())
    }

    /// Shows the summary.
    pub fn end(self) -> Verdict {
        self.output.drain();
        self.report.lock().end(self.started.elapsed())
    }
}

fn is_over(options: &TestOptions, report: &Report) -> bool {
    options.fail_fast.is_some_and(|limit| report.failures() >= limit.get())
}

/// How a module is named to the user: by its path in the current folder.
fn shown(module: &Url) -> String {
    let folder = env::current_dir().ok().and_then(|folder| Url::from_directory_path(folder).ok());
    match folder.and_then(|folder| module.as_str().strip_prefix(folder.as_str()).map(|path| format!("./{path}"))) {
        Some(path) => path,
        None => module.to_string(),
    }
}

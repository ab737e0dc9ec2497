//! Runs modules for their tests: `Deno.test` registers them (`js/runtime/testing`), and a [`TestRun`] has them run one by
//! one, each module in an isolate of its own.

mod discovery;
mod filter;
mod leaks;
mod options;
pub(crate) mod output;
mod plan;
mod reporter;
mod runner;
mod shown;
mod tick;
mod verdict;

use std::io;
use std::time::Instant;

pub use discovery::{DiscoveryError, Paths, discover};
pub use filter::Filter;
pub use options::TestOptions;
pub use output::Output;
pub use reporter::ReporterKind;
pub use verdict::Verdict;

use crate::runtime::{Options, Runtime};
use reporter::SharedReport;
use runner::Runner;
use shown::shown;

/// A run of the tests of some modules.
pub struct TestRun {
    options: TestOptions,
    report: SharedReport,
    output: Output,
    started: Instant,
}

impl TestRun {
    /// Begins a run.
    ///
    /// # Errors
    /// The system gives no pipe, or no thread, for what tests print.
    pub fn new(options: TestOptions) -> io::Result<Self> {
        let report = SharedReport::new(options.reporter);
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
        self.report.lock().is_over(self.options.fail_fast)
    }

    /// Shows the summary.
    pub fn end(self) -> Verdict {
        self.output.drain();
        self.report.lock().end(self.started.elapsed())
    }
}

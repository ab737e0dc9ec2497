//! The test runner. `Deno.test` registers tests (`js/runtime/testing`), and a [`TestRun`] runs them one by one, each module in
//! its own isolate.

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
pub use options::{JunitFile, ReporterKind, TestOptions};
pub use output::Output;
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
    /// Starts a run.
    ///
    /// # Errors
    /// The pipe or the thread for the output of tests cannot be created.
    pub fn new(options: TestOptions) -> io::Result<Self> {
        let report = SharedReport::new(&options);
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

    /// Returns whether the limit of failures, [`TestOptions::fail_fast`], has been reached.
    pub fn is_over(&self) -> bool {
        self.report.lock().is_over(self.options.fail_fast)
    }

    /// Prints the summary.
    pub fn end(self) -> Verdict {
        self.output.drain();
        self.report.lock().end(self.started.elapsed())
    }
}

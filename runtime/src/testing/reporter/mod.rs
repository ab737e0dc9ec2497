//! Prints the results, and counts them.

mod dot;
mod item;
mod junit;
mod pretty;
mod summary;
mod tap;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::options::{JunitFile, ReporterKind, TestOptions};
use super::verdict::Verdict;
use item::Reporter;
pub(super) use item::{Failure, Item, Outcome};
use summary::Summary;

/// The results so far, which are printed as they arrive.
pub(super) struct Report {
    reporters: Vec<Box<dyn Reporter>>,
    /// Whether the summary is printed, and not part of the format.
    with_summary: bool,
    summary: Summary,
    /// The current test.
    running: Option<Item>,
    steps: HashMap<u32, (Item, Instant)>,
}

impl Report {
    pub fn new(kind: ReporterKind, junit_file: Option<JunitFile>) -> Self {
        let reporter: Box<dyn Reporter> = match kind {
            ReporterKind::Pretty => Box::new(pretty::Pretty::default()),
            ReporterKind::Dot => Box::new(dot::Dot::default()),
            ReporterKind::Tap => Box::new(tap::Tap::default()),
            ReporterKind::Junit => Box::new(junit::Junit::new(JunitFile::Stdout)),
        };
        let mut reporters = vec![reporter];
        if let Some(file) = junit_file {
            reporters.push(Box::new(junit::Junit::new(file)));
        }
        reporters.iter_mut().for_each(|reporter| reporter.begin());
        let with_summary = matches!(kind, ReporterKind::Pretty | ReporterKind::Dot);
        Self { reporters, with_summary, summary: Summary::default(), running: None, steps: HashMap::new() }
    }

    fn report(&mut self, mut event: impl FnMut(&mut dyn Reporter)) {
        self.reporters.iter_mut().for_each(|reporter| event(&mut **reporter));
    }

    /// Returns whether the limit of failed tests and modules has been reached.
    pub fn is_over(&self, limit: Option<NonZeroUsize>) -> bool {
        limit.is_some_and(|limit| self.summary.failed >= limit.get())
    }

    pub fn module(&mut self, module: &str, tests: usize, filtered_out: usize, with_only: bool) {
        self.summary.filtered_out += filtered_out;
        self.summary.with_only |= with_only;
        self.report(|reporter| reporter.module(module, tests));
    }

    /// Counts the tests of a module whose tests are all filtered out.
    pub fn filtered_out(&mut self, tests: usize) {
        self.summary.filtered_out += tests;
    }

    /// Reports that a module failed outside of its tests.
    pub fn module_failed(&mut self, module: &str, error: String) {
        self.report(|reporter| reporter.module_failed(module, &error));
        self.summary.failed_module(format!("{module} (uncaught error)"), error);
    }

    pub fn test_started(&mut self, test: &Item) {
        self.report(|reporter| reporter.test_started(test));
        self.running = Some(test.clone());
    }

    pub fn test_retried(&mut self, test: &Item, attempt: u32, failure: &Failure) {
        let error = match failure {
            Failure::Error(text) => text.lines().next().unwrap_or_default().to_owned(),
            other => other.reason(),
        };
        self.report(|reporter| reporter.test_retried(test, attempt, &error));
    }

    /// Reports the outcome of a test. If `flaky`, it failed before it passed.
    pub fn test_ended(&mut self, test: &Item, outcome: Outcome, elapsed: Duration, flaky: bool) {
        self.running = None;
        self.report(|reporter| reporter.test_ended(test, &outcome, elapsed));
        self.summary.test(test, outcome, flaky);
    }

    pub fn tests_ended(&mut self) {
        self.report(|reporter| reporter.tests_ended());
    }

    pub fn running(&self) -> Option<&Item> {
        self.running.as_ref()
    }

    pub fn step_started(&mut self, id: u32, step: Item, at: Instant) {
        self.report(|reporter| reporter.step_started(&step));
        self.steps.insert(id, (step, at));
    }

    pub fn step_ended(&mut self, id: u32, outcome: Outcome, at: Instant) {
        // A step of a test that has timed out may end during another test.
        let Some((step, started)) = self.steps.remove(&id) else { return };
        self.report(|reporter| reporter.step_ended(&step, &outcome, at - started));
        self.summary.step(&step, outcome);
    }

    pub fn output(&mut self, printed: &[u8]) {
        if !printed.is_empty() {
            self.report(|reporter| reporter.output(printed));
        }
    }

    pub fn end(&mut self, elapsed: Duration) -> Verdict {
        if self.with_summary {
            let (first, rest) = self.reporters.split_first_mut().expect("there is a reporter");
            first.end();
            self.summary.show(elapsed);
            rest.iter_mut().for_each(|reporter| reporter.end());
        } else {
            self.report(|reporter| reporter.end());
        }
        self.summary.verdict()
    }
}

/// A report that is shared by the runner and the thread that reads the output of tests.
#[derive(Clone)]
pub(super) struct SharedReport(Arc<Mutex<Report>>);

impl SharedReport {
    pub fn new(options: &TestOptions) -> Self {
        Self(Arc::new(Mutex::new(Report::new(options.reporter, options.junit_file.clone()))))
    }

    pub fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

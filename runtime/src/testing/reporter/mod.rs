//! Shows the results, and counts them.

mod dot;
mod item;
mod pretty;
mod summary;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::verdict::Verdict;
use item::Reporter;
pub(super) use item::{Failure, Item, Outcome};
use summary::Summary;

/// How results are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReporterKind {
    /// A line for each test, and what tests print.
    #[default]
    Pretty,
    /// A character for each test.
    Dot,
}

/// What the run has shown and counted so far.
pub(super) struct Report {
    reporter: Box<dyn Reporter>,
    summary: Summary,
    /// The test that runs.
    running: Option<Item>,
    steps: HashMap<u32, (Item, Instant)>,
}

impl Report {
    pub fn new(kind: ReporterKind) -> Self {
        let reporter: Box<dyn Reporter> = match kind {
            ReporterKind::Pretty => Box::new(pretty::Pretty::default()),
            ReporterKind::Dot => Box::new(dot::Dot::default()),
        };
        Self { reporter, summary: Summary::default(), running: None, steps: HashMap::new() }
    }

    /// Whether as many tests and modules failed as are allowed to.
    pub fn is_over(&self, limit: Option<NonZeroUsize>) -> bool {
        limit.is_some_and(|limit| self.summary.failed >= limit.get())
    }

    pub fn module(&mut self, module: &str, tests: usize, filtered_out: usize, with_only: bool) {
        self.summary.filtered_out += filtered_out;
        self.summary.with_only |= with_only;
        self.reporter.module(module, tests);
    }

    /// A module has no tests that shall run.
    pub fn filtered_out(&mut self, tests: usize) {
        self.summary.filtered_out += tests;
    }

    /// A module failed outside of its tests.
    pub fn module_failed(&mut self, module: &str, error: String) {
        self.reporter.module_failed(module);
        self.summary.failed_module(format!("{module} (uncaught error)"), error);
    }

    pub fn test_started(&mut self, test: &Item) {
        self.reporter.test_started(test);
        self.running = Some(test.clone());
    }

    pub fn test_retried(&mut self, test: &Item, attempt: u32, failure: &Failure) {
        let error = match failure {
            Failure::Error(text) => text.lines().next().unwrap_or_default().to_owned(),
            other => other.reason(),
        };
        self.reporter.test_retried(test, attempt, &error);
    }

    /// With `flaky`, the test failed before it passed.
    pub fn test_ended(&mut self, test: &Item, outcome: Outcome, elapsed: Duration, flaky: bool) {
        self.running = None;
        self.reporter.test_ended(test, &outcome, elapsed);
        self.summary.test(test, outcome, flaky);
    }

    pub fn tests_ended(&mut self) {
        self.reporter.tests_ended();
    }

    pub fn running(&self) -> Option<&Item> {
        self.running.as_ref()
    }

    pub fn step_started(&mut self, id: u32, step: Item, at: Instant) {
        self.reporter.step_started(&step);
        self.steps.insert(id, (step, at));
    }

    pub fn step_ended(&mut self, id: u32, outcome: Outcome, at: Instant) {
        // A step of a test that ran out of time may end when another test runs.
        let Some((step, started)) = self.steps.remove(&id) else { return };
        self.reporter.step_ended(&step, &outcome, at - started);
        self.summary.step(&step, outcome);
    }

    pub fn output(&mut self, printed: &[u8]) {
        if !printed.is_empty() {
            self.reporter.output(printed);
        }
    }

    pub fn end(&mut self, elapsed: Duration) -> Verdict {
        self.reporter.end();
        self.summary.show(elapsed);
        self.summary.verdict()
    }
}

/// What the runner and the thread that reads what tests print both write to.
#[derive(Clone)]
pub(super) struct SharedReport(Arc<Mutex<Report>>);

impl SharedReport {
    pub fn new(kind: ReporterKind) -> Self {
        Self(Arc::new(Mutex::new(Report::new(kind))))
    }

    pub fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

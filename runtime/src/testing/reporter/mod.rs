//! Shows the results, and counts them.

mod dot;
mod pretty;
mod summary;

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::Verdict;
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

/// A test or a step, as it is shown.
#[derive(Clone)]
pub(super) struct Item {
    pub name: String,
    /// The names of the test and the steps that it is in.
    pub path: Vec<String>,
    /// Where it is in the sources.
    pub location: String,
}

impl Item {
    /// Its name for the list of failures.
    fn title(&self) -> String {
        let names = self.path.iter().chain([&self.name]).map(|name| escape(name));
        names.collect::<Vec<_>>().join(" ... ")
    }
}

/// How a test or a step ended.
pub(super) enum Outcome {
    Ok,
    Ignored,
    Failed(Failure),
    /// A step that nobody waited for.
    Incomplete,
    /// A test that did not run, or not to its end, because its module failed.
    Cancelled,
}

/// Why a test or a step failed.
pub(super) enum Failure {
    /// The text for the user.
    Error(String),
    FailedSteps(usize),
    IncompleteSteps,
}

/// Shows events as they come.
trait Reporter: Send {
    fn module(&mut self, _module: &str, _tests: usize) {}
    fn module_failed(&mut self, module: &str);
    fn test_started(&mut self, _test: &Item) {}
    fn test_retried(&mut self, _test: &Item, _attempt: u32, _error: &str) {}
    fn test_ended(&mut self, test: &Item, outcome: &Outcome, elapsed: Duration);
    /// No test of the module will follow.
    fn tests_ended(&mut self) {}
    fn step_started(&mut self, _step: &Item) {}
    fn step_ended(&mut self, step: &Item, outcome: &Outcome, elapsed: Duration);
    fn output(&mut self, _printed: &[u8]) {}
    /// Leaves the cursor at the beginning of a line.
    fn end(&mut self) {}
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

    /// How many tests and modules failed.
    pub fn failures(&self) -> usize {
        self.summary.failed
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

impl Failure {
    /// Why, in brackets behind the result.
    fn reason(&self) -> String {
        match self {
            Self::Error(_) => String::new(),
            Self::FailedSteps(1) => "(due to 1 failed step)".into(),
            Self::FailedSteps(count) => format!("(due to {count} failed steps)"),
            Self::IncompleteSteps => "(due to incomplete steps)".into(),
        }
    }
}

/// Shows something at once. Where nobody reads it, the tests still run.
fn show(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// A name in one line.
fn escape(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => text.extend(c.escape_unicode()),
            c => text.push(c),
        }
        text
    })
}

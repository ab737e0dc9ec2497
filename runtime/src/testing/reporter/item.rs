use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// A test or a step, for display.
#[derive(Clone)]
pub(crate) struct Item {
    pub name: String,
    /// The names of the test and the enclosing steps.
    pub path: Vec<String>,
    /// The position in the source.
    pub location: String,
}

impl Item {
    /// Returns the file, line and column of the position.
    pub fn position(&self) -> (&str, u32, u32) {
        let mut parts = self.location.rsplitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
        let (column, line) = (number(), number());
        (parts.next().unwrap_or_default(), line, column)
    }

    /// Returns the name for the list of failures.
    pub fn title(&self) -> String {
        let names = self.path.iter().chain([&self.name]).map(|name| escape(name));
        names.collect::<Vec<_>>().join(" ... ")
    }
}

/// The outcome of a test or a step.
pub(crate) enum Outcome {
    Ok,
    Ignored,
    Failed(Failure),
    /// A step that was not awaited.
    Incomplete,
    /// A test that did not run, or did not complete, because its module failed.
    Cancelled,
}

/// The reason why a test or a step failed.
pub(crate) enum Failure {
    /// An error message.
    Error(String),
    FailedSteps(usize),
    IncompleteSteps,
}

/// Prints events as they occur.
pub(super) trait Reporter: Send {
    /// Begins the run.
    fn begin(&mut self) {}
    fn module(&mut self, _module: &str, _tests: usize) {}
    fn module_failed(&mut self, module: &str, error: &str);
    fn test_started(&mut self, _test: &Item) {}
    fn test_retried(&mut self, _test: &Item, _attempt: u32, _error: &str) {}
    fn test_ended(&mut self, test: &Item, outcome: &Outcome, elapsed: Duration);
    /// Ends the tests of a module.
    fn tests_ended(&mut self) {}
    fn step_started(&mut self, _step: &Item) {}
    fn step_ended(&mut self, step: &Item, outcome: &Outcome, elapsed: Duration);
    fn output(&mut self, _printed: &[u8]) {}
    /// Ends the run. Moves the cursor to the beginning of a line.
    fn end(&mut self) {}
}

impl Outcome {
    /// Returns the message of a failure for the formats that other programs read.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Ok | Self::Ignored => None,
            Self::Failed(Failure::Error(error)) => Some(error.clone()),
            Self::Failed(Failure::FailedSteps(1)) => Some("1 test step failed.".into()),
            Self::Failed(Failure::FailedSteps(count)) => Some(format!("{count} test steps failed.")),
            Self::Failed(Failure::IncompleteSteps) | Self::Incomplete => {
                Some("Steps were still running when the enclosing test or step ended.".into())
            }
            Self::Cancelled => Some("The test did not complete, because its module failed.".into()),
        }
    }
}

impl Failure {
    /// Returns the reason in parentheses, for display after the result.
    pub fn reason(&self) -> String {
        match self {
            Self::Error(_) => String::new(),
            Self::FailedSteps(1) => "(due to 1 failed step)".into(),
            Self::FailedSteps(count) => format!("(due to {count} failed steps)"),
            Self::IncompleteSteps => "(due to incomplete steps)".into(),
        }
    }
}

/// Prints and flushes. Errors are ignored, so that the tests run even if stdout is closed.
pub(super) fn show(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Escapes control characters, so that a name fits on one line.
pub(super) fn escape(name: &str) -> String {
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

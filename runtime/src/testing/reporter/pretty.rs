use std::io::Write;
use std::time::Duration;

use deno_terminal::colors;

use super::item::{Item, Outcome, Reporter, escape, show};
use super::summary::shown;

/// Prints a line for each test and step, and the output of tests between delimiters.
#[derive(Default)]
pub(super) struct Pretty {
    phase: Phase,
    /// The label on the current line, if it is a test or step without its result yet.
    waiting: Option<String>,
    /// The last output of scripts, if nothing else has been printed since.
    printed: Option<Printed>,
}

struct Printed {
    phase: Phase,
    ended_line: bool,
}

/// The phase of a module.
#[derive(Clone, Copy, Default)]
enum Phase {
    #[default]
    BeforeTests,
    Testing,
    AfterTests,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::BeforeTests => "pre-test output",
            Self::Testing => "output",
            Self::AfterTests => "post-test output",
        }
    }
}

impl Reporter for Pretty {
    fn module(&mut self, module: &str, tests: usize) {
        self.break_line();
        self.phase = Phase::BeforeTests;
        let tests = if tests == 1 { "1 test".into() } else { format!("{tests} tests") };
        show(format_args!("{}\n", colors::gray(format!("running {tests} from {module}"))));
    }

    fn module_failed(&mut self, module: &str, _error: &str) {
        self.break_line();
        show(format_args!("Uncaught error from {module} {}\n", colors::red("FAILED")));
    }

    fn test_started(&mut self, test: &Item) {
        self.phase = Phase::Testing;
        self.begin(test);
    }

    fn test_retried(&mut self, test: &Item, attempt: u32, error: &str) {
        let result = colors::yellow("retrying");
        self.conclude(test, &format!("{result} {}", colors::gray(format!("(attempt {attempt} failed) ({error})"))));
    }

    fn test_ended(&mut self, test: &Item, outcome: &Outcome, elapsed: Duration) {
        // Short tests are shown in microseconds.
        let elapsed = match outcome {
            Outcome::Ok | Outcome::Failed(_) if elapsed < Duration::from_millis(1) => {
                format!("{}µs", elapsed.as_micros())
            }
            _ => shown(elapsed),
        };
        self.conclude(test, &result(outcome, &elapsed));
    }

    fn tests_ended(&mut self) {
        self.break_line();
        self.phase = Phase::AfterTests;
    }

    fn step_started(&mut self, step: &Item) {
        self.begin(step);
    }

    fn step_ended(&mut self, step: &Item, outcome: &Outcome, elapsed: Duration) {
        self.conclude(step, &result(outcome, &shown(elapsed)));
    }

    fn output(&mut self, printed: &[u8]) {
        if self.printed.is_none() {
            self.break_line();
            show(format_args!("{}\n", colors::gray(format!("------- {} -------", self.phase.name()))));
        }
        let phase = self.printed.take().map_or(self.phase, |printed| printed.phase);
        self.printed = Some(Printed { phase, ended_line: printed.ends_with(b"\n") });
        let mut stdout = std::io::stdout().lock();
        // Errors are ignored, so that the tests run even if stdout is closed.
        let _ = stdout.write_all(printed).and_then(|()| stdout.flush());
    }

    fn end(&mut self) {
        self.break_line();
    }
}

impl Pretty {
    /// Starts the line of a test or step.
    fn begin(&mut self, item: &Item) {
        self.break_line();
        let label = label(item);
        show(format_args!("{label} ..."));
        self.waiting = Some(label);
    }

    /// Completes the line of a test or step, or prints it again if there was other output in between.
    fn conclude(&mut self, item: &Item, result: &str) {
        let label = label(item);
        if self.waiting.as_ref() == Some(&label) {
            show(format_args!(" {result}\n"));
            self.waiting = None;
        } else {
            self.break_line();
            show(format_args!("{label} ... {result}\n"));
        }
    }

    /// Moves the cursor to the beginning of a line, after the delimiter of output.
    fn break_line(&mut self) {
        if self.waiting.take().is_some() {
            show("\n");
        }
        if let Some(Printed { phase, ended_line }) = self.printed.take() {
            let end = colors::gray(format!("----- {} end -----", phase.name()));
            show(format_args!("{}{end}\n", if ended_line { "" } else { "\n" }));
        }
    }
}

fn label(item: &Item) -> String {
    format!("{:indent$}{}", "", escape(&item.name), indent = 2 * item.path.len())
}

fn result(outcome: &Outcome, elapsed: &str) -> String {
    let elapsed = colors::gray(format!("({elapsed})"));
    match outcome {
        Outcome::Ok => format!("{} {elapsed}", colors::green("ok")),
        Outcome::Ignored => format!("{} {elapsed}", colors::yellow("ignored")),
        Outcome::Cancelled => format!("{} {elapsed}", colors::gray("cancelled")),
        Outcome::Incomplete => colors::gray("INCOMPLETE").to_string(),
        Outcome::Failed(failure) => {
            let reason = failure.reason();
            let space = if reason.is_empty() { "" } else { " " };
            format!("{}{space}{reason} {elapsed}", colors::red("FAILED"))
        }
    }
}

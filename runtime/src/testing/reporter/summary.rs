use std::time::Duration;

use deno_terminal::colors;

use super::item::{Failure, Item, Outcome, show};
use crate::testing::verdict::Verdict;

/// The counts and failures of a run.
#[derive(Default)]
pub(super) struct Summary {
    passed: usize,
    passed_steps: usize,
    pub failed: usize,
    failed_steps: usize,
    ignored: usize,
    ignored_steps: usize,
    pub filtered_out: usize,
    flaky: usize,
    /// Whether a module ran only the tests that are marked with `only`.
    pub with_only: bool,
    failures: Vec<FailureText>,
}

struct FailureText {
    title: String,
    location: Option<String>,
    error: String,
}

impl Summary {
    pub fn failed_module(&mut self, title: String, error: String) {
        self.failed += 1;
        self.failures.push(FailureText { title, location: None, error });
    }

    pub fn test(&mut self, test: &Item, outcome: Outcome, flaky: bool) {
        self.flaky += usize::from(flaky);
        match &outcome {
            Outcome::Ok => self.passed += 1,
            Outcome::Ignored => self.ignored += 1,
            Outcome::Failed(_) | Outcome::Incomplete | Outcome::Cancelled => self.failed += 1,
        }
        self.add_failure(test, outcome);
    }

    pub fn step(&mut self, step: &Item, outcome: Outcome) {
        match &outcome {
            Outcome::Ok => self.passed_steps += 1,
            Outcome::Ignored => self.ignored_steps += 1,
            Outcome::Failed(_) | Outcome::Incomplete | Outcome::Cancelled => self.failed_steps += 1,
        }
        self.add_failure(step, outcome);
    }

    /// Keeps the message of a failure for the summary. Failures due to steps are reported with the steps.
    fn add_failure(&mut self, item: &Item, outcome: Outcome) {
        let error = match outcome {
            Outcome::Failed(Failure::Error(error)) => error,
            Outcome::Incomplete => {
                "The step was still running when the enclosing test or step ended. Await it: `await t.step(...)`."
                    .into()
            }
            _ => return,
        };
        self.failures.push(FailureText { title: item.title(), location: Some(item.location.clone()), error });
    }

    pub fn verdict(&self) -> Verdict {
        match (self.failed, self.with_only) {
            (0, false) => Verdict::Passed,
            (0, true) => Verdict::PassedWithOnly,
            _ => Verdict::Failed,
        }
    }

    pub fn show(&self, elapsed: Duration) {
        if !self.failures.is_empty() {
            show(format_args!("\n{}\n\n", colors::white_bold_on_red(" ERRORS ")));
            for failure in &self.failures {
                show(format_args!("{}\n", failure.heading()));
                show(format_args!("{}: {}\n\n", colors::red_bold("error"), failure.error));
            }
            show(format_args!("{}\n\n", colors::white_bold_on_red(" FAILURES ")));
            for failure in &self.failures {
                show(format_args!("{}\n", failure.heading()));
            }
        }
        let result = match self.failed {
            0 => colors::green("ok").to_string(),
            _ => colors::red("FAILED").to_string(),
        };
        let counts = [
            (self.passed, self.passed_steps, "passed", true),
            (self.failed, self.failed_steps, "failed", true),
            (self.ignored, self.ignored_steps, "ignored", false),
            (self.flaky, 0, "flaky", false),
            (self.filtered_out, 0, "filtered out", false),
        ];
        let counts = counts.iter().filter(|(tests, steps, _, always)| *always || *tests + *steps > 0);
        let counts: String =
            counts.map(|(tests, steps, what, _)| format!(" | {tests} {what}{}", in_steps(*steps))).collect();
        show(format_args!("\n{result}{counts} {}\n\n", colors::gray(format!("({})", shown(elapsed)))));
    }
}

impl FailureText {
    fn heading(&self) -> String {
        match &self.location {
            Some(location) => format!("{} {}", self.title, colors::gray(format!("=> {location}"))),
            None => self.title.clone(),
        }
    }
}

fn in_steps(steps: usize) -> String {
    match steps {
        0 => String::new(),
        1 => " (1 step)".into(),
        _ => format!(" ({steps} steps)"),
    }
}

/// Formats a duration: in milliseconds below a second, otherwise in seconds and minutes.
pub(super) fn shown(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0 => format!("{}ms", elapsed.as_millis()),
        seconds @ 1..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}

use std::io::IsTerminal;
use std::time::Duration;

use deno_terminal::colors;

use super::item::{Item, Outcome, Reporter, show};

/// The number of characters in a line.
const WIDTH: usize = 80;

/// Prints a character for each test and step, without the output of tests.
#[derive(Default)]
pub(super) struct Dot {
    column: usize,
}

impl Reporter for Dot {
    fn module_failed(&mut self, _module: &str, _error: &str) {
        self.append(&colors::red("!").to_string());
    }

    fn test_ended(&mut self, _test: &Item, outcome: &Outcome, _elapsed: Duration) {
        self.append(&mark(outcome));
    }

    fn step_ended(&mut self, _step: &Item, outcome: &Outcome, _elapsed: Duration) {
        self.append(&mark(outcome));
    }

    fn end(&mut self) {
        if self.column > 0 {
            show("\n");
        }
    }
}

impl Dot {
    fn append(&mut self, mark: &str) {
        // Logs are displayed line by line.
        if !std::io::stdout().is_terminal() {
            show(format_args!("{mark}\n"));
            return;
        }
        if self.column == WIDTH {
            show("\n");
            self.column = 0;
        }
        show(format_args!("{mark}"));
        self.column += 1;
    }
}

fn mark(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => colors::gray(".").to_string(),
        Outcome::Ignored => colors::cyan(",").to_string(),
        Outcome::Failed(_) | Outcome::Incomplete | Outcome::Cancelled => colors::red("!").to_string(),
    }
}

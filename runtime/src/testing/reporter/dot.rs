use std::io::{IsTerminal, Write};
use std::time::Duration;

use deno_terminal::colors;

use super::{Item, Outcome, Reporter};

/// How many characters a line holds.
const WIDTH: usize = 80;

/// A character for each test and step. What tests print is left out.
#[derive(Default)]
pub(super) struct Dot {
    column: usize,
}

impl Reporter for Dot {
    fn module_failed(&mut self, _module: &str) {
        self.show(&colors::red("!").to_string());
    }

    fn test_ended(&mut self, _test: &Item, outcome: &Outcome, _elapsed: Duration) {
        self.show(&mark(outcome));
    }

    fn step_ended(&mut self, _step: &Item, outcome: &Outcome, _elapsed: Duration) {
        self.show(&mark(outcome));
    }

    fn end(&mut self) {
        if self.column > 0 {
            println!();
        }
    }
}

impl Dot {
    fn show(&mut self, mark: &str) {
        // In a log, a line that grows would not be seen.
        if !std::io::stdout().is_terminal() {
            println!("{mark}");
            return;
        }
        if self.column == WIDTH {
            println!();
            self.column = 0;
        }
        print!("{mark}");
        let _ = std::io::stdout().flush();
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

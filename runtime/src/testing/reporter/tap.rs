use std::time::Duration;

use deno_core::serde_json::json;

use super::item::{Item, Outcome, Reporter, escape, show};

/// Prints version 14 of the Test Anything Protocol, without the output of tests.
#[derive(Default)]
pub(super) struct Tap {
    /// The number of results of tests and modules.
    results: usize,
    /// The number of results of steps of the current test.
    steps: usize,
    /// Whether the current test has steps.
    in_steps: bool,
}

impl Reporter for Tap {
    fn begin(&mut self) {
        show("TAP version 14\n");
    }

    fn module(&mut self, module: &str, _tests: usize) {
        show(format_args!("# {}\n", escape(module)));
    }

    fn module_failed(&mut self, module: &str, error: &str) {
        self.results += 1;
        print_result("", self.results, &format!("{module} (uncaught error)"), "", Some((error, module, 0)));
    }

    fn test_ended(&mut self, test: &Item, outcome: &Outcome, _elapsed: Duration) {
        if std::mem::take(&mut self.in_steps) {
            show(format_args!("    1..{}\n", std::mem::take(&mut self.steps)));
        }
        self.results += 1;
        print_outcome("", self.results, test, outcome);
    }

    fn step_started(&mut self, step: &Item) {
        if !std::mem::replace(&mut self.in_steps, true) {
            show(format_args!("# Subtest: {}\n", name(&step.path[0])));
        }
    }

    fn step_ended(&mut self, step: &Item, outcome: &Outcome, _elapsed: Duration) {
        self.steps += 1;
        print_outcome("    ", self.steps, step, outcome);
    }

    fn end(&mut self) {
        show(format_args!("1..{}\n", self.results));
    }
}

fn print_outcome(indent: &str, number: usize, item: &Item, outcome: &Outcome) {
    let directive = if matches!(outcome, Outcome::Ignored) { " # SKIP" } else { "" };
    let message = outcome.message();
    let (file, line, _) = item.position();
    let failure = message.as_deref().map(|message| (message, file, line));
    print_result(indent, number, &item.name, directive, failure);
}

/// Prints a result. That of a failure includes its message, file and line.
fn print_result(indent: &str, number: usize, title: &str, directive: &str, failure: Option<(&str, &str, u32)>) {
    let result = if failure.is_some() { "not ok" } else { "ok" };
    show(format_args!("{indent}{result} {number} - {}{directive}\n", name(title)));
    if let Some((message, file, line)) = failure {
        let details = json!({ "message": message, "severity": "fail", "at": { "file": file, "line": line } });
        show(format_args!("{indent}  ---\n{indent}  {details}\n{indent}  ...\n"));
    }
}

/// Returns a name on one line, in which nothing looks like a directive.
fn name(name: &str) -> String {
    escape(name).replace('#', "\\#")
}

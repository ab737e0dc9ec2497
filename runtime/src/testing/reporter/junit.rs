use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::options::JunitFile;
use super::item::{Item, Outcome, Reporter, show};

/// Writes an XML file in the format of JUnit at the end of the run.
pub(super) struct Junit {
    file: JunitFile,
    started: Instant,
    suites: Vec<Suite>,
    /// The steps of the current test, which follow it in the file.
    steps: Vec<String>,
}

/// The results of a module.
#[derive(Default)]
struct Suite {
    module: String,
    cases: Vec<String>,
    ignored: usize,
    failed: usize,
    errors: usize,
}

impl Junit {
    pub fn new(file: JunitFile) -> Self {
        Self { file, started: Instant::now(), suites: Vec::new(), steps: Vec::new() }
    }

    fn suite(&mut self) -> &mut Suite {
        if self.suites.is_empty() {
            self.suites.push(Suite::default());
        }
        self.suites.last_mut().expect("there is a suite")
    }

    fn case(&mut self, item: &Item, outcome: &Outcome, elapsed: Duration) -> String {
        let suite = self.suite();
        let name = escape(&item.path.iter().chain([&item.name]).map(String::as_str).collect::<Vec<_>>().join(" > "));
        let (_, line, column) = item.position();
        let content = match (outcome, outcome.message()) {
            (Outcome::Ignored, _) => {
                suite.ignored += 1;
                "            <skipped/>\n".into()
            }
            (_, Some(message)) => {
                suite.failed += 1;
                let summary = escape(message.lines().next().unwrap_or_default());
                format!("            <failure message=\"{summary}\">{}</failure>\n", escape(&message))
            }
            (_, None) => String::new(),
        };
        format!(
            "        <testcase name=\"{name}\" classname=\"{}\" time=\"{:.3}\" line=\"{line}\" col=\"{column}\">\n\
             {content}        </testcase>\n",
            escape(&suite.module),
            elapsed.as_secs_f64()
        )
    }

    fn text(&self) -> String {
        let sum = |count: fn(&Suite) -> usize| self.suites.iter().map(count).sum::<usize>();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"openkv test\" tests=\"{}\" failures=\"{}\" \
             errors=\"{}\" time=\"{:.3}\">\n",
            sum(|suite| suite.cases.len()),
            sum(|suite| suite.failed),
            sum(|suite| suite.errors),
            self.started.elapsed().as_secs_f64()
        );
        for Suite { module, cases, ignored, failed, errors } in &self.suites {
            let (module, tests) = (escape(module), cases.len());
            let _ = writeln!(
                text,
                "    <testsuite name=\"{module}\" tests=\"{tests}\" disabled=\"{ignored}\" errors=\"{errors}\" \
                 failures=\"{failed}\">\n{}    </testsuite>",
                cases.concat()
            );
        }
        text + "</testsuites>\n"
    }
}

impl Reporter for Junit {
    fn module(&mut self, module: &str, _tests: usize) {
        self.suites.push(Suite { module: module.into(), ..Suite::default() });
    }

    fn module_failed(&mut self, module: &str, error: &str) {
        if self.suites.last().is_none_or(|suite| suite.module != module) {
            self.module(module, 0);
        }
        let (name, message) = (escape(module), escape(error.lines().next().unwrap_or_default()));
        let suite = self.suite();
        suite.errors += 1;
        suite.cases.push(format!(
            "        <testcase name=\"{name}\" classname=\"{name}\" time=\"0.000\">\n            \
             <error message=\"{message}\">{}</error>\n        </testcase>\n",
            escape(error)
        ));
    }

    fn test_ended(&mut self, test: &Item, outcome: &Outcome, elapsed: Duration) {
        let case = self.case(test, outcome, elapsed);
        let steps = std::mem::take(&mut self.steps);
        self.suite().cases.extend([case].into_iter().chain(steps));
    }

    fn step_ended(&mut self, step: &Item, outcome: &Outcome, elapsed: Duration) {
        let case = self.case(step, outcome, elapsed);
        self.steps.push(case);
    }

    fn end(&mut self) {
        let text = self.text();
        match &self.file {
            JunitFile::Stdout => show(text),
            JunitFile::Path(file) => {
                let directory = file.parent().unwrap_or(Path::new(""));
                if let Err(error) = fs::create_dir_all(directory).and_then(|()| fs::write(file, text)) {
                    eprintln!("failed to write the results of tests to {file:?}: {error}");
                }
            }
        }
    }
}

/// Escapes text for XML, without the characters that XML cannot contain.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => escaped.push(c),
        }
        escaped
    })
}

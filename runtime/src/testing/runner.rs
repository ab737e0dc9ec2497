use std::cell::Cell;
use std::process;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use deno_core::error::{CoreError, CoreErrorKind};
use deno_core::serde_json::{self, Value, json};
use deno_core::{PollEventLoopOptions, serde_v8, v8};
use deno_error::JsErrorBox;
use deno_terminal::colors;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::de::DeserializeOwned;

use super::leaks::LeakCheck;
use super::options::TestOptions;
use super::output::Output;
use super::plan::{Event, JsOutcome, Test};
use super::reporter::{Failure, Item, Outcome, Report, SharedReport};
use super::tick::tick;
use crate::extensions::interrupt::{INTERVAL, Interrupter, MAX_INTERVAL};
use crate::extensions::testing::EventSink;
use crate::report::{report, report_caught};
use crate::runtime::{Runtime, close_databases};

/// The explanation of an error that no test has caught.
const UNCAUGHT: &str = "\nThis error was not caught by a test, so the other tests of the module do not run. It was thrown by the\n\
    top level or a hook of the module, or by a timer, an event listener or a promise that was not awaited.";

/// Runs the tests of one module.
pub(super) struct Runner<'a> {
    runtime: Runtime,
    /// The name of the module, for display.
    module: String,
    options: &'a TestOptions,
    report: SharedReport,
    output: Output,
    /// The exit code of a `Deno.exit` outside of the tests.
    exited: Rc<Cell<Option<i32>>>,
}

/// A test to run, with its index in the module.
struct Planned {
    index: usize,
    test: Test,
    item: Item,
}

impl<'a> Runner<'a> {
    pub fn new(
        mut runtime: Runtime,
        module: String,
        options: &'a TestOptions,
        report: SharedReport,
        output: Output,
    ) -> Self {
        let exited = Rc::new(Cell::new(None));
        let interrupter = runtime.interrupter().clone();
        let sink = {
            let (exited, report, output) = (exited.clone(), report.clone(), output.clone());
            move |event| {
                let now = Instant::now();
                output.drain();
                if let Some(code) = handle(serde_json::from_value(event)?, now, &mut report.lock()) {
                    exited.set(Some(code));
                    interrupter.terminate();
                }
                Ok(())
            }
        };
        runtime.js().op_state().borrow_mut().put(EventSink(Box::new(sink)));
        Self { runtime, module, options, report, output, exited }
    }

    pub async fn run(mut self) {
        if let Err(error) = self.try_run().await {
            self.fail(&error);
        }
        self.output.drain();
    }

    /// Reports an error that no test caught.
    fn fail(&self, error: &CoreError) {
        let mut text = report(error).trim_start_matches("Uncaught ").to_owned();
        if let Some(code) = self.exited.get() {
            text = format!("Deno.exit({code}) was called outside of a test, so the tests of the module do not run.");
        } else if let CoreErrorKind::Js(_) = error.as_kind() {
            text.push_str(UNCAUGHT);
        }
        self.with_report(|report, module| report.module_failed(module, text));
    }

    async fn try_run(&mut self) -> Result<(), CoreError> {
        let main = self.runtime.main_module().clone();
        let module = self.runtime.js().load_side_es_module(&main).await?;
        self.runtime.evaluate(module).await?;
        // Exceptions of the module are raised in the event loop.
        tick(self.runtime.js()).await?;

        let tests: Vec<Test> = self.call("tests", &[]).await?;
        let total = tests.len();
        let with_only = tests.iter().any(|test| test.only);
        let planned = self.plan(tests, with_only);
        let filtered_out = total - planned.len();
        self.with_report(|report, module| {
            // A module whose tests are all filtered out is not printed.
            if planned.is_empty() && total > 0 {
                report.filtered_out(filtered_out);
            } else {
                report.module(module, planned.len(), filtered_out, with_only);
            }
        });
        if !planned.is_empty() {
            match self.call("beforeAll", &[]).await {
                Ok(()) => self.run_tests(&planned).await,
                Err(error) => self.fail(&error),
            }
            self.with_report(|report, _| report.tests_ended());
            // Cleans up in any case.
            self.call::<()>("afterAll", &[]).await?;
        }
        self.runtime.unload().map(drop)
    }

    fn plan(&self, tests: Vec<Test>, with_only: bool) -> Vec<Planned> {
        let is_selected = |test: &Test| {
            (test.only || !with_only) && self.options.filter.as_ref().is_none_or(|filter| filter.matches(&test.name))
        };
        let mut planned: Vec<_> = tests
            .into_iter()
            .enumerate()
            .filter(|(_, test)| is_selected(test))
            .map(|(index, test)| {
                let item = Item { name: test.name.clone(), path: vec![], location: test.location.shown() };
                Planned { index, test, item }
            })
            .collect();
        if let Some(seed) = self.options.shuffle {
            planned.shuffle(&mut StdRng::seed_from_u64(seed));
        }
        planned
    }

    async fn run_tests(&mut self, planned: &[Planned]) {
        for (i, Planned { index, test, item }) in planned.iter().enumerate() {
            if test.ignore {
                self.with_report(|report, _| report.test_ended(item, Outcome::Ignored, Duration::ZERO, false));
                continue;
            }
            self.with_report(|report, _| report.test_started(item));
            let started = Instant::now();
            let result = self.repeat(*index, test, item).await;
            let elapsed = started.elapsed();
            match result {
                Ok((outcome, flaky)) => self.with_report(|report, _| report.test_ended(item, outcome, elapsed, flaky)),
                Err(error) => {
                    // The line of the module comes first, as it has the reason.
                    self.fail(&error);
                    self.with_report(|report, _| {
                        for Planned { item, .. } in &planned[i..] {
                            report.test_ended(item, Outcome::Cancelled, Duration::ZERO, false);
                        }
                    });
                    break;
                }
            }
            if self.report.lock().is_over(self.options.fail_fast) {
                break;
            }
        }
    }

    /// Runs a test with its repeats and retries. Returns its outcome, and whether it failed before it passed.
    async fn repeat(&mut self, index: usize, test: &Test, item: &Item) -> Result<(Outcome, bool), CoreError> {
        let mut flaky = false;
        for _ in 0..=test.repeats.unwrap_or(self.options.repeats) {
            let mut attempt = 1;
            loop {
                let Some(failure) = self.attempt(index, test).await? else { break };
                if attempt > test.retry.unwrap_or(self.options.retry) {
                    return Ok((Outcome::Failed(failure), false));
                }
                flaky = true;
                self.with_report(|report, _| report.test_retried(item, attempt, &failure));
                attempt += 1;
            }
        }
        Ok((Outcome::Ok, flaky))
    }

    /// Runs a test once. Returns the failure, if it failed.
    async fn attempt(&mut self, index: usize, test: &Test) -> Result<Option<Failure>, CoreError> {
        let leaks = LeakCheck::begin(
            self.runtime.js(),
            test.sanitize_ops.unwrap_or(self.options.sanitize_ops),
            test.sanitize_resources.unwrap_or(self.options.sanitize_resources),
        );
        let arguments = [json!(index), json!(self.runtime.main_module())];
        let limit = test.timeout.filter(|limit| *limit > 0).map(|limit| Duration::from_millis(limit.into()));
        let outcome = match limit {
            None => self.call("run", &arguments).await,
            Some(limit) => {
                let watchdog = Watchdog::start(self.runtime.interrupter().clone(), limit);
                let outcome = tokio::time::timeout(limit, self.call("run", &arguments)).await;
                let is_late = watchdog.stop();
                self.runtime.interrupter().cancel();
                match outcome {
                    Ok(outcome) if !is_late => outcome,
                    _ => {
                        return Ok(Some(Failure::Error(format!("The test timed out after {}ms.", limit.as_millis()))));
                    }
                }
            }
        };
        let outcome = match outcome {
            Err(error) if matches!(error.as_kind(), CoreErrorKind::PendingPromiseResolution) => {
                return Ok(Some(Failure::Error(
                    "The test awaits a promise that never resolves: no pending operation could resolve it.".into(),
                )));
            }
            outcome => outcome?,
        };
        match (failure(outcome), leaks) {
            (None, Some(leaks)) => Ok(leaks.end(self.runtime.js()).await?.map(Failure::Error)),
            (failure, _) => Ok(failure),
        }
    }

    /// Calls a function of the module's test runner, and waits for its result.
    async fn call<T: DeserializeOwned>(&mut self, name: &'static str, arguments: &[Value]) -> Result<T, CoreError> {
        let function = self.runtime.test_function(name);
        let js = self.runtime.js();
        let arguments: Vec<_> = {
            deno_core::scope!(scope, js);
            let global = |argument| {
                let argument = serde_v8::to_v8(scope, argument).expect("the arguments are plain data");
                v8::Global::new(scope, argument)
            };
            arguments.iter().map(global).collect()
        };
        let result = Box::pin(js.call_with_args(&function, &arguments));
        let result = js.with_event_loop_promise(result, PollEventLoopOptions::default()).await?;
        deno_core::scope!(scope, js);
        let result = v8::Local::new(scope, result);
        // Invalid if a script has modified `Array.prototype`.
        Ok(serde_v8::from_v8(scope, result).map_err(JsErrorBox::from_err)?)
    }

    /// Updates the report, after all output so far.
    fn with_report(&self, update: impl FnOnce(&mut Report, &str)) {
        self.output.drain();
        update(&mut self.report.lock(), &self.module);
    }
}

/// Handles an event. Returns the exit code of a `Deno.exit` outside of tests. Within a test that may call it, exits the process.
fn handle(event: Event, at: Instant, report: &mut Report) -> Option<i32> {
    match event {
        Event::StepStarted { id, name, path, location } => {
            report.step_started(id, Item { name, path, location: location.shown() }, at);
        }
        Event::StepEnded { id, outcome } => {
            let outcome = match outcome {
                JsOutcome::Ignored => Outcome::Ignored,
                JsOutcome::Incomplete => Outcome::Incomplete,
                outcome => failure(outcome).map_or(Outcome::Ok, Outcome::Failed),
            };
            report.step_ended(id, outcome, at);
        }
        Event::Exited { code } => {
            let Some(Item { name, location, .. }) = report.running() else { return Some(code) };
            let warning = colors::yellow("Warning");
            eprintln!(
                "\n{warning} The test \"{name}\" ({location}) called Deno.exit({code}), which its options allow: the run stops."
            );
            close_databases();
            process::exit(code);
        }
    }
    None
}

fn failure(outcome: JsOutcome) -> Option<Failure> {
    match outcome {
        JsOutcome::Ok | JsOutcome::Ignored => None,
        JsOutcome::Failed { error } => Some(Failure::Error(report_caught(&error))),
        JsOutcome::FailedSteps { count } => Some(Failure::FailedSteps(count)),
        JsOutcome::IncompleteSteps | JsOutcome::Incomplete => Some(Failure::IncompleteSteps),
    }
}

/// Interrupts a script that does not return to the event loop in time.
struct Watchdog {
    stop: Sender<()>,
    thread: Option<JoinHandle<bool>>,
}

impl Watchdog {
    fn start(interrupter: Interrupter, limit: Duration) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("openkv-test-watchdog".into()).spawn(move || {
            let is_stopped_in = |time| stopped.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
            if is_stopped_in(limit) {
                return false;
            }
            let mut interval = INTERVAL;
            interrupter.interrupt();
            while !is_stopped_in(interval) {
                interrupter.interrupt();
                interval = MAX_INTERVAL.min(2 * interval);
            }
            true
        });
        // Without a thread, a test that never awaits is not interrupted.
        Self { stop, thread: thread.ok() }
    }

    /// Stops the watchdog. Returns whether the time was up.
    fn stop(self) -> bool {
        drop(self.stop);
        self.thread.is_some_and(|thread| thread.join().unwrap_or(false))
    }
}

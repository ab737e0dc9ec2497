use deno_core::error::JsError;
use deno_core::url::Url;
use serde::Deserialize;

use super::shown::shown;

/// A test as its module registered it. The index in the module's list is how the runner names it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Test {
    pub name: String,
    pub ignore: bool,
    pub only: bool,
    pub location: Location,
    pub repeats: Option<u32>,
    pub retry: Option<u32>,
    pub sanitize_ops: Option<bool>,
    pub sanitize_resources: Option<bool>,
    /// In milliseconds. Zero stands for none.
    pub timeout: Option<u32>,
}

/// A place in a source.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location {
    file_name: String,
    line_number: u32,
    column_number: u32,
}

impl Location {
    /// As the user sees it.
    pub fn shown(&self) -> String {
        let file = Url::parse(&self.file_name).map_or_else(|_| self.file_name.clone(), |url| shown(&url));
        format!("{file}:{}:{}", self.line_number, self.column_number)
    }
}

/// What a module tells while a test runs.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(super) enum Event {
    StepStarted {
        id: u32,
        name: String,
        /// The names of the test and the steps that it is in.
        path: Vec<String>,
        location: Location,
    },
    StepEnded {
        id: u32,
        outcome: JsOutcome,
    },
    /// Something called `Deno.exit`, and may.
    Exited {
        code: i32,
    },
}

/// How a test or a step ended, as the module tells it.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(super) enum JsOutcome {
    Ok,
    Ignored,
    Failed { error: Box<JsError> },
    FailedSteps { count: usize },
    IncompleteSteps,
    Incomplete,
}

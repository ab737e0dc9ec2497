use deno_core::error::JsError;
use deno_core::url::Url;
use serde::Deserialize;

use super::shown::shown;

/// A test as registered by its module. The runner identifies it by its index in the list of the module.
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
    /// In milliseconds. Zero means no timeout.
    pub timeout: Option<u32>,
}

/// A position in a source.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location {
    file_name: String,
    line_number: u32,
    column_number: u32,
}

impl Location {
    /// Returns the location for display.
    pub fn shown(&self) -> String {
        let file = Url::parse(&self.file_name).map_or_else(|_| self.file_name.clone(), |url| shown(&url));
        format!("{file}:{}:{}", self.line_number, self.column_number)
    }
}

/// An event during a test.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(super) enum Event {
    StepStarted {
        id: u32,
        name: String,
        /// The names of the test and the enclosing steps.
        path: Vec<String>,
        location: Location,
    },
    StepEnded {
        id: u32,
        outcome: JsOutcome,
    },
    /// `Deno.exit` was called where it is allowed.
    Exited {
        code: i32,
    },
}

/// The outcome of a test or a step, as reported by the module.
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

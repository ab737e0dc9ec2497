use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::filter::Filter;

/// The format of the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReporterKind {
    /// A line for each test, and the output of tests.
    #[default]
    Pretty,
    /// A character for each test.
    Dot,
    /// The Test Anything Protocol.
    Tap,
    /// XML in the format of JUnit.
    Junit,
}

/// Where a report in the format of JUnit is written to, in addition to the results.
#[derive(Clone, Debug)]
pub enum JunitFile {
    /// The standard output.
    Stdout,
    /// A file, whose directory is created.
    Path(PathBuf),
}

/// The options of a test run.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// Selects the tests to run by their names. Without a filter, all run.
    pub filter: Option<Filter>,
    /// The number of failures after which the run stops.
    pub fail_fast: Option<NonZeroUsize>,
    /// The seed to shuffle the order of tests with.
    pub shuffle: Option<u64>,
    /// The maximum number of retries of a failed test, unless it has its own.
    pub retry: u32,
    /// The number of repeated runs of a passed test, unless it has its own.
    pub repeats: u32,
    /// Whether tests that leak asynchronous operations or timers fail, unless they have their own option.
    pub sanitize_ops: bool,
    /// Whether tests that leak files, sockets or databases fail, unless they have their own option.
    pub sanitize_resources: bool,
    /// The format of the results.
    pub reporter: ReporterKind,
    /// Where a report in the format of JUnit is written to, if anywhere.
    pub junit_file: Option<JunitFile>,
}

use std::num::NonZeroUsize;

use super::filter::Filter;
use super::reporter::ReporterKind;

/// Which tests run, and how.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// Which tests run, by their names. None stands for all.
    pub filter: Option<Filter>,
    /// After how many failures the rest is left out.
    pub fail_fast: Option<NonZeroUsize>,
    /// Mixes the order of tests, the same for the same number.
    pub shuffle: Option<u64>,
    /// How often a test that fails is tried again, where it does not say itself.
    pub retry: u32,
    /// How often a test runs again after it passed, where it does not say itself.
    pub repeats: u32,
    /// Whether a test fails that leaves asynchronous operations or timers, where it does not say itself.
    pub sanitize_ops: bool,
    /// Whether a test fails that leaves files, sockets or databases open, where it does not say itself.
    pub sanitize_resources: bool,
    /// How the results are shown.
    pub reporter: ReporterKind,
}

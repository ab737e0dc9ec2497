/// The result of a [`TestRun`](super::TestRun).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No test failed.
    Passed,
    /// A test or a module failed.
    Failed,
    /// No test failed, but a module ran only the tests that are marked with `only`.
    PassedWithOnly,
}

/// How a [`TestRun`](super::TestRun) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No test failed.
    Passed,
    /// A test or a module failed.
    Failed,
    /// No test failed, but a module ran some of its tests only, because they are marked so.
    PassedWithOnly,
}

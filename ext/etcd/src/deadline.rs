use std::time::Duration;

use tokio::time::Instant;

use crate::EtcdError;

/// Until when to repeat what other processes or expired leases make fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
    retry_for: Duration,
}

impl Deadline {
    pub fn new(retry_for: Duration) -> Self {
        Self { start: Instant::now(), retry_for }
    }

    /// Fails once the time is over, with the error of its length in seconds.
    pub fn check(self, error: impl FnOnce(u64) -> EtcdError) -> Result<(), EtcdError> {
        let elapsed = self.start.elapsed();
        if elapsed < self.retry_for { Ok(()) } else { Err(error(elapsed.as_secs())) }
    }
}

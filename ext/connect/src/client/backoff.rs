use std::time::Duration;

use openkv_engine::Random;
use tokio::time::Instant;

/// The delays between the attempts of a call. They grow exponentially until the time for retries is over.
pub(crate) struct Backoff<'r> {
    random: &'r dyn Random,
    attempts: u32,
    start: Instant,
    retry_for: Duration,
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

impl<'r> Backoff<'r> {
    pub fn new(random: &'r dyn Random, retry_for: Duration) -> Self {
        Self::since(Instant::now(), random, retry_for)
    }

    /// The delays of a call that was made earlier.
    pub fn since(start: Instant, random: &'r dyn Random, retry_for: Duration) -> Self {
        Self { random, attempts: 0, start, retry_for }
    }

    /// Waits before the next attempt, at least as long as the server asks for. Returns false, without waiting, if the delay would
    /// exceed the time for retries.
    pub async fn wait(&mut self, at_least: Option<Duration>) -> bool {
        let most = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        let delay = most.mul_f64(0.5 + 0.5 * fraction(self.random)).max(at_least.unwrap_or_default());
        self.attempts += 1;
        // The delay may be any number that the server sends.
        if self.start.elapsed().saturating_add(delay) > self.retry_for {
            return false;
        }
        tokio::time::sleep(delay).await;
        true
    }
}

/// Draws a number from 0 to 1.
pub(crate) fn fraction(random: &dyn Random) -> f64 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn delays_grow_until_time_is_over() {
        let start = Instant::now();
        let mut backoff = Backoff::new(&Fixed(255), Duration::from_secs(12));
        let mut delays = Vec::new();
        let mut last = start;
        while backoff.wait(None).await {
            delays.push((Instant::now() - last).as_millis());
            last = Instant::now();
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000]);
    }

    #[tokio::test(start_paused = true)]
    async fn server_may_request_longer_delays() {
        let start = Instant::now();
        let mut backoff = Backoff::new(&Fixed(0), Duration::from_secs(3));
        assert!(backoff.wait(Some(Duration::from_secs(2))).await);
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        assert!(!backoff.wait(Some(Duration::from_secs(2))).await);
        assert!(backoff.wait(None).await);
        assert_eq!(start.elapsed(), Duration::from_millis(2200));
    }

    #[tokio::test(start_paused = true)]
    async fn extreme_durations_do_not_overflow() {
        assert!(!Backoff::new(&Fixed(0), Duration::from_secs(3)).wait(Some(Duration::MAX)).await);
        assert!(Backoff::new(&Fixed(0), Duration::MAX).wait(None).await);
    }
}

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use openkv_engine::{Clock, SystemClock};

/// An estimate of the clock of the server: its time at the last response, plus the time since then. It is late by up to the time
/// that the response took.
pub(crate) struct ServerClock {
    start: Instant,
    /// The time of the server at `start`, in milliseconds since the Unix epoch.
    at_start: AtomicU64,
    /// The last time that was returned.
    last: AtomicU64,
}

/// By how many milliseconds an estimate may be less than an earlier one, because the response took longer. Times do not step back
/// for this reason, so that messages keep their order. A greater difference is a step of the clock.
const JITTER: u64 = 1000;

impl Default for ServerClock {
    fn default() -> Self {
        Self { start: Instant::now(), at_start: SystemClock.now().into(), last: AtomicU64::new(0) }
    }
}

impl ServerClock {
    pub fn now(&self) -> u64 {
        let now = self.at_start.load(Ordering::Relaxed).saturating_add(self.start.elapsed().as_millis() as u64);
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        if last <= now {
            return now;
        }
        if last - now < JITTER {
            return last;
        }
        self.last.store(now, Ordering::Relaxed);
        now
    }

    /// Sets the time from a response of the server.
    pub fn set(&self, now: i64) {
        let at_start = u64::try_from(now).unwrap_or_default().saturating_sub(self.start.elapsed().as_millis() as u64);
        self.at_start.store(at_start, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_follows_the_server_without_jitter() {
        let clock = ServerClock::default();
        clock.set(100_000);
        let first = clock.now();
        assert!(first >= 100_000);
        clock.set(99_500);
        assert!(clock.now() >= first);
        clock.set(200_000);
        assert!(clock.now() >= 200_000);
        clock.set(50_000);
        assert!(clock.now() < 100_000, "the clock of the server was set back");
    }
}

use std::sync::{Arc, LazyLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The clock of the engine: the wall clock for stored times, such as the expiry of a value, and a monotonic clock for intervals,
/// such as that of polling for external commits.
pub trait Clock: Send + Sync {
    /// Returns the milliseconds since the Unix epoch. May step forwards and backwards, when the clock is set.
    fn now(&self) -> u64;

    /// Returns the milliseconds since an arbitrary moment. Never steps back. By default the operating system's monotonic clock;
    /// a test with a manual clock overrides this, too.
    fn monotonic(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_millis() as u64
    }
}

/// A shared clock, such as one that a test advances.
impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> u64 {
        (**self).now()
    }

    fn monotonic(&self) -> u64 {
        (**self).monotonic()
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        // A clock set before 1970 counts as 1970: nothing has expired yet.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
    }
}

/// A point in time by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Milliseconds since the Unix epoch.
    pub wall: u64,
    /// Milliseconds of the monotonic clock.
    pub monotonic: u64,
}

impl Moment {
    /// Reads a clock.
    pub fn now(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic() }
    }

    /// Returns how long it is until a time of the wall clock, in milliseconds.
    pub fn until_wall(self, time: u64) -> u64 {
        time.saturating_sub(self.wall)
    }

    /// Returns how long it is until a time of the monotonic clock, in milliseconds.
    pub fn until(self, time: u64) -> u64 {
        time.saturating_sub(self.monotonic)
    }
}

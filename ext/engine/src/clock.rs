use std::sync::{Arc, LazyLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the engine reads the time: the wall clock for what it stores, such as when a value expires, and a monotonic clock
/// for intervals, such as how often it looks for the commits of other processes.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May step forwards and back, as when somebody sets the clock.
    fn now(&self) -> u64;

    /// Milliseconds since some moment. Never steps back. By default the operating system's monotonic clock, which a test
    /// that moves the time by hand replaces as well.
    fn monotonic(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_millis() as u64
    }
}

/// A clock that is shared, as with the test that moves it.
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

/// A moment by both clocks.
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

    /// How long it is until a time of the wall clock, in milliseconds.
    pub fn until_wall(self, time: u64) -> u64 {
        time.saturating_sub(self.wall)
    }

    /// How long it is until a time of the monotonic clock, in milliseconds.
    pub fn until(self, time: u64) -> u64 {
        time.saturating_sub(self.monotonic)
    }
}

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time at which a value expires or a message is due, by the clock of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// An absolute time in milliseconds since the Unix epoch, as it is stored.
    At(u64),
    /// A time relative to the call of the write. [`Database::write`](crate::Database::write) converts it to [`Time::At`], so that
    /// backends receive absolute times only.
    In(Duration),
}

impl Time {
    /// Returns the time in milliseconds since the Unix epoch. `now` is the time of the call.
    pub fn millis(self, now: u64) -> u64 {
        match self {
            Time::At(millis) => millis,
            Time::In(duration) => now.saturating_add(to_millis(duration)),
        }
    }
}

impl From<SystemTime> for Time {
    /// Converts a time. One before 1970 becomes 1970.
    fn from(time: SystemTime) -> Self {
        Time::At(time.duration_since(UNIX_EPOCH).map_or(0, to_millis))
    }
}

impl From<Duration> for Time {
    fn from(duration: Duration) -> Self {
        Time::In(duration)
    }
}

/// Returns a duration in milliseconds, rounded up.
pub(crate) fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

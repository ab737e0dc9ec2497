use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a value ceases to exist, or a message may be delivered, by the clock of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// A time, in milliseconds since the Unix epoch, as it is stored.
    At(u64),
    /// So long after the call that writes it. [`Database::write`](crate::Database::write) makes a [`Time::At`] of it, so that
    /// backends are given no other.
    In(Duration),
}

impl Time {
    /// Returns the time in milliseconds since the Unix epoch, where `now` is that of the call.
    pub fn millis(self, now: u64) -> u64 {
        match self {
            Time::At(millis) => millis,
            Time::In(duration) => now.saturating_add(to_millis(duration)),
        }
    }
}

impl From<SystemTime> for Time {
    /// A time before 1970 becomes 1970.
    fn from(time: SystemTime) -> Self {
        Time::At(time.duration_since(UNIX_EPOCH).map_or(0, to_millis))
    }
}

impl From<Duration> for Time {
    fn from(duration: Duration) -> Self {
        Time::In(duration)
    }
}

/// Returns a duration in milliseconds, none shorter than it is.
pub(crate) fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

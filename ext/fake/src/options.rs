use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use openkv_engine::Limits;

use crate::Fault;

/// The options of a server.
///
/// ```
/// use openkv_fake::{Events, Options};
///
/// let options: Options = "delay=0..5,seed=7,errors=0.01,lost=0.01,watch=entries".parse()?;
/// assert_eq!((options.delay, options.seed, options.events), (0..=5, 7, Events::Entries));
/// # Ok::<(), openkv_fake::ParseOptionsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The range of the delays of each request and each reply, in milliseconds. By default, 0.
    pub delay: RangeInclusive<u64>,
    /// The seed of the random delays and faults.
    pub seed: u64,
    /// The probability, from 0 to 1, that a request fails, or that a watch ends with an error instead of an event. By default, 0.
    pub errors: f64,
    /// The probability, from 0 to 1, that the reply to a processed request is lost. By default, 0.
    pub lost: f64,
    /// Planned faults by the number of the request, counted from 0, not including those that open a database. They take precedence
    /// over drawn ones.
    pub faults: BTreeMap<u64, Fault>,
    /// The events of watches.
    pub events: Events,
    /// The limits of the database.
    pub limits: Limits,
}

/// The kind of the events of a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Events {
    /// Notifications that a key may have changed.
    #[default]
    Changed,
    /// The entries of the keys.
    Entries,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delay: 0..=0,
            seed: 0,
            errors: 0.0,
            lost: 0.0,
            faults: BTreeMap::new(),
            events: Events::default(),
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// Sets [`Options::delay`].
    #[must_use]
    pub fn delay(self, delay: RangeInclusive<u64>) -> Self {
        Self { delay, ..self }
    }

    /// Plans the fault of a request: see [`Options::faults`].
    #[must_use]
    pub fn fault(mut self, request: u64, fault: Fault) -> Self {
        self.faults.insert(request, fault);
        self
    }

    /// Sets [`Options::events`].
    #[must_use]
    pub fn events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// Sets [`Options::limits`].
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// The error of a string with an invalid option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid option of the fake backend: {0:?}: supported are delay=MIN..MAX, seed=NUMBER, errors=PROBABILITY, lost=PROBABILITY and watch=changed|entries"
)]
pub struct ParseOptionsError(String);

impl FromStr for Options {
    type Err = ParseOptionsError;

    /// Parses options separated by commas. The string may be empty.
    fn from_str(string: &str) -> Result<Self, Self::Err> {
        let mut options = Self::default();
        for option in string.split(',').filter(|option| !option.is_empty()) {
            options.set(option).ok_or_else(|| ParseOptionsError(option.to_owned()))?;
        }
        Ok(options)
    }
}

impl Options {
    fn set(&mut self, option: &str) -> Option<()> {
        let (name, value) = option.split_once('=')?;
        match name {
            "delay" => {
                let (min, max) = value.split_once("..")?;
                let delay = min.parse().ok()?..=max.parse().ok()?;
                self.delay = Some(delay).filter(|delay| !delay.is_empty())?;
            }
            "seed" => self.seed = value.parse().ok()?,
            "errors" => self.errors = probability(value)?,
            "lost" => self.lost = probability(value)?,
            "watch" => {
                self.events = match value {
                    "changed" => Events::Changed,
                    "entries" => Events::Entries,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

fn probability(value: &str) -> Option<f64> {
    value.parse().ok().filter(|probability| (0.0..=1.0).contains(probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_options_are_rejected() {
        for string in
            ["delay", "delay=1", "delay=5..1", "errors=2", "errors=NaN", "watch=all", "other=1", "seed=1,,lost=x"]
        {
            assert!(string.parse::<Options>().is_err(), "{string}");
        }
        assert_eq!("".parse(), Ok(Options::default()));
    }
}

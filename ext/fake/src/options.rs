use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use openkv_engine::Limits;

use crate::Fault;

/// How a server behaves.
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
    /// How long a request and an answer are on their way, each, in milliseconds. By default, no time.
    pub delay: RangeInclusive<u64>,
    /// What delays and faults are drawn from.
    pub seed: u64,
    /// How likely a request fails, and a watch ends with an error where it has something to report: from 0 to 1. By default, never.
    pub errors: f64,
    /// How likely the answer to a request that was carried out is lost, from 0 to 1. By default, never.
    pub lost: f64,
    /// What goes wrong with which request, counted from 0 without those that open a database, whatever is drawn.
    pub faults: BTreeMap<u64, Fault>,
    /// What watches come with.
    pub events: Events,
    /// What the database checks.
    pub limits: Limits,
}

/// What the events of a watch are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Events {
    /// That a key may have changed.
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

    /// Plans what goes wrong with a request: see [`Options::faults`].
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

/// A text that names no options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid option of the fake backend, {0:?}: give some of delay=FIRST..LAST, seed=NUMBER, errors=SHARE, lost=SHARE and watch=changed|entries"
)]
pub struct ParseOptionsError(String);

impl FromStr for Options {
    type Err = ParseOptionsError;

    /// Reads options separated by commas. The text may be empty.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut options = Self::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
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
                let (first, last) = value.split_once("..")?;
                let delay = first.parse().ok()?..=last.parse().ok()?;
                self.delay = Some(delay).filter(|delay| !delay.is_empty())?;
            }
            "seed" => self.seed = value.parse().ok()?,
            "errors" => self.errors = share(value)?,
            "lost" => self.lost = share(value)?,
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

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_what_is_no_option() {
        for text in
            ["delay", "delay=1", "delay=5..1", "errors=2", "errors=NaN", "watch=all", "other=1", "seed=1,,lost=x"]
        {
            assert!(text.parse::<Options>().is_err(), "{text}");
        }
        assert_eq!("".parse(), Ok(Options::default()));
    }
}

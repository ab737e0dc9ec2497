use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Cause, Error};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Options;

/// A fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request fails, and changes nothing.
    Fail,
    /// The request is processed, and its reply is lost.
    Lose,
}

/// The cause of an injected error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was lost (injected for a test): try again")]
pub struct Injected;

impl Fault {
    /// Returns the error of a read, for which both faults are the same.
    pub(crate) fn of_read() -> Error {
        Error::Storage(Cause::new(Injected))
    }

    /// Returns the error of a write.
    pub(crate) fn of_write(self) -> Error {
        match self {
            Fault::Fail => Self::of_read(),
            Fault::Lose => Error::OutcomeUnknown(Arc::new(Self::of_read())),
        }
    }
}

/// Draws delays and faults from the seed: the same for the same sequence of requests.
pub(crate) struct Faults {
    options: Options,
    random: StdRng,
    requests: u64,
}

impl Faults {
    pub fn new(options: Options) -> Self {
        Self { random: StdRng::seed_from_u64(options.seed), options, requests: 0 }
    }

    pub fn delay(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(self.options.delay.clone()))
    }

    /// Returns the fault of the next request, if any.
    pub fn of_request(&mut self) -> Option<Fault> {
        let planned = self.options.faults.get(&self.requests).copied();
        self.requests += 1;
        let drawn = self.drawn();
        planned.or(drawn)
    }

    /// Returns a drawn fault, for a request that cannot have a planned one.
    pub fn drawn(&mut self) -> Option<Fault> {
        let drawn = self.random.random::<f64>();
        let Options { errors, lost, .. } = self.options;
        if drawn < errors { Some(Fault::Fail) } else { (drawn < errors + lost).then_some(Fault::Lose) }
    }

    /// Returns whether an operation that is not a request fails.
    pub fn draw_failure(&mut self) -> bool {
        self.random.random::<f64>() < self.options.errors
    }

    pub fn options(&self) -> &Options {
        &self.options
    }
}

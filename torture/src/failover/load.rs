//! Processes that run histories.

use std::time::Duration;

use openkv_engine::Database;

use crate::linear::{self, Checked, Processes};
use crate::service::{On, open};

/// The number of operations of a process in a history.
const OPERATIONS: usize = 10;

/// What all histories amount to.
#[derive(Default)]
pub struct Totals {
    pub histories: u64,
    pub operations: usize,
    /// The committed writes.
    pub writes: usize,
    /// The longest operation.
    pub longest: Duration,
}

/// Processes that run histories on a database, one after another.
pub struct Load<'t> {
    processes: Processes,
    database: Database,
    totals: &'t mut Totals,
    checked: Vec<Checked>,
}

impl<'t> Load<'t> {
    /// Starts the processes. Their histories are added to the totals.
    pub fn start(url: &str, workers: usize, seed: u64, totals: &'t mut Totals) -> Result<Self, String> {
        let args = linear::Args {
            histories: 0,
            workers,
            operations: OPERATIONS,
            seed,
            on: On::Url(url.to_owned()),
            with_deno: false,
        };
        let processes = Processes::start(url, &args)?;
        Ok(Self { processes, database: open(url)?, totals, checked: Vec::new() })
    }

    /// Runs a history, and checks it.
    pub fn run_history(&mut self) -> Result<(), String> {
        let checked = self.processes.check(self.totals.histories, &self.database)?;
        self.totals.histories += 1;
        self.totals.operations += checked.operations;
        self.totals.writes += checked.writes;
        self.totals.longest = self.totals.longest.max(checked.longest);
        self.checked.push(checked);
        Ok(())
    }

    /// Checks that nothing has changed since the ends of the histories, and closes the database.
    pub fn finish(self) -> Result<(), String> {
        let checked = self.checked.iter().try_for_each(|checked| checked.check_again(&self.database));
        self.database.close();
        checked
    }
}

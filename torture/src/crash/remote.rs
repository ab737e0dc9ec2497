//! A database of a server, used by processes of the engine.

use std::env;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{Killing, LANES, PROCESSES};
use crate::lanes::Lanes;
use crate::ledger::{Ledger, Since};
use crate::service::open;
use crate::{TIMEOUT, failed};

/// How often the output of a process is read.
const INTERVAL: Duration = Duration::from_millis(100);

pub struct Remote {
    /// The URL.
    pub location: String,
}

impl Killing for Remote {
    fn start(&self, first: u32, lanes: u32) -> Result<Lanes, String> {
        let mut command = Command::new(env::current_exe().map_err(failed("finding this program"))?);
        command.arg("crash-worker").arg(&self.location).args([first.to_string(), lanes.to_string()]);
        Lanes::start_command(command)
    }

    /// Records what was finished last: one process may have finished what was delivered to another before.
    fn enter(&self, outputs: &[String], ledger: &mut Ledger) -> Result<(), String> {
        for is_finish in [false, true] {
            for output in outputs {
                let lines = output.split_inclusive('\n').filter(|line| line.starts_with("f ") == is_finish);
                ledger.enter(&lines.collect::<String>())?;
            }
        }
        Ok(())
    }

    /// Repeats the check until it holds: a server may receive the last write of a killed process in between.
    fn check(&self, ledger: &mut Ledger) -> Result<(), String> {
        let database = open(&self.location)?;
        let begin = Instant::now();
        loop {
            match ledger.check_entries(&database, PROCESSES * LANES, Since::Now) {
                Err(_) if begin.elapsed() < TIMEOUT / 6 => thread::sleep(INTERVAL),
                found => {
                    database.close();
                    ledger.resume(&found?);
                    return Ok(());
                }
            }
        }
    }

    fn drain(&self, ledger: &mut Ledger) -> Result<(), String> {
        let process = self.start(0, 0)?;
        let begin = Instant::now();
        let is_drained = || {
            thread::sleep(INTERVAL);
            let mut drained = ledger.clone();
            let delivered = process.output().and_then(|output| drained.enter(&output));
            delivered.is_err() || drained.check_delivered().is_ok()
        };
        while !is_drained() && begin.elapsed() < TIMEOUT {}
        self.enter(&[process.kill_once(|| true)?], ledger)?;
        ledger.check_delivered()?;
        self.check(ledger)
    }
}

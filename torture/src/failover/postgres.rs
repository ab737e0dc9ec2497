//! Primaries of PostgreSQL, of which processes know by a URL with two hosts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use openkv_postgres::cluster::{Programs, Server, USER};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Args;
use super::load::{Load, Totals};
use crate::failed;

/// The number of histories after a failover.
const HISTORIES_AFTER: u64 = 5;

/// The longest time until the primary is killed.
const MAX_DELAY: Duration = Duration::from_millis(2000);

/// Runs rounds, each with a new pair of servers.
pub fn run(rounds: u64, args: &Args) -> Result<Totals, String> {
    let programs = Programs::find()?;
    let mut random = StdRng::seed_from_u64(args.seed);
    let mut totals = Totals::default();
    for round in 0..rounds {
        let primary = Server::primary(&programs, "").map_err(failed("starting the primary"))?;
        let standby = primary.standby("").map_err(failed("starting the standby"))?;
        primary.require_standby().map_err(failed("waiting for the standby"))?;
        let url = format!("postgres://{USER}@{},{}/postgres", primary.host(), standby.host());
        let mut load = Load::start(&url, args.workers, args.seed.wrapping_add(round << 32), &mut totals)?;
        let delay = random.random_range(Duration::ZERO..MAX_DELAY);
        let is_promoted = AtomicBool::new(false);
        thread::scope(|scope| {
            let failover = scope.spawn(|| {
                thread::sleep(delay);
                primary.kill();
                let promoted = standby.promote();
                is_promoted.store(true, Ordering::Release);
                promoted
            });
            let mut after = 0;
            while after < HISTORIES_AFTER {
                load.run_history()?;
                after += u64::from(is_promoted.load(Ordering::Acquire));
            }
            failover.join().map_err(|_| "a thread panicked")?.map_err(failed("promoting the standby"))
        })?;
        load.finish()?;
    }
    Ok(totals)
}

//! Kills the primary of PostgreSQL while processes read and write by a URL with two hosts, and promotes its synchronous standby.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use openkv_postgres::cluster::{Programs, Server, USER};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::linear::{self, Processes};
use crate::{Outcome, failed};

/// The arguments of `failover`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The number of killed primaries.
    #[arg(long, default_value_t = 20)]
    pub rounds: u64,
    /// The number of processes.
    #[arg(long, default_value_t = 4)]
    pub workers: usize,
    /// The seed of the operations and of the moments.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The number of operations of a process in a history, and of histories after a failover.
const OPERATIONS: usize = 10;
const HISTORIES_AFTER: u64 = 5;

/// The longest time until the primary is killed.
const MAX_DELAY: Duration = Duration::from_millis(2000);

/// Runs rounds, each with a new pair of servers. Each history of operations must be linearizable, including those during which the
/// primary is killed.
///
/// # Errors
/// A history that is not linearizable, as when an acknowledged write is lost or applied twice, or an operation that failed.
pub fn run(args: &Args) -> Outcome {
    let programs = Programs::find()?;
    let begin = Instant::now();
    let mut random = StdRng::seed_from_u64(args.seed);
    let (mut histories, mut operations, mut longest) = (0, 0, Duration::ZERO);
    for round in 0..args.rounds {
        let primary = Server::primary(&programs, "").map_err(failed("starting the primary"))?;
        let standby = primary.standby("").map_err(failed("starting the standby"))?;
        primary.require_standby().map_err(failed("waiting for the standby"))?;
        let url = format!("postgres://{USER}@{},{}/postgres", primary.host(), standby.host());
        let database = linear::open(&url)?;
        let each = linear::Args {
            histories: 0,
            workers: args.workers,
            operations: OPERATIONS,
            seed: args.seed.wrapping_add(round << 32),
        };
        let mut processes = Processes::start(&url, &each)?;
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
                let before = Instant::now();
                operations += processes.check(histories, &database)?;
                longest = longest.max(before.elapsed());
                histories += 1;
                after += u64::from(is_promoted.load(Ordering::Acquire));
            }
            failover.join().map_err(|_| "a thread panicked")?.map_err(failed("promoting the standby"))
        })?;
        database.close();
    }
    let Args { rounds, workers, seed } = args;
    Ok(format!(
        "failover: {rounds} killed primaries, {histories} histories of {workers} processes with {operations} operations in total, seed \
         {seed}: linearizable; the longest history took {longest:.1?}; {:.1?}",
        begin.elapsed()
    ))
}

//! Killed processes. Each round starts processes that write and listen, kills them at random moments, possibly while they open
//! the database, and checks that the file contains everything that was acknowledged. The next round continues with the file.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;

use crate::lanes::Lanes;
use crate::ledger::{Ledger, Since};
use crate::{Outcome, Programs, TIMEOUT, failed};

const PROCESSES: u32 = 2;
const LANES: u32 = 4;

/// The maximum lifetime of a process, in milliseconds.
const LIFETIME: u64 = 400;

/// How many rounds use the same database. Then all its messages must be delivered, and a new one is created.
const ROUNDS: u64 = 50;

/// The arguments of `crash`.
#[derive(clap::Args)]
pub struct Args {
    /// The number of rounds, each of which kills two processes.
    #[arg(long, default_value_t = 1000)]
    pub rounds: u64,
    /// The seed of the random choices.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Kills processes that write.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let mut random = StdRng::seed_from_u64(args.seed);
    let (mut steps, mut messages, mut rounds) = (0, 0, 0);
    while rounds < args.rounds {
        let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
        let path = directory.path().join("kv.sqlite3");
        let mut ledger = Ledger::default();
        for _ in 0..ROUNDS.min(args.rounds - rounds) {
            round(programs, &path, &mut ledger, &mut random)
                .map_err(|failure| format!("in round {rounds}: {failure}"))?;
            rounds += 1;
        }
        drain(programs, &path, &mut ledger).map_err(|failure| format!("after round {rounds}: {failure}"))?;
        steps += ledger.steps();
        messages += ledger.delivered();
    }
    Ok(format!(
        "{rounds} rounds with {PROCESSES} killed processes each: none of {steps} acknowledged writes lost, none partially \
         applied; {messages} messages delivered, none after it was finished"
    ))
}

fn round(programs: &Programs, path: &Path, ledger: &mut Ledger, random: &mut StdRng) -> Result<(), String> {
    let mut processes = Vec::new();
    for i in 0..PROCESSES {
        let process = Lanes::start(programs, path, i * LANES, LANES)?;
        let lifetime = Duration::from_millis(random.random_range(0..LIFETIME));
        let start = Instant::now();
        processes.push(thread::spawn(move || process.kill_once(|| start.elapsed() >= lifetime)));
    }
    let outputs: Vec<String> = processes
        .into_iter()
        .map(|process| process.join().expect("waiting does not panic"))
        .collect::<Result<_, _>>()?;
    outputs.iter().try_for_each(|output| ledger.enter(output))?;
    if path.exists() {
        let found = ledger.check(path, PROCESSES * LANES, Since::Now)?;
        ledger.resume(&found);
    }
    Ok(())
}

/// Runs a process that handles the remaining messages.
fn drain(programs: &Programs, path: &Path, ledger: &mut Ledger) -> Result<(), String> {
    let file = Connection::open(path).map_err(failed("opening the file"))?;
    let left = "select exists (select 1 from queue) or exists (select 1 from queue_running)";
    let is_empty = || file.query_row(left, [], |row| row.get::<_, bool>(0)).is_ok_and(|left| !left);
    let process = Lanes::start(programs, path, 0, 0)?;
    let start = Instant::now();
    ledger.enter(&process.kill_once(|| is_empty() || start.elapsed() > TIMEOUT)?)?;
    match ledger.undelivered().next() {
        Some(message) => Err(format!("message {message} was never delivered")),
        None => Ok(()),
    }
}

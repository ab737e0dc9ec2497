//! Killed processes. Each round starts processes that write and listen, kills them at random moments, possibly while they open
//! the database, and checks that the database contains everything that was acknowledged. The next round continues with it.

mod remote;
mod worker;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;

use crate::companion::Companion;
use crate::lanes::Lanes;
use crate::ledger::{Ledger, Since};
use crate::service::{On, Service};
use crate::{Outcome, Programs, TIMEOUT, failed};

pub use worker::{Worker, run_worker};

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
    /// Where the databases are: in a "file", in "etcd" or "postgres", which are started, or at a URL of either.
    #[arg(long, default_value = "file")]
    pub on: On,
    /// Lets Deno write to the file at the same time.
    #[arg(long, conflicts_with = "on")]
    pub with_deno: bool,
}

/// Kills processes that write: scripts on files, and programs of the engine on other databases.
///
/// # Errors
/// The violated guarantee.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let service = Service::start(&args.on)?;
    let mut random = StdRng::seed_from_u64(args.seed);
    let (mut steps, mut messages, mut finished, mut rounds, mut written) = (0, 0, 0, 0, 0);
    while rounds < args.rounds {
        let location = service.location(&format!("crash{rounds}"));
        let companion = args.with_deno.then(|| Companion::start(programs, location.as_ref())).transpose()?;
        let database: Box<dyn Killing> = match &service {
            Service::Files(_) => Box::new(OnFile { programs, path: location.clone().into() }),
            _ => Box::new(remote::Remote { location: location.clone() }),
        };
        let mut ledger = Ledger::default();
        for _ in 0..ROUNDS.min(args.rounds - rounds) {
            round(&*database, &mut ledger, &mut random).map_err(|failure| format!("in round {rounds}: {failure}"))?;
            rounds += 1;
        }
        database.drain(&mut ledger).map_err(|failure| format!("after round {rounds}: {failure}"))?;
        if let Some(companion) = companion {
            written += companion.finish(location.as_ref())?;
        }
        steps += ledger.steps();
        messages += ledger.delivered();
        finished += ledger.finished();
    }
    let deno = if args.with_deno { format!("; Deno wrote {written} times meanwhile") } else { String::new() };
    Ok(format!(
        "crash, on {}: {rounds} rounds with {PROCESSES} killed processes each, seed {}: none of {steps} acknowledged writes lost, none \
         partially applied or applied twice; {messages} messages delivered, none after it was finished, which {finished} were{deno}",
        args.on, args.seed
    ))
}

/// A database whose processes are killed.
trait Killing {
    /// Starts a process that works in lanes.
    fn start(&self, first: u32, lanes: u32) -> Result<Lanes, String>;

    /// Records the outputs of killed processes.
    fn enter(&self, outputs: &[String], ledger: &mut Ledger) -> Result<(), String>;

    /// Checks that the database contains what was acknowledged.
    fn check(&self, ledger: &mut Ledger) -> Result<(), String>;

    /// Runs a process that handles the remaining messages.
    fn drain(&self, ledger: &mut Ledger) -> Result<(), String>;
}

fn round(database: &dyn Killing, ledger: &mut Ledger, random: &mut StdRng) -> Result<(), String> {
    let mut processes = Vec::new();
    for i in 0..PROCESSES {
        let process = database.start(i * LANES, LANES)?;
        let lifetime = Duration::from_millis(random.random_range(0..LIFETIME));
        let start = Instant::now();
        processes.push(thread::spawn(move || process.kill_once(|| start.elapsed() >= lifetime)));
    }
    let outputs: Vec<String> = processes
        .into_iter()
        .map(|process| process.join().expect("waiting does not panic"))
        .collect::<Result<_, _>>()?;
    database.enter(&outputs, ledger)?;
    database.check(ledger)
}

/// A file, used by scripts.
struct OnFile<'p> {
    programs: &'p Programs,
    path: PathBuf,
}

impl Killing for OnFile<'_> {
    fn start(&self, first: u32, lanes: u32) -> Result<Lanes, String> {
        Lanes::start(self.programs, &self.path, first, lanes)
    }

    fn enter(&self, outputs: &[String], ledger: &mut Ledger) -> Result<(), String> {
        outputs.iter().try_for_each(|output| ledger.enter(output))
    }

    fn check(&self, ledger: &mut Ledger) -> Result<(), String> {
        if self.path.exists() {
            let found = ledger.check(&self.path, PROCESSES * LANES, Since::Now)?;
            ledger.resume(&found);
        }
        Ok(())
    }

    fn drain(&self, ledger: &mut Ledger) -> Result<(), String> {
        let file = Connection::open(&self.path).map_err(failed("opening the file"))?;
        let left = "select exists (select 1 from queue) or exists (select 1 from queue_running)";
        let is_empty = || file.query_row(left, [], |row| row.get::<_, bool>(0)).is_ok_and(|left| !left);
        let process = self.start(0, 0)?;
        let start = Instant::now();
        ledger.enter(&process.kill_once(|| is_empty() || start.elapsed() > TIMEOUT)?)?;
        ledger.check_delivered()
    }
}

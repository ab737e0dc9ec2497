//! Killed processes. Each round starts processes that write and listen, kills them at random moments, as early as while they open
//! the database, and checks that the file keeps all that they told. The next round goes on with the file.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;

use crate::ledger::{Ledger, Step};
use crate::{Outcome, PATIENCE, Programs, failed, script};

const PROCESSES: u32 = 2;
const LANES: u32 = 4;

/// How long a process lives at most, in milliseconds.
const LIFETIME: u64 = 400;

/// How many rounds a database serves. Then all its messages must be delivered, and a new one is begun.
const ROUNDS: u64 = 50;

/// How long to try.
#[derive(clap::Args)]
pub struct Args {
    /// How many rounds, each of which kills two processes.
    #[arg(long, default_value_t = 1000)]
    pub rounds: u64,
    /// What the choices of chance begin with.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Kills processes that write.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let mut random = StdRng::seed_from_u64(args.seed);
    let (mut steps, mut messages, mut rounds) = (0, 0, 0);
    while rounds < args.rounds {
        let folder = tempfile::tempdir().map_err(failed("creating a folder"))?;
        let path = folder.path().join("kv.sqlite3");
        let mut ledger = Ledger::default();
        for _ in 0..ROUNDS.min(args.rounds - rounds) {
            round(programs, &path, &mut ledger, &mut random)
                .map_err(|broken| format!("in round {rounds}: {broken}"))?;
            rounds += 1;
        }
        drain(programs, &path, &mut ledger).map_err(|broken| format!("after round {rounds}: {broken}"))?;
        steps += ledger.steps();
        messages += ledger.delivered();
    }
    Ok(format!(
        "{rounds} rounds with {PROCESSES} processes killed in each: nothing lost of {steps} writes that were acknowledged, \
         nothing half done; {messages} messages delivered, none after it was finished"
    ))
}

fn round(programs: &Programs, path: &Path, ledger: &mut Ledger, random: &mut StdRng) -> Result<(), String> {
    let mut processes = Vec::new();
    for i in 0..PROCESSES {
        let process = start(programs, path, i * LANES, LANES)?;
        let lifetime = Duration::from_millis(random.random_range(0..LIFETIME));
        processes.push(thread::spawn(move || kill_after(process, lifetime)));
    }
    let told: Vec<String> = processes
        .into_iter()
        .map(|process| process.join().expect("waiting does not panic"))
        .collect::<Result<_, _>>()?;
    told.iter().try_for_each(|told| enter(ledger, told))?;
    if path.exists() {
        let found = ledger.check(path, PROCESSES * LANES)?;
        ledger.resume(&found);
    }
    Ok(())
}

/// Lets a process take all messages that are left.
fn drain(programs: &Programs, path: &Path, ledger: &mut Ledger) -> Result<(), String> {
    let file = Connection::open(path).map_err(failed("opening the file"))?;
    let left = "select exists (select 1 from queue) or exists (select 1 from queue_running)";
    let is_empty = || file.query_row(left, [], |row| row.get::<_, bool>(0)).is_ok_and(|left| !left);
    let process = start(programs, path, 0, 0)?;
    let start = Instant::now();
    enter(ledger, &kill_once(process, || is_empty() || start.elapsed() > PATIENCE)?)?;
    match ledger.undelivered().next() {
        Some(message) => Err(format!("message {message} was never delivered")),
        None => Ok(()),
    }
}

/// Enters what a process told.
fn enter(ledger: &mut Ledger, told: &str) -> Result<(), String> {
    // A line that a process was killed in has no end.
    for line in told.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let unknown = || format!("a process told {line:?}");
        match *line.split(' ').collect::<Vec<_>>() {
            ["a", lane, number, versionstamp] => {
                let lane = lane.parse().map_err(|_| unknown())?;
                let number = number.parse().map_err(|_| unknown())?;
                ledger.acknowledge(Step { lane, number }, versionstamp.parse().map_err(|_| unknown())?)?;
            }
            ["d", message] => ledger.deliver(message)?,
            ["f", message] => ledger.finish([message.to_owned()]),
            _ => return Err(unknown()),
        }
    }
    Ok(())
}

fn start(programs: &Programs, path: &Path, first: u32, lanes: u32) -> Result<Child, String> {
    let mut command = Command::new(&programs.openkv);
    command.arg("-A").arg(script("lanes.ts")).arg(path).args([first.to_string(), lanes.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed("starting openkv"))
}

/// Kills a process after some time, and answers what it printed.
fn kill_after(process: Child, lifetime: Duration) -> Result<String, String> {
    let start = Instant::now();
    kill_once(process, || start.elapsed() >= lifetime)
}

/// Kills a process once it is time to, and answers what it printed. A process that ends before has failed.
fn kill_once(mut process: Child, is_time: impl Fn() -> bool) -> Result<String, String> {
    let told = read(process.stdout.take());
    let complaints = read(process.stderr.take());
    let mut ended = None;
    while ended.is_none() && !is_time() {
        thread::sleep(Duration::from_millis(1));
        ended = process.try_wait().map_err(failed("waiting for a process"))?;
    }
    process.kill().and_then(|()| process.wait()).map_err(failed("killing a process"))?;
    let [told, complaints] = [told, complaints].map(|text| text.join().expect("reading does not panic"));
    match (ended, complaints?) {
        (None, complaints) if complaints.is_empty() => told,
        (_, complaints) => Err(format!("a process failed: {complaints}")),
    }
}

/// Reads to the end, on a thread: a process that nobody reads waits.
fn read(from: Option<impl Read + Send + 'static>) -> JoinHandle<Result<String, String>> {
    thread::spawn(move || {
        let mut text = String::new();
        from.expect("the output is piped").read_to_string(&mut text).map_err(failed("reading"))?;
        Ok(text)
    })
}

//! A server with a failing network. Clients write through a proxy that delays data and cuts connections, while the server and
//! clients are killed. Each acknowledged write must be in the file, and each write at most once.

mod proxy;
mod server;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use openkv_connect::client::{self, Options};
use openkv_engine::{Commit, Database, Error};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::lanes::Lanes;
use crate::ledger::{Done, Ledger, Since, Step, lane_state};
use crate::{Outcome, Programs, TIMEOUT, failed};

use proxy::{Faults, Proxy};
use server::{Server, TOKEN};

/// The number of clients in this process, each with a lane.
const CLIENTS: u32 = 4;

/// The number of client processes, which are killed, and the number of lanes of each.
const PROCESSES: u32 = 2;
const LANES: u32 = 3;

/// The maximum lifetime of a server, in milliseconds.
const LIFETIME: u64 = 600;

/// The number of servers per round. After the last one, everything is killed, and the file is checked.
const SERVERS: u32 = 6;

/// The arguments of `serve`.
#[derive(clap::Args)]
pub struct Args {
    /// The number of faults to inject: connections that are cut, and processes that are killed.
    #[arg(long, default_value_t = 10_000)]
    pub faults: u64,
    /// The seed of the random choices.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Default)]
struct Counts {
    killed_servers: u64,
    killed_clients: u64,
    /// Failed writes.
    errors: AtomicU64,
}

/// Runs clients against a server with a failing network.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let path = directory.path().join("kv.sqlite3");
    let proxy = Proxy::start(args.seed).map_err(failed("starting a proxy"))?;
    let mut random = StdRng::seed_from_u64(args.seed);
    let mut ledger = Ledger::default();
    let mut counts = Counts::default();
    let mut rounds = 0;
    while counts.killed_servers + counts.killed_clients + proxy.faults().cuts() < args.faults {
        round(programs, &path, &proxy, &mut ledger, &mut counts, &mut random)
            .map_err(|failure| format!("in round {rounds}: {failure}"))?;
        rounds += 1;
    }
    proxy.calm();
    drain(programs, &path, &proxy, &mut ledger)?;
    let Faults { lost_requests, lost_responses, delays } = proxy.faults();
    let Counts { killed_servers, killed_clients, errors } = counts;
    Ok(format!(
        "{rounds} rounds with {killed_servers} killed servers, {killed_clients} killed clients, {lost_requests} lost requests, \
         {lost_responses} lost responses and {delays} delays: none of {} acknowledged writes lost or applied twice, {} writes \
         failed; {} messages delivered",
        ledger.steps(),
        errors.into_inner(),
        ledger.delivered()
    ))
}

fn round(
    programs: &Programs,
    path: &Path,
    proxy: &Proxy,
    ledger: &mut Ledger,
    counts: &mut Counts,
    random: &mut StdRng,
) -> Result<(), String> {
    let shared = Mutex::new(std::mem::take(ledger));
    let is_over = AtomicBool::new(false);
    let errors = &counts.errors;
    let mut server = Some(start(programs, path, proxy)?);
    let lifetimes = [(); PROCESSES as usize].map(|()| random.random_range(0..LIFETIME * u64::from(SERVERS)));
    let outputs = thread::scope(|scope| -> Result<Vec<String>, String> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|lane| {
                let (shared, is_over, url) = (&shared, &is_over, proxy.url());
                scope.spawn(move || write(&url, lane, shared, is_over, errors))
            })
            .collect();
        let mut processes = Vec::new();
        for (i, lifetime) in (0..).zip(lifetimes) {
            let first = CLIENTS + i * LANES;
            let process = Lanes::start_remote(programs, &proxy.url(), TOKEN, first, LANES);
            let start = Instant::now();
            let is_time = move || start.elapsed() >= Duration::from_millis(lifetime);
            processes.push(scope.spawn(move || process?.kill_once(is_time)));
        }
        let mut replace_servers = || -> Result<(), String> {
            for _ in 1..SERVERS {
                thread::sleep(Duration::from_millis(random.random_range(0..LIFETIME)));
                server = None;
                counts.killed_servers += 1;
                server = Some(start(programs, path, proxy)?);
            }
            Ok(())
        };
        let replaced = replace_servers();
        let outputs = processes.into_iter().map(|process| process.join().expect("waiting does not panic")).collect();
        is_over.store(true, Ordering::Relaxed);
        let written: Result<Vec<()>, String> =
            clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect();
        replaced.and(written).and(outputs)
    });
    drop(server);
    counts.killed_servers += 1;
    proxy.set_server(None);
    *ledger = shared.into_inner();
    for output in outputs? {
        counts.killed_clients += 1;
        enter(ledger, &output)?;
    }
    let found = ledger.check(path, CLIENTS + PROCESSES * LANES, Since::Now)?;
    ledger.resume(&found);
    Ok(())
}

fn start(programs: &Programs, path: &Path, proxy: &Proxy) -> Result<Server, String> {
    let server = Server::start(programs, path)?;
    proxy.set_server(Some(server.addr()));
    Ok(server)
}

/// Records the output of a process. A message that was finished before a write may be delivered again: a client sends both
/// independently, and a finish that is lost has no effect.
fn enter(ledger: &mut Ledger, output: &str) -> Result<(), String> {
    let lines: String = output.split_inclusive('\n').filter(|line| !line.starts_with("f ")).collect();
    ledger.enter(&lines)
}

/// Opens the database. It is tried again, because the connection may break.
fn open(url: &str) -> Result<Database, String> {
    let start = Instant::now();
    loop {
        match block_on(client::connect(url, Options::new(TOKEN).retry_for(TIMEOUT))) {
            Err(_) if start.elapsed() < TIMEOUT => {}
            opened => return opened.map_err(failed("connecting")),
        }
    }
}

/// Writes in a lane until the round is over.
fn write(url: &str, lane: u32, ledger: &Mutex<Ledger>, is_over: &AtomicBool, errors: &AtomicU64) -> Result<(), String> {
    let database = open(url)?;
    while !is_over.load(Ordering::Relaxed) {
        let before = ledger.lock().done(lane);
        let step = Step { lane, number: before.number + 1 };
        match database.write_blocking(step.write(before)) {
            Ok(Commit::Done(versionstamp)) => ledger.lock().acknowledge(step, versionstamp)?,
            Ok(Commit::Conflict { .. }) => {
                return Err(format!("lane {lane} lost a race without a concurrent writer"));
            }
            Err(error) => {
                errors.fetch_add(1, Ordering::Relaxed);
                if let Some(done) = outcome(&database, step, before, &error)? {
                    ledger.lock().acknowledge(step, done.versionstamp)?;
                }
            }
        }
    }
    database.close();
    Ok(())
}

/// Reads whether a failed write was committed, which only one with an unknown outcome may be.
fn outcome(database: &Database, step: Step, before: Done, error: &Error) -> Result<Option<Done>, String> {
    let found = lane_state(database, step.lane).map_err(|read| format!("reading after {error}: {read}"))?;
    let found = found.unwrap_or_default();
    if found == before {
        return Ok(None);
    }
    if matches!(error, Error::OutcomeUnknown(_)) && found.number == step.number {
        return Ok(Some(found));
    }
    Err(format!("lane {} is at {found:?} after {before:?} and a write that failed: {error}", step.lane))
}

/// Runs a client that handles the remaining messages.
fn drain(programs: &Programs, path: &Path, proxy: &Proxy, ledger: &mut Ledger) -> Result<(), String> {
    let _server = start(programs, path, proxy)?;
    let process = Lanes::start_remote(programs, &proxy.url(), TOKEN, 0, 0)?;
    let file = rusqlite::Connection::open(path).map_err(failed("opening the file"))?;
    let left = "select exists (select 1 from queue) or exists (select 1 from queue_running)";
    let is_empty = || file.query_row(left, [], |row| row.get::<_, bool>(0)).is_ok_and(|left| !left);
    let start = Instant::now();
    enter(ledger, &process.kill_once(|| is_empty() || start.elapsed() > TIMEOUT)?)?;
    match ledger.undelivered().next() {
        Some(message) => Err(format!("message {message} was never delivered")),
        None => Ok(()),
    }
}

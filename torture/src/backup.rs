//! Backups of a database that processes write to, by `openkv db backup`: each must be the database as it was at one moment, with
//! all that was acknowledged before it was begun. One is put back by `openkv db restore`, and written on.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::lanes::Lanes;
use crate::ledger::{Ledger, Since};
use crate::{Outcome, Programs, failed};

const PROCESSES: u32 = 2;
const LANES: u32 = 4;

/// How many backups to make of a database before one is put back.
const BACKUPS: u64 = 5;

/// How long to write between two of them at most, and after one was put back, in milliseconds.
const PAUSE: u64 = 200;

/// How long to try.
#[derive(clap::Args)]
pub struct Args {
    /// How many databases to back up, five times each.
    #[arg(long, default_value_t = 100)]
    pub databases: u64,
    /// What the choices of chance begin with.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Backs databases up, and puts the backups back.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let mut random = StdRng::seed_from_u64(args.seed);
    let mut steps = 0;
    for number in 0..args.databases {
        steps += try_one(programs, &mut random).map_err(|broken| format!("database {number}: {broken}"))?;
    }
    let Args { databases, .. } = args;
    Ok(format!(
        "{} backups of {databases} databases while {PROCESSES} processes wrote {steps} times, {databases} put back: each was whole, \
         held what was acknowledged before it was begun, and was written on with greater versionstamps",
        databases * BACKUPS
    ))
}

fn try_one(programs: &Programs, random: &mut StdRng) -> Result<u64, String> {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let [path, backup] = ["kv.sqlite3", "backup.sqlite3"].map(|name| directory.path().join(name));
    let writers: Vec<_> =
        (0..PROCESSES).map(|i| Lanes::start(programs, &path, i * LANES, LANES)).collect::<Result<_, _>>()?;
    let promised = || {
        let mut ledger = Ledger::default();
        writers.iter().try_for_each(|writer| ledger.enter(&writer.told()?))?;
        Ok::<_, String>(ledger)
    };
    while promised()?.steps() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..BACKUPS {
        thread::sleep(Duration::from_millis(random.random_range(0..PAUSE)));
        let before = promised()?;
        db(programs, "backup", &path, &backup)?;
        before.check(&backup, PROCESSES * LANES, Since::Earlier)?;
    }
    let mut last = Ledger::default();
    for writer in writers {
        last.enter(&writer.kill_once(|| true)?)?;
    }
    last.check(&path, PROCESSES * LANES, Since::Now)?;

    db(programs, "restore", &backup, &path)?;
    let mut restored = Ledger::default();
    let found = restored.check(&path, PROCESSES * LANES, Since::Earlier)?;
    restored.resume(&found);
    let start = Instant::now();
    let writer = Lanes::start(programs, &path, 0, LANES)?;
    let told = writer.kill_once(|| start.elapsed() > Duration::from_millis(PAUSE))?;
    restored.enter(&told)?;
    restored.check(&path, PROCESSES * LANES, Since::Now)?;
    let greater = (0..LANES).all(|lane| {
        let (before, after) = (last.done(lane), restored.done(lane));
        after == found.done(lane) || after.versionstamp > before.versionstamp
    });
    if greater {
        Ok(last.steps())
    } else {
        Err("a write after a backup was put back has a versionstamp that was given before".into())
    }
}

/// Runs `openkv db`, from one file to another, which is overwritten.
fn db(programs: &Programs, command: &str, from: &Path, to: &Path) -> Result<(), String> {
    let mut openkv = Command::new(&programs.openkv);
    let output =
        openkv.args(["db", command, "--force"]).args([from, to]).output().map_err(failed("starting openkv"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("openkv db {command}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

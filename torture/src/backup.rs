//! Backups of a database under load, by `openkv db backup`: each must be a consistent snapshot with everything that was acknowledged
//! before it started. `openkv db restore` restores one, and processes continue to write to it.

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

/// The number of backups of a database before one is restored.
const BACKUPS: u64 = 5;

/// The maximum time between two backups, and the time of writing after a restore, in milliseconds.
const PAUSE: u64 = 200;

/// The arguments of `backup`.
#[derive(clap::Args)]
pub struct Args {
    /// The number of databases to back up, five times each.
    #[arg(long, default_value_t = 100)]
    pub databases: u64,
    /// The seed of the random choices.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Backs up databases, and restores them.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let mut random = StdRng::seed_from_u64(args.seed);
    let mut steps = 0;
    for number in 0..args.databases {
        steps += try_one(programs, &mut random).map_err(|failure| format!("database {number}: {failure}"))?;
    }
    let Args { databases, .. } = args;
    Ok(format!(
        "{} backups of {databases} databases while {PROCESSES} processes wrote {steps} times, {databases} restored: each was \
         consistent, contained everything acknowledged before it started, and continued with greater versionstamps",
        databases * BACKUPS
    ))
}

fn try_one(programs: &Programs, random: &mut StdRng) -> Result<u64, String> {
    let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let [path, backup] = ["kv.sqlite3", "backup.sqlite3"].map(|name| directory.path().join(name));
    let writers: Vec<_> =
        (0..PROCESSES).map(|i| Lanes::start(programs, &path, i * LANES, LANES)).collect::<Result<_, _>>()?;
    let acknowledged = || {
        let mut ledger = Ledger::default();
        writers.iter().try_for_each(|writer| ledger.enter(&writer.output()?))?;
        Ok::<_, String>(ledger)
    };
    while acknowledged()?.steps() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..BACKUPS {
        thread::sleep(Duration::from_millis(random.random_range(0..PAUSE)));
        let before = acknowledged()?;
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
    let output = writer.kill_once(|| start.elapsed() > Duration::from_millis(PAUSE))?;
    restored.enter(&output)?;
    restored.check(&path, PROCESSES * LANES, Since::Now)?;
    let greater = (0..LANES).all(|lane| {
        let (before, after) = (last.done(lane), restored.done(lane));
        after == found.done(lane) || after.versionstamp > before.versionstamp
    });
    if greater { Ok(last.steps()) } else { Err("a write after a restore reuses a versionstamp".into()) }
}

/// Runs a command of `openkv db` that reads one file and overwrites another.
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

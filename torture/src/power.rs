//! Power failures. Lanes write to a [`Disk`], and a listener takes messages, while at any moment chance takes what a power
//! failure would leave of the files: each such image must keep all that was acknowledged until then. Some images are written on,
//! so that power fails during recovery too.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use futures_executor::block_on;
use openkv_engine::Database;
use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::disk::{Change, Disk, Image};
use crate::ledger::{Ledger, Since, Step, decode_message};
use crate::{Outcome, TIMEOUT, failed, scratch};

/// How many images to take before one of them is written on.
const CUTS: u64 = 20;

/// How many times in a row to write on, before a new database is begun.
const GENERATIONS: u32 = 10;

/// How many images may wait to be checked: more than are taken while the database is opened, for nobody receives them yet.
const AHEAD: usize = 64;

const LANES: u32 = 4;
const FILE: &str = "kv.sqlite3";

/// How long to try.
#[derive(clap::Args)]
pub struct Args {
    /// How many power failures to play.
    #[arg(long, default_value_t = 10_000)]
    pub cuts: u64,
    /// What the choices of chance begin with.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What is left at a power failure, and what was promised by then.
struct Cut {
    image: Image,
    ledger: Ledger,
    /// What was done at that moment, for reports.
    during: String,
}

/// Plays power failures.
pub fn run(args: &Args) -> Outcome {
    let mut random = StdRng::seed_from_u64(args.seed);
    let [work, left] = [scratch()?, scratch()?];
    let mut start: Option<(Image, Ledger)> = None;
    let mut generation = 0;
    let mut during = BTreeSet::new();
    let (mut cuts, mut written, mut finished) = (0, 0, 0);
    while cuts < args.cuts {
        let (image, ledger) = start.take().unwrap_or_default();
        image.restore(work.path()).map_err(failed("restoring an image"))?;
        let begun = ledger.clone();
        let taken = generate(work.path(), ledger, StdRng::seed_from_u64(random.random()), |cut| {
            cut.image.restore(left.path()).map_err(failed("restoring an image"))?;
            let check = || cut.ledger.check(&left.path().join(FILE), LANES, Since::Now);
            let found = check().map_err(|broken| format!("after {cuts} cuts, during {}: {broken}", cut.during))?;
            cuts += 1;
            during.insert(cut.during.clone());
            let mut ledger = cut.ledger;
            ledger.resume(&found);
            // What recovery made of the image is written on as often as the image itself.
            let image = if cuts.is_multiple_of(2) {
                cut.image
            } else {
                Image::of(left.path()).map_err(failed("reading an image"))?
            };
            start = Some((image, ledger));
            Ok(())
        })?;
        written += taken.steps() - begun.steps();
        finished += taken.finished() - begun.finished();
        generation += 1;
        if generation % GENERATIONS == 0 {
            start = None;
        }
    }
    let moments = during.into_iter().collect::<Vec<_>>().join(", ");
    Ok(format!(
        "{cuts} power failures in {generation} runs, during {moments}: nothing lost of {written} writes that were \
         acknowledged; none of {finished} finished messages came back"
    ))
}

/// Writes to the database of a directory until some images were taken and checked. Returns what was promised in the end.
fn generate(
    directory: &Path,
    ledger: Ledger,
    mut random: StdRng,
    mut check: impl FnMut(Cut) -> Result<(), String>,
) -> Result<Ledger, String> {
    let disk = Disk::mount(directory).map_err(failed("reading the directory"))?;
    let ledger = Arc::new(Mutex::new(ledger));
    let (cuts, taken) = mpsc::sync_channel(AHEAD);
    observe(&disk, cuts, ledger.clone(), StdRng::seed_from_u64(random.random()));

    let database = sqlite::open(Location::file(directory.join(FILE)), Options::default())
        .map_err(failed("opening the database"))?;
    let stop = AtomicBool::new(false);
    let handled = Mutex::new(Vec::new());
    let checked = thread::scope(|scope| {
        let (database, ledger, handled, stop) = (&database, &*ledger, &handled, &stop);
        let lane = |lane| scope.spawn(move || write(database, lane, ledger, handled, stop));
        let lanes: Vec<_> = (0..LANES).map(lane).collect();
        let listener = scope.spawn(|| listen(database, ledger, handled));
        let checked = (0..CUTS).try_for_each(|_| match taken.recv() {
            Ok(cut) => check(cut),
            Err(_) => Ok(()),
        });
        stop.store(true, Ordering::Relaxed);
        // What is taken until the end is checked too: it includes the closing of the database.
        let rest = scope.spawn(move || taken.into_iter().collect::<Vec<_>>());
        let mut results: Vec<_> = lanes.into_iter().map(|lane| lane.join().expect("a lane does not panic")).collect();
        database.close();
        results.push(listener.join().expect("the listener does not panic"));
        wait_closed(TIMEOUT);
        disk.ignore();
        let rest = rest.join().expect("receiving does not panic");
        results.push(checked);
        results.into_iter().collect::<Result<(), String>>()?;
        rest.into_iter().try_for_each(&mut check)
    });
    checked?;
    let ledger = ledger.lock().clone();
    Ok(ledger)
}

/// Lets the disk send images.
fn observe(disk: &Disk, cuts: SyncSender<Cut>, ledger: Arc<Mutex<Ledger>>, mut random: StdRng) {
    disk.observe(move |files, name, change| {
        let log = name.to_string_lossy().ends_with("-wal");
        let (chance, doing) = match (change, log) {
            (Change::Write { .. }, true) => (0.004, "a write of the WAL"),
            (Change::Sync { .. }, true) => (0.02, "a sync of the WAL"),
            (Change::Write { .. }, false) => (0.01, "a checkpoint"),
            (Change::Sync { .. }, false) => (0.3, "the end of a checkpoint"),
            _ => (0.5, "opening and closing"),
        };
        if random.random_bool(chance) {
            let (image, ledger) = (files.image(&mut random), ledger.lock().clone());
            // Nobody receives after a promise was broken.
            let _ = cuts.send(Cut { image, ledger, during: doing.into() });
        }
    });
}

/// Does steps of a lane until it is to stop.
fn write(
    database: &Database,
    lane: u32,
    ledger: &Mutex<Ledger>,
    handled: &Mutex<Vec<String>>,
    stop: &AtomicBool,
) -> Result<(), String> {
    while !stop.load(Ordering::Relaxed) {
        let before = ledger.lock().done(lane);
        let step = Step { lane, number: before.number + 1 };
        let finished = std::mem::take(&mut *handled.lock());
        let commit = database.write_blocking(step.write(before)).map_err(failed("writing a step"))?;
        let versionstamp = commit.versionstamp().ok_or(format!("{step:?} lost a race, and has no rival"))?;
        let mut ledger = ledger.lock();
        ledger.acknowledge(step, versionstamp)?;
        ledger.finish(finished);
        drop(ledger);
        if step.number.is_multiple_of(5) && database.write_blocking(step.poison()).is_ok() {
            return Err(format!("a sum of bytes was accepted after {step:?}"));
        }
    }
    Ok(())
}

/// Takes messages, and finishes them, until the database is closed.
fn listen(database: &Database, ledger: &Mutex<Ledger>, handled: &Mutex<Vec<String>>) -> Result<(), String> {
    loop {
        let deliveries = block_on(database.dequeue()).map_err(failed("taking messages"))?;
        if deliveries.is_empty() {
            return Ok(());
        }
        for delivery in deliveries {
            let message = decode_message(&delivery.message).ok_or("a message that was not sent")?.to_owned();
            ledger.lock().deliver(&message)?;
            block_on(delivery.done()).map_err(failed("finishing a message"))?;
            handled.lock().push(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_failure_loses_nothing_that_was_acknowledged() {
        run(&Args { cuts: 200, seed: 1 }).unwrap();
    }
}

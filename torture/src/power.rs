//! Power failures. Lanes write to a [`Disk`], and a listener handles messages. At random moments, an image is created of the files as
//! they would be after a power failure: each image must contain everything that was acknowledged before. The test continues with some of
//! the images, so that power also fails during recovery.

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

/// The number of images before the test continues with one of them.
const CUTS: u64 = 20;

/// How many times in a row the test continues with an image before it creates a new database.
const GENERATIONS: u32 = 10;

/// The capacity of the channel of images. It must exceed their number while the database is opened, when none are received yet.
const AHEAD: usize = 64;

const LANES: u32 = 4;
const FILE: &str = "kv.sqlite3";

/// The arguments of `power`.
#[derive(clap::Args)]
pub struct Args {
    /// The number of power failures to simulate.
    #[arg(long, default_value_t = 10_000)]
    pub cuts: u64,
    /// The seed of the random choices.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A power failure.
struct Cut {
    /// The files after it.
    image: Image,
    /// What was acknowledged before it.
    ledger: Ledger,
    /// The operation at that moment, for reports.
    during: String,
}

/// Simulates power failures.
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
        let before = ledger.clone();
        let after = generate(work.path(), ledger, StdRng::seed_from_u64(random.random()), |cut| {
            cut.image.restore(left.path()).map_err(failed("restoring an image"))?;
            let check = || cut.ledger.check(&left.path().join(FILE), LANES, Since::Now);
            let found = check().map_err(|failure| format!("after {cuts} cuts, during {}: {failure}", cut.during))?;
            cuts += 1;
            during.insert(cut.during.clone());
            let mut ledger = cut.ledger;
            ledger.resume(&found);
            // The test continues with recovered and with unrecovered images equally often.
            let image = if cuts.is_multiple_of(2) {
                cut.image
            } else {
                Image::of(left.path()).map_err(failed("reading an image"))?
            };
            start = Some((image, ledger));
            Ok(())
        })?;
        written += after.steps() - before.steps();
        finished += after.finished() - before.finished();
        generation += 1;
        if generation % GENERATIONS == 0 {
            start = None;
        }
    }
    let moments = during.into_iter().collect::<Vec<_>>().join(", ");
    Ok(format!(
        "{cuts} power failures in {generation} runs, during {moments}: none of {written} acknowledged writes lost; none \
         of {finished} finished messages redelivered"
    ))
}

/// Writes to the database of a directory until enough images were checked. Returns what was acknowledged in the end.
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
        // The remaining images include those of closing the database.
        let rest = scope.spawn(move || taken.into_iter().collect::<Vec<_>>());
        let mut results: Vec<_> = lanes.into_iter().map(|lane| lane.join().expect("a lane does not panic")).collect();
        database.close();
        results.push(listener.join().expect("the listener does not panic"));
        wait_closed(TIMEOUT);
        disk.unobserve();
        let rest = rest.join().expect("receiving does not panic");
        results.push(checked);
        results.into_iter().collect::<Result<(), String>>()?;
        rest.into_iter().try_for_each(&mut check)
    });
    checked?;
    let ledger = ledger.lock().clone();
    Ok(ledger)
}

/// Sends images of the disk to a channel.
fn observe(disk: &Disk, cuts: SyncSender<Cut>, ledger: Arc<Mutex<Ledger>>, mut random: StdRng) {
    disk.observe(move |files, name, change| {
        let is_wal = name.to_string_lossy().ends_with("-wal");
        let (probability, during) = match (change, is_wal) {
            (Change::Write { .. }, true) => (0.004, "a write of the WAL"),
            (Change::Sync { .. }, true) => (0.02, "a sync of the WAL"),
            (Change::Write { .. }, false) => (0.01, "a checkpoint"),
            (Change::Sync { .. }, false) => (0.3, "the end of a checkpoint"),
            _ => (0.5, "opening and closing"),
        };
        if random.random_bool(probability) {
            let (image, ledger) = (files.image(&mut random), ledger.lock().clone());
            // Fails after a check has failed, which drops the receiver.
            let _ = cuts.send(Cut { image, ledger, during: during.into() });
        }
    });
}

/// Does steps of a lane until `stop` is set.
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
        let versionstamp = commit.versionstamp().ok_or(format!("{step:?} lost a race without a concurrent writer"))?;
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

/// Receives messages, and finishes them, until the database is closed.
fn listen(database: &Database, ledger: &Mutex<Ledger>, handled: &Mutex<Vec<String>>) -> Result<(), String> {
    loop {
        let deliveries = block_on(database.dequeue()).map_err(failed("receiving messages"))?;
        if deliveries.is_empty() {
            return Ok(());
        }
        for delivery in deliveries {
            let message = decode_message(&delivery.message).ok_or("a message that was never enqueued")?.to_owned();
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
    fn power_failure_keeps_acknowledged_writes() {
        run(&Args { cuts: 200, seed: 1 }).unwrap();
    }
}

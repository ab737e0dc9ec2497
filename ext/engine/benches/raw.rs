//! Measures raw SQLite for `cargo xtask bench --others`: `raw DIRECTORY MEASURE`. Prints a line of JSON with the operations per second.

mod raw_sqlite;

use std::time::{Duration, Instant};
use std::{env, slice};

use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{Key, KeyPart};

/// How long a measure is warmed up and then timed, like in the scripts.
const WARM_UP: Duration = Duration::from_millis(200);
const TIMED: Duration = Duration::from_millis(700);

/// The numbers of entries of `benches/others/values.ts`.
const STORED: u64 = 20_000;
const BULK: u64 = 500;
const BULK_OF_TEXT: u64 = 50;

/// The sizes of its values in V8's format.
const SMALL: usize = 90;
const NESTED: usize = 250;
const TEXT: usize = 10_260;

fn main() {
    // `cargo test` runs benchmarks with this argument, or without any.
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [directory, measure] = &*args else { return };
    let path = tempfile::tempdir_in(directory).unwrap();
    let path = path.path().join("raw.sqlite3");
    // Creates the tables.
    drop(sqlite::open(Location::file(&path), Options::default()).unwrap());
    let connection = raw_sqlite::open(&path);

    let (size, bulk) = match measure.split_once('-') {
        Some((_, "small")) => (SMALL, BULK),
        Some((_, "nested")) => (NESTED, BULK),
        Some((_, "10kb")) => (TEXT, BULK_OF_TEXT),
        _ => panic!("unknown measure {measure:?}"),
    };
    let per_second = if measure.starts_with("set-") {
        for first in (0..STORED).step_by(BULK as usize) {
            raw_sqlite::commit(&connection, &Vec::from_iter((first..first + BULK).map(|i| row(i, 0, size))));
        }
        repeat(1, |step| raw_sqlite::commit(&connection, slice::from_ref(&row(step % STORED, step + 1, size))))
    } else {
        repeat(bulk, |step| {
            let entries = step * bulk..(step + 1) * bulk;
            raw_sqlite::commit(&connection, &Vec::from_iter(entries.map(|i| row(i, 0, size))));
        })
    };
    println!("{{\"perSecond\":{per_second}}}");
}

/// Returns a key and a value of a size, which differs from those of other steps.
fn row(i: u64, step: u64, size: usize) -> (Key, Vec<u8>) {
    let key = Key::from_parts(&[KeyPart::from("users"), KeyPart::from(&*format!("user-{i:08}"))]).unwrap();
    let mut value = vec![b'v'; size];
    value[..8].copy_from_slice(&step.to_le_bytes());
    (key, value)
}

/// Repeats a step, which counts as a number of operations. Returns the operations per second.
fn repeat(operations: u64, mut step: impl FnMut(u64)) -> f64 {
    let mut steps = 0;
    let mut run = |enough: Duration| {
        let (first, start) = (steps, Instant::now());
        while start.elapsed() < enough {
            step(steps);
            steps += 1;
        }
        (steps - first) as f64 * operations as f64 / start.elapsed().as_secs_f64()
    };
    run(WARM_UP);
    run(TIMED)
}

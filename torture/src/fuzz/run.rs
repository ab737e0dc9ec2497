//! Runs the targets that need no V8, with stable Rust: on the stored inputs, and on random mutations of these.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, panic, thread};

use clap::ValueEnum;

use super::{cursor, key, mutated, seeds, stored};
use crate::{Outcome, failed};

/// The arguments of `fuzz`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to fuzz, by default all targets.
    #[arg(value_name = "TARGET")]
    pub targets: Vec<Target>,
    /// How long to fuzz each target, in seconds.
    #[arg(long, default_value_t = 600.0)]
    pub seconds: f64,
    /// The minimum number of mutations for each target.
    #[arg(long, default_value_t = 0)]
    pub mutations: usize,
    /// The seed of the mutations, by default a random one.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// A function under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Decodes and encodes keys
    Key,
    /// Continues selectors after cursors
    Cursor,
    /// Opens and uses files
    Stored,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Cursor => "cursor",
            Self::Stored => "stored",
        }
    }

    fn function(self) -> fn(&[u8]) {
        match self {
            Self::Key => key,
            Self::Cursor => cursor,
            Self::Stored => stored,
        }
    }
}

/// Whether a thread of a database has panicked, which is only an error for its caller.
static DATABASE_PANICKED: AtomicBool = AtomicBool::new(false);

/// Runs targets on their seeds, and on mutations of these. The same seed yields the same mutations.
///
/// # Errors
/// The input that violates a guarantee, which is written to `fuzz/artifacts`.
pub fn run(args: &Args) -> Outcome {
    watch_threads();
    let seed = args.seed.unwrap_or_else(rand::random);
    let targets = if args.targets.is_empty() { Target::value_variants() } else { &args.targets };
    let mut counts = Vec::new();
    for &target in targets {
        // Printed first, in case that the process is killed.
        println!("fuzz {} --seed {seed}", target.name());
        counts.push(format!("{} {}", run_target(target, seed, args)?, target.name()));
    }
    Ok(format!("inputs: {}; none violated a guarantee", counts.join(", ")))
}

/// Runs a target. Returns the number of inputs.
fn run_target(target: Target, seed: u64, args: &Args) -> Result<usize, String> {
    let seeds = seeds(target.name());
    let (begin, limit) = (Instant::now(), Duration::from_secs_f64(args.seconds));
    let is_due = |mutation: &usize| *mutation < args.mutations || begin.elapsed() < limit;
    let mutations = (0..).take_while(is_due).zip(mutated(&seeds, seed)).map(|(_, input)| input);
    let mut count = 0;
    for input in seeds.iter().cloned().chain(mutations) {
        if panic::catch_unwind(|| target.function()(&input)).is_err() || DATABASE_PANICKED.load(Ordering::Relaxed) {
            let path = write(target, seed, &input).map_err(failed("writing the input"))?;
            return Err(format!("fuzz {} --seed {seed} failed on the input {}", target.name(), path.display()));
        }
        count += 1;
    }
    Ok(count)
}

/// Notes panics on threads of databases.
fn watch_threads() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            hook(panic);
            if thread::current().name().is_some_and(|name| name.starts_with("openkv")) {
                DATABASE_PANICKED.store(true, Ordering::Relaxed);
            }
        }));
    });
}

/// Writes an input to where cargo-fuzz writes those that it finds.
fn write(target: Target, seed: u64, input: &[u8]) -> io::Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/artifacts").join(target.name());
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("seed-{seed}"));
    fs::write(&path, input)?;
    Ok(path)
}

//! Scripts that call anything in `Deno` with anything, as the binary runs them: they get answers and exceptions, and the process goes
//! on. `fuzz` makes them of bytes.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::runtime::{Runtime, wait};
use crate::{Outcome, Programs, failed, fuzz};

/// How long to try.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How long to try, in seconds.
    #[arg(long, default_value_t = 600.0)]
    pub seconds: f64,
    /// How many scripts to run at least.
    #[arg(long, default_value_t = 0)]
    pub scripts: usize,
    /// What the scripts are made from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How many scripts one process runs.
const BATCH: usize = 25;

/// The longest input, in bytes.
const MAX_LEN: usize = 1536;

/// How long a process may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a process ends with that has run its scripts.
const DONE: i32 = 64;

/// Runs scripts made of random bytes, until the time is over.
///
/// # Errors
/// Says which script ended the process, did not end, or had a write that was rejected and written.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let runtime = Runtime::openkv(programs);
    let begin = Instant::now();
    let mut random = SmallRng::seed_from_u64(args.seed);
    let mut count = 0;
    while count < args.scripts || begin.elapsed().as_secs_f64() < args.seconds {
        let scripts: Vec<_> = (0..BATCH).map(|_| script(&mut random)).collect();
        check(&runtime, &scripts)?;
        count += BATCH;
    }
    Ok(format!("{count} scripts in {:.0} s: no process ended, and none hung", begin.elapsed().as_secs_f64()))
}

fn script(random: &mut SmallRng) -> String {
    let mut input = vec![0; random.random_range(16..MAX_LEN)];
    random.fill_bytes(&mut input);
    if random.random_ratio(1, 8) { fuzz::script(&input) } else { fuzz::deno(&input) }
}

/// Runs scripts in one process.
///
/// # Errors
/// Says which of them is wrong, and how.
pub fn check(runtime: &Runtime, scripts: &[String]) -> Result<(), String> {
    let Err(failure) = run_batch(runtime, scripts) else { return Ok(()) };
    for script in scripts {
        if let Err(failure) = run_batch(runtime, std::slice::from_ref(script)) {
            return Err(format!("{failure}\n{script}"));
        }
    }
    Err(format!("{failure}\nnone of these does it alone:\n{}", scripts.join(",\n")))
}

fn run_batch(runtime: &Runtime, scripts: &[String]) -> Result<(), String> {
    // Not in memory: what is below /dev takes all permissions.
    let scratch = tempfile::tempdir().map_err(failed("creating a directory"))?;
    let directory = scratch.path().join("own");
    fs::create_dir(&directory).map_err(failed("creating a directory"))?;
    let (main, log) = (scratch.path().join("main.js"), scratch.path().join("log"));
    let text = format!(
        "{}\nconst scripts = [{}];\n{}",
        fuzz::PRELUDE,
        scripts.join(",\n"),
        include_str!("../scripts/fuzz.js")
    );
    fs::write(&main, text).map_err(failed("writing the scripts"))?;
    let own = directory.display();
    let permissions = [
        "--no-prompt".to_owned(),
        format!("--allow-read={own},/dev/null,/dev/full"),
        format!("--allow-write={own}"),
        // Servers on ports that nobody else has, and connections to none.
        "--allow-net=127.0.0.1:0".to_owned(),
        "--allow-env".to_owned(),
        "--allow-sys".to_owned(),
    ];
    let mut command = runtime.restricted(permissions, &main.to_string_lossy(), &directory);
    // Debug builds of deno_core panic where an op of Deno's is called within another one.
    let reenters = !cfg!(debug_assertions);
    command.arg(&directory).arg(reenters.to_string()).env("TMPDIR", &directory);
    command.stdout(Stdio::null()).stderr(File::create(&log).map_err(failed("creating the log"))?);
    let child = command.spawn().map_err(failed("openkv"))?;
    let ended = wait(child, TIMEOUT)?;
    let log = String::from_utf8_lossy(&fs::read(&log).map_err(failed("reading the log"))?).into_owned();
    let last = || log.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    match ended {
        None => Err(format!("no end within {TIMEOUT:?}: {}", last())),
        Some(output) if output.status.code() != Some(DONE) => Err(format!("{}: {}", output.status, last())),
        // Of a thread of its own.
        Some(_) if log.contains("panicked at") => Err(format!("a thread panicked: {}", last())),
        Some(_) => Ok(()),
    }
}

//! Scripts that call the functions of `Deno` with random arguments. They may throw, but must not terminate the process. `fuzz`
//! generates them from bytes.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::runtime::{Runtime, wait};
use crate::{Outcome, Programs, failed, fuzz};

/// The arguments of `scripts`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How long to run, in seconds.
    #[arg(long, default_value_t = 600.0)]
    pub seconds: f64,
    /// The minimum number of scripts to run.
    #[arg(long, default_value_t = 0)]
    pub scripts: usize,
    /// The seed of the random scripts.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How many scripts one process runs.
const BATCH: usize = 25;

/// The longest input, in bytes.
const MAX_LEN: usize = 1536;

/// How long a process may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The exit code of a process that has run its scripts.
const DONE: i32 = 64;

/// Runs scripts generated from random bytes.
///
/// # Errors
/// The script that terminated the process, hung, or wrote something although the write was rejected.
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
    Ok(format!("{count} scripts in {:.0} s: no process crashed or hung", begin.elapsed().as_secs_f64()))
}

fn script(random: &mut SmallRng) -> String {
    let mut input = vec![0; random.random_range(16..MAX_LEN)];
    random.fill_bytes(&mut input);
    if random.random_ratio(1, 8) { fuzz::script(&input) } else { fuzz::deno(&input) }
}

/// Runs scripts in one process.
///
/// # Errors
/// The script that failed, and how.
pub fn check(runtime: &Runtime, scripts: &[String]) -> Result<(), String> {
    let Err(failure) = run_batch(runtime, scripts) else { return Ok(()) };
    for script in scripts {
        if let Err(failure) = run_batch(runtime, std::slice::from_ref(script)) {
            return Err(format!("{failure}\n{script}"));
        }
    }
    Err(format!("{failure}\nthese scripts fail only together:\n{}", scripts.join(",\n")))
}

fn run_batch(runtime: &Runtime, scripts: &[String]) -> Result<(), String> {
    // Not in memory: paths below /dev require all permissions.
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
        // Servers can only listen on free ports, and connections fail.
        "--allow-net=127.0.0.1:0".to_owned(),
        "--allow-env".to_owned(),
        "--allow-sys".to_owned(),
    ];
    let mut command = runtime.restricted(permissions, &main.to_string_lossy(), &directory);
    // Debug builds of deno_core panic on reentrant ops.
    let reenters = !cfg!(debug_assertions);
    command.arg(&directory).arg(reenters.to_string()).env("TMPDIR", &directory);
    command.stdout(Stdio::null()).stderr(File::create(&log).map_err(failed("creating the log"))?);
    let child = command.spawn().map_err(failed("starting openkv"))?;
    let output = wait(child, TIMEOUT)?;
    let log = String::from_utf8_lossy(&fs::read(&log).map_err(failed("reading the log"))?).into_owned();
    let last = || log.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    match output {
        None => Err(format!("no exit within {TIMEOUT:?}: {}", last())),
        Some(output) if output.status.code() != Some(DONE) => Err(format!("{}: {}", output.status, last())),
        // A panic of another thread does not change the exit code.
        Some(_) if log.contains("panicked at") => Err(format!("a thread panicked: {}", last())),
        Some(_) => Ok(()),
    }
}

//! Random histories of all operations of the engine, on a database in memory and on a file. Every result is compared with that
//! of a simple model: a map, a queue and a manual clock. A history that fails is shrunk.
//!
//! Then random programs of calls on a `Deno.Kv`, in TypeScript, most of them not awaited: [`programs`].

mod history;
pub mod programs;
mod reference;
mod replay;

use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::{Outcome, Programs, Under};
use replay::{Place, replay};

/// The arguments of `model`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The number of histories in memory. A fifth as many run on files, which take longer.
    #[arg(long, default_value_t = 20_000)]
    pub histories: u32,
    /// The maximum number of steps of a history.
    #[arg(long, default_value_t = 60)]
    pub steps: usize,
    /// The seed of the random histories and programs.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The number of programs in memory and on files, with one handle and with two each.
    #[arg(long, default_value_t = 2000)]
    pub programs: u32,
    /// Which runtime runs the programs. Deno runs no histories, which test the engine.
    #[arg(long, value_enum, default_value_t)]
    pub under: Under,
}

/// Runs histories, then programs.
///
/// # Errors
/// See [`run_engine`] and [`programs::run`].
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let histories = match args.under {
        Under::Openkv => run_engine(args)?,
        Under::Deno => "model: no histories under Deno".into(),
    };
    let programs = programs::run(programs, args)?;
    Ok(format!("{histories}\n{programs}"))
}

/// Runs histories in memory and on files.
///
/// # Errors
/// The shortest failing history, and its wrong result.
pub fn run_engine(args: &Args) -> Outcome {
    let begin = Instant::now();
    let files = args.histories.div_ceil(5);
    run_histories(Place::Memory, args.histories, args)?;
    run_histories(Place::File, files, args)?;
    let Args { histories, steps, seed, .. } = args;
    Ok(format!(
        "model: {histories} histories in memory and {files} on files of up to {steps} steps, seed {seed}: every result equals \
         that of the model, in {:.0?}",
        begin.elapsed()
    ))
}

fn run_histories(place: Place, count: u32, args: &Args) -> Result<(), String> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&args.seed.to_le_bytes());
    let config = Config { cases: count, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let result =
        runner.run(&history::histories(args.steps), |history| replay(place, &history).map_err(TestCaseError::fail));
    result.map_err(|error| match error {
        TestError::Fail(reason, history) => format!("model: {place:?}: {reason}, in {history:?}"),
        TestError::Abort(reason) => format!("model: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_agrees_with_the_model() {
        let args = Args { histories: 300, steps: 30, seed: 1, programs: 0, under: Under::Openkv };
        run_engine(&args).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

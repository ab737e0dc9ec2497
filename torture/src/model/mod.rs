//! Random histories of all operations of the engine, on databases in memory and in files, or in a service. Every result is compared with that
//! of a simple model: a map, a queue and a manual clock. A history that fails is shrunk.
//!
//! Then random programs of calls on a `Deno.Kv`, in TypeScript, most of them not awaited: [`programs`].

mod history;
pub mod programs;
mod reference;
mod replay;

use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::service::{On, Service};
use crate::{Outcome, Programs, Under};
use replay::{Place, replay};

/// The arguments of `model`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The number of histories in memory, and a fifth as many in files, which take longer; or in a service.
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
    /// Where the databases are: in memory and in files, "file", in "etcd" or "postgres", which are started, or at a URL of either.
    #[arg(long, default_value = "file")]
    pub on: On,
}

/// Runs histories, then programs.
///
/// # Errors
/// See [`run_engine`] and [`programs::run`].
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let service = Service::start(&args.on)?;
    let histories = match args.under {
        Under::Openkv => run_engine(&service, args)?,
        Under::Deno => "model: no histories under Deno".into(),
    };
    if args.programs == 0 {
        return Ok(histories);
    }
    let programs = programs::run(programs, &service, args)?;
    Ok(format!("{histories}\n{programs}"))
}

/// Runs histories in memory and in files, or in another service.
///
/// # Errors
/// The shortest failing history, and its wrong result.
pub fn run_engine(service: &Service, args: &Args) -> Outcome {
    let begin = Instant::now();
    let Args { histories, steps, seed, on, .. } = args;
    let places = if let Service::Files(_) = service {
        let files = histories.div_ceil(5);
        run_histories(Place::Memory, *histories, args)?;
        run_histories(Place::File, files, args)?;
        format!("{histories} histories in memory and {files} in files")
    } else {
        run_histories(Place::Service(service), *histories, args)?;
        format!("{histories} histories in databases on {on}")
    };
    Ok(format!(
        "model: {places} of up to {steps} steps, seed {seed}: every result equals that of the model, in {:.0?}",
        begin.elapsed()
    ))
}

fn run_histories(place: Place<'_>, count: u32, args: &Args) -> Result<(), String> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&args.seed.to_le_bytes());
    let config = Config { cases: count, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let result =
        runner.run(&history::histories(args.steps), |history| replay(place, &history).map_err(TestCaseError::fail));
    result.map_err(|error| match error {
        TestError::Fail(reason, history) => format!("model: {reason}, in {history:?}"),
        TestError::Abort(reason) => format!("model: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_agrees_with_the_model() {
        let args = Args { histories: 300, steps: 30, seed: 1, programs: 0, under: Under::Openkv, on: On::File };
        Service::start(&args.on)
            .and_then(|service| run_engine(&service, &args))
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}

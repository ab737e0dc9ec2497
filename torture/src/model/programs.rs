//! Random programs: calls on one or two handles, awaited or not, as `scripts/model/programs.ts` makes and judges them. Calls on a
//! handle must take effect in the order in which they were made.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::Args;
use crate::runtime::{Runtime, finish};
use crate::{Outcome, Programs, TIMEOUT, Under, failed, scratch};

/// How many steps a program has at most.
const LENGTH: u32 = 40;

/// How long a program may take that answers every call.
const PER_PROGRAM: Duration = Duration::from_millis(200);

/// What the script prints.
#[derive(Deserialize)]
struct Report {
    programs: u64,
    steps: u64,
    awaited: u64,
    /// How many programs went wrong first at a call of each kind.
    wrong: BTreeMap<String, u64>,
    /// The first program that went wrong.
    first: Option<String>,
}

/// Runs programs in memory and on files, with one handle and with two.
///
/// # Errors
/// How many programs had a wrong answer, at which calls, and the first of them, shrunk.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let begin = Instant::now();
    let runtime = args.under.runtime(programs)?;
    let (mut lines, mut wrong) = (Vec::new(), 0);
    for (place, handles) in [("memory", 1), ("memory", 2), ("files", 1), ("files", 2)] {
        if args.under == Under::Deno && (place, handles) == ("files", 2) {
            // Deno rejects commits there, as the database is locked.
            continue;
        }
        let report = run_in(&runtime, place == "files", handles, args)?;
        let calls: Vec<_> = report.wrong.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let count: u64 = report.wrong.values().sum();
        let found = if count == 0 { "none".to_owned() } else { format!("{count} (first at: {})", calls.join(", ")) };
        lines.push(format!(
            "model: {} programs in {place} with {handles} handle{}, {} steps, {} of them awaited: with a wrong answer: {found}",
            report.programs,
            if handles == 1 { "" } else { "s" },
            report.steps,
            report.awaited,
        ));
        lines.extend(report.first.map(|first| format!("  {first}")));
        wrong += count;
    }
    lines.push(format!("model: seed {}, under {:?}, in {:.0?}", args.seed, args.under, begin.elapsed()));
    let report = lines.join("\n");
    if wrong == 0 { Ok(report) } else { Err(format!("calls took effect out of order\n{report}")) }
}

fn run_in(runtime: &Runtime, on_files: bool, handles: u32, args: &Args) -> Result<Report, String> {
    let directory = scratch()?;
    let arguments = json!({
        "directory": on_files.then_some(directory.path()),
        "seed": args.seed,
        "programs": args.programs,
        "length": LENGTH,
        "handles": handles,
        "common": args.under == Under::Deno,
    });
    let mut command = runtime.script("model/programs.ts", directory.path());
    let child = command.arg(arguments.to_string()).spawn().map_err(failed("programs"))?;
    let printed = finish(child, TIMEOUT + PER_PROGRAM * args.programs).map_err(failed("programs"))?;
    serde_json::from_str(&printed).map_err(failed("the report of the programs"))
}

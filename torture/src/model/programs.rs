//! Random programs: calls on one or two handles, awaited or not, which `scripts/model/programs.ts` generates and checks. Calls on a
//! handle must take effect in the order in which they are made.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::Args;
use crate::runtime::{Runtime, finish};
use crate::service::Service;
use crate::{Outcome, Programs, TIMEOUT, Under, failed, scratch};

/// The maximum number of steps of a program.
const LENGTH: u32 = 40;

/// The timeout of a program.
const PER_PROGRAM: Duration = Duration::from_millis(200);

/// The output of the script.
#[derive(Deserialize)]
struct Report {
    programs: u64,
    steps: u64,
    awaited: u64,
    /// The number of failed programs, by the kind of their first wrong call.
    wrong: BTreeMap<String, u64>,
    /// The first failed program.
    first: Option<String>,
}

/// Runs programs in memory and in files, or in another service, with one handle and with two.
///
/// # Errors
/// The number of failed programs, by call, and the first of them, shrunk.
pub fn run(programs: &Programs, service: &Service, args: &Args) -> Outcome {
    let begin = Instant::now();
    let runtime = args.under.runtime(programs)?;
    let (mut lines, mut wrong) = (Vec::new(), 0);
    let on = args.on.to_string();
    let places = if let Service::Files(_) = service {
        vec![("memory", 1), ("memory", 2), (&on, 1), (&on, 2)]
    } else {
        vec![(&*on, 1), (&on, 2)]
    };
    for (place, handles) in places {
        if args.under == Under::Deno && handles == 2 && place != "memory" {
            // Deno rejects commits then, because the database is locked.
            continue;
        }
        let databases = (place != "memory").then(|| service.location(&format!("programs{handles}x")));
        let report = run_in(&runtime, databases, handles, args)?;
        let calls: Vec<_> = report.wrong.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let count: u64 = report.wrong.values().sum();
        let found = if count == 0 { "none".to_owned() } else { format!("{count} (first at: {})", calls.join(", ")) };
        lines.push(format!(
            "model: {} programs on {place} with {handles} handle{}, {} steps, {} of them awaited: failed: {found}",
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

/// Runs programs in databases in memory, or in those whose locations begin so.
fn run_in(runtime: &Runtime, databases: Option<String>, handles: u32, args: &Args) -> Result<Report, String> {
    let directory = scratch()?;
    let arguments = json!({
        "databases": databases,
        "seed": args.seed,
        "programs": args.programs,
        "length": LENGTH,
        "handles": handles,
        "common": args.under == Under::Deno,
    });
    let mut command = runtime.script("model/programs.ts", directory.path());
    let child = command.arg(arguments.to_string()).spawn().map_err(failed("starting the programs"))?;
    let printed = finish(child, TIMEOUT + PER_PROGRAM * args.programs).map_err(failed("running the programs"))?;
    serde_json::from_str(&printed).map_err(failed("parsing the report of the programs"))
}

//! Guarantees of OpenKV that Deno lacks, measured under both by the same scripts.

mod faults;
mod processes;
mod scripts;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::runtime::Runtime;
use crate::{Outcome, Programs, failed};

/// The arguments of `compare`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run a short form, under OpenKV only.
    #[arg(long)]
    pub short: bool,
    /// Where to write the page of results.
    #[arg(long)]
    pub write: Option<PathBuf>,
}

/// A row of the results.
struct Figure {
    what: String,
    shown: String,
    /// Whether OpenKV's guarantee holds.
    holds: bool,
}

type Figures = Result<Vec<Figure>, String>;

/// A section of the page.
struct Comparison {
    title: &'static str,
    guarantee: &'static str,
    count: fn(&Setting) -> Figures,
    /// Whether it takes too long for the tests, or has requirements that not every machine meets.
    long: bool,
}

/// The environment of a comparison.
struct Setting {
    runtime: Runtime,
    /// The directory of the database.
    directory: TempDir,
    short: bool,
}

/// How long a script may take that should not block.
const TIMEOUT: Duration = Duration::from_secs(120);

const COMPARISONS: [Comparison; 9] = [
    Comparison {
        title: "A rejected commit",
        guarantee: "A rejected commit writes nothing.",
        count: scripts::atomicity,
        long: false,
    },
    Comparison {
        title: "Eight processes increment one number",
        guarantee: "A lost race is `{ ok: false }`, and no commit is rejected because another process writes.",
        count: processes::race,
        long: false,
    },
    Comparison {
        title: "Expired entries",
        guarantee: "An entry disappears for reads, lists, checks and mutations the moment it expires.",
        count: scripts::expiry,
        long: false,
    },
    Comparison {
        title: "A listener is killed while handlers run",
        guarantee: "Every message is delivered, and a message that was known to be handled is not delivered again.",
        count: processes::redelivery,
        long: false,
    },
    Comparison {
        title: "A slow handler",
        guarantee: "A message is not redelivered while its handler runs.",
        count: scripts::slow,
        long: true,
    },
    Comparison {
        title: "Commits of another process",
        guarantee: "Watchers see the changes of other processes, and listeners receive their messages.",
        count: processes::across,
        long: false,
    },
    Comparison {
        title: "Delay of a ready message",
        guarantee: "A message that is ready is delivered immediately.",
        count: scripts::delay,
        long: true,
    },
    Comparison {
        title: "500 commits in flight",
        guarantee: "Concurrent commits share disk syncs, and reads do not wait for them.",
        count: scripts::in_flight,
        long: true,
    },
    Comparison {
        title: "Storage faults",
        guarantee: "A storage fault is an error that the script can catch.",
        count: faults::faults,
        long: true,
    },
];

/// Runs all comparisons.
///
/// # Errors
/// The guarantee that OpenKV violated.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let openkv = Runtime::openkv(programs);
    let deno = if args.short { None } else { Some(Runtime::deno(programs)?) };
    let mut versions = openkv.version()?;
    if let Some(deno) = &deno {
        versions = format!("{versions} and {}", deno.version()?);
    }
    let mut page = PAGE.replace("VERSIONS", &versions);
    for Comparison { title, guarantee, count, long } in COMPARISONS {
        if long && args.short {
            continue;
        }
        let count = |runtime: &Runtime| {
            let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
            count(&Setting { runtime: runtime.clone(), directory, short: args.short })
        };
        eprintln!("torture: {title}");
        let ours = count(&openkv).map_err(|error| format!("{title}: {error}"))?;
        let theirs = deno.as_ref().map(count).transpose().map_err(|error| format!("{title}, under Deno: {error}"))?;
        if let Some(violated) = ours.iter().find(|figure| !figure.holds) {
            return Err(format!("{title}: {}: {}", violated.what, violated.shown));
        }
        page += &format!("\n## {title}\n\n{guarantee}\n\n{}", table(&ours, theirs.as_deref()));
    }
    if let Some(file) = &args.write {
        std::fs::write(file, &page).map_err(failed("writing the page"))?;
    }
    Ok(page)
}

const PAGE: &str = "\
# Compared with Deno

The results of the same scripts under VERSIONS. This command runs them and writes this page:

```sh
cargo xtask torture compare --write docs/compared.md
```

The scripts are in [torture/scripts/compare](../torture/scripts/compare). The command fails if OpenKV violates a guarantee; the tests
run a short form of it. Counts are exact for OpenKV, and vary from run to run for Deno; times were measured on a machine under other
load.
";

fn table(ours: &[Figure], theirs: Option<&[Figure]>) -> String {
    let mut table = "| | OpenKV | Deno |\n| --- | --- | --- |\n".to_owned();
    for (i, Figure { what, shown, .. }) in ours.iter().enumerate() {
        let other = theirs.and_then(|theirs| theirs.get(i)).map_or("", |figure| &figure.shown);
        table += &format!("| {what} | {shown} | {other} |\n");
    }
    table
}

impl Setting {
    /// Returns one number for the long form, another for the short one.
    fn size(&self, long: u32, short: u32) -> u32 {
        if self.short { short } else { long }
    }
}

impl Figure {
    fn new(what: &str, shown: impl ToString, holds: bool) -> Self {
        Self { what: what.into(), shown: shown.to_string(), holds }
    }

    /// Returns the figures that a script printed, and skips other lines.
    fn all(printed: &str) -> Vec<Self> {
        let figures = printed.lines().filter_map(|line| {
            let figure: Value = serde_json::from_str(line).ok()?;
            Some(Self::new(figure["what"].as_str()?, figure["shown"].as_str()?, figure["holds"].as_bool()?))
        });
        figures.collect()
    }
}

//! What OpenKV promises and Deno does not keep, counted under both by the same scripts.

mod faults;
mod processes;
mod scripts;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::runtime::Runtime;
use crate::{Outcome, Programs, failed};

/// How much, and where to write it.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Little of everything, under OpenKV alone.
    #[arg(long)]
    pub short: bool,
    /// Where to write what was counted, as a page.
    #[arg(long)]
    pub write: Option<PathBuf>,
}

/// What was counted.
struct Figure {
    what: String,
    shown: String,
    /// Whether it is what OpenKV promises.
    kept: bool,
}

type Figures = Result<Vec<Figure>, String>;

/// What is counted, and how.
struct Comparison {
    title: &'static str,
    /// What OpenKV promises.
    promise: &'static str,
    count: fn(&Setting) -> Figures,
    /// Whether it is too long to be part of the tests, or needs what not every machine has.
    long: bool,
}

/// Where something is counted.
struct Setting {
    runtime: Runtime,
    /// For the database.
    directory: TempDir,
    short: bool,
}

/// How long a script may take that nothing is known to hold up.
const TIMEOUT: Duration = Duration::from_secs(120);

const COMPARISONS: [Comparison; 9] = [
    Comparison {
        title: "A rejected commit",
        promise: "A commit that rejects has written nothing.",
        count: scripts::atomicity,
        long: false,
    },
    Comparison {
        title: "Eight processes increment one number",
        promise: "A lost race is `{ ok: false }`, and no commit is rejected because another process writes.",
        count: processes::race,
        long: false,
    },
    Comparison {
        title: "Right after an entry has expired",
        promise: "An entry is gone for reads, lists, checks and mutations the moment it has expired.",
        count: scripts::expiry,
        long: false,
    },
    Comparison {
        title: "A listener is killed amid its handlers",
        promise: "Every message is delivered, and none again that was seen to be done.",
        count: processes::redelivery,
        long: false,
    },
    Comparison {
        title: "A handler that takes long",
        promise: "A message does not come again while its handler runs.",
        count: scripts::slow,
        long: true,
    },
    Comparison {
        title: "What another process does",
        promise: "A watch notices the changes of other processes, and a listener their messages.",
        count: processes::across,
        long: false,
    },
    Comparison {
        title: "A message that is ready",
        promise: "It is delivered immediately.",
        count: scripts::delay,
        long: true,
    },
    Comparison {
        title: "500 commits in flight",
        promise: "Commits that are in flight together share disk syncs, and reads do not wait for them.",
        count: scripts::in_flight,
        long: true,
    },
    Comparison {
        title: "Storage that fails",
        promise: "An error of the storage is an error for the script to catch.",
        count: faults::faults,
        long: true,
    },
];

/// Counts everything.
///
/// # Errors
/// Says which promise OpenKV broke.
pub fn run(programs: &Programs, args: &Args) -> Outcome {
    let openkv = Runtime::openkv(programs);
    let deno = if args.short { None } else { Some(Runtime::deno(programs)?) };
    let mut versions = openkv.version()?;
    if let Some(deno) = &deno {
        versions = format!("{versions} and {}", deno.version()?);
    }
    let mut page = PAGE.replace("VERSIONS", &versions);
    for Comparison { title, promise, count, long } in COMPARISONS {
        if long && args.short {
            continue;
        }
        let count = |runtime: &Runtime| {
            let directory = tempfile::tempdir().map_err(failed("a directory"))?;
            count(&Setting { runtime: runtime.clone(), directory, short: args.short })
        };
        eprintln!("torture: {title}");
        let ours = count(&openkv).map_err(|error| format!("{title}: {error}"))?;
        let theirs = deno.as_ref().map(count).transpose().map_err(|error| format!("{title}, under Deno: {error}"))?;
        if let Some(broken) = ours.iter().find(|figure| !figure.kept) {
            return Err(format!("{title}: {}: {}", broken.what, broken.shown));
        }
        page += &format!("\n## {title}\n\n{promise}\n\n{}", table(&ours, theirs.as_deref()));
    }
    if let Some(file) = &args.write {
        std::fs::write(file, &page).map_err(failed("the page"))?;
    }
    Ok(page)
}

const PAGE: &str = "\
# Compared with Deno

The same scripts under VERSIONS, and what came of them. The command that counts it all again, and
writes this page:

```sh
cargo xtask torture compare --write docs/compared.md
```

The scripts are in [torture/scripts/compare](../torture/scripts/compare). Where OpenKV does not keep what it promises, the
command fails; a short form of it is part of the tests. Counts are exact for OpenKV, and vary from run to run for Deno; times are
of a machine that did other things too.
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
    /// A number for the long form, or for the short one.
    fn size(&self, long: u32, short: u32) -> u32 {
        if self.short { short } else { long }
    }
}

impl Figure {
    fn new(what: &str, shown: impl ToString, kept: bool) -> Self {
        Self { what: what.into(), shown: shown.to_string(), kept }
    }

    /// The figures that a script printed. Other lines are for others.
    fn all(printed: &str) -> Vec<Self> {
        let figures = printed.lines().filter_map(|line| {
            let figure: Value = serde_json::from_str(line).ok()?;
            Some(Self::new(figure["what"].as_str()?, figure["shown"].as_str()?, figure["kept"].as_bool()?))
        });
        figures.collect()
    }
}

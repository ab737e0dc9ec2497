//! `cargo xtask bench`: runs the same scripts alternately under OpenKV and Deno. See `benches/README.md`.

mod chart;
mod machine;
mod measures;
mod options;
mod others;
mod program;
mod remote;
mod results;
mod runtime;
mod scale;
mod serve;
mod statistics;
mod table;
mod targets;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use machine::Condition;
use measures::{MEASURES, Measure, Source};
use options::Common;
use results::{Results, Row};
use runtime::Runtime;
use statistics::median;
use targets::Target;

/// The command-line options.
struct Options {
    common: Common,
    /// Whether to measure without Deno.
    alone: bool,
    /// In the order of [`MEASURES`].
    measures: Vec<&'static Measure>,
}

/// Measures, prints a table, and writes it with a chart to `benches` if it is complete.
pub fn bench(args: &[OsString]) -> Result<ExitCode, String> {
    match args.first().and_then(|arg| arg.to_str()) {
        Some("--others") => return others::bench(&args[1..]),
        Some("--scale") => return scale::bench(&args[1..]),
        Some("--etcd") => return remote::bench(&remote::ETCD, &args[1..]),
        Some("--postgres") => return remote::bench(&remote::POSTGRES, &args[1..]),
        Some("--serve") => return serve::bench(&args[1..]),
        _ => {}
    }
    let options = parse(args)?;
    let deno = if options.alone { None } else { Some(options.common.deno()?) };
    let runtimes: Vec<Runtime> = [Some(options.common.openkv()?), deno].into_iter().flatten().collect();

    let results = measure(&options, &runtimes)?;
    let complete = !options.alone && options.measures.len() == MEASURES.len();
    let targets =
        targets::section(&[Target::at_most("get, time in a file to time in memory", 1.15, file_to_memory(&results))]);
    println!("{}\n\n{}{targets}", results.circumstances(), results.table());
    if complete {
        let end = format!("{targets}\n![The ratios as a chart](results.svg)\n");
        let page = results.page("cargo xtask bench", &end);
        write([("results.md", page), ("results.svg", chart::draw(&results.rows, "Deno"))])?
    } else {
        eprintln!("xtask: benches/results.md is unchanged, because not all measures ran under both runtimes")
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the ratio of the times of a get in a file and in memory.
fn file_to_memory(results: &Results) -> Option<f64> {
    let rate = |name| results.rows.iter().find(|row| row.measure.name == name).map(|row| median(&row.values[0]));
    Some(rate("memory-get")? / rate("get-hit")?)
}

fn parse(args: &[OsString]) -> Result<Options, String> {
    let (mut common, mut alone) = (Common::with_rounds(5), false);
    let measures = options::parse(args, MEASURES, |option, rest| {
        alone |= option == "--alone";
        Ok(option == "--alone" || common.take(option, rest)?)
    })?;
    Ok(Options { common, alone, measures })
}

/// Measures in rounds. The runtimes alternate at each measure, so that both run under the same conditions, and the first one changes
/// from round to round.
fn measure(options: &Options, runtimes: &[Runtime]) -> Result<Results, String> {
    let scratch = Scratch::new()?;
    let lists = options.measures.iter().any(|measure| measure.source == Source::PeakMemory("list.ts"));
    if lists {
        scratch.run(&runtimes[0], "store.ts")?;
    }
    let mut rows: Vec<Row> = options.measures.iter().map(|measure| Row::new(measure, runtimes.len())).collect();
    let mut conditions = Vec::new();
    for round in 0..options.common.rounds {
        eprintln!("xtask: round {} of {}", round + 1, options.common.rounds);
        conditions.push(Condition::measure(&scratch.0)?);
        for row in &mut rows {
            let mut samples = vec![Vec::new(); runtimes.len()];
            for _ in 0..row.measure.source.runs() {
                for i in 0..runtimes.len() {
                    let i = (i + round) % runtimes.len();
                    samples[i].push(sample(row.measure, &runtimes[i], &scratch)?);
                }
            }
            for (values, samples) in row.values.iter_mut().zip(&samples) {
                values.push(median(samples));
            }
        }
    }
    let versions: Vec<_> = runtimes.iter().map(|runtime| runtime.version.as_str()).collect();
    Ok(Results { rows, versions: versions.join(" and "), others: vec!["Deno"], conditions })
}

/// Takes one sample of a measure.
fn sample(measure: &Measure, runtime: &Runtime, scratch: &Scratch) -> Result<f64, String> {
    match measure.source {
        Source::Script => runtime.rate(measure.name, &scratch.0),
        Source::Startup(script) => Ok(scratch.run(runtime, script)?.milliseconds),
        Source::PeakMemory(script) => Ok(scratch.run(runtime, script)?.peak_mebibytes),
    }
}

/// A directory for databases, on the disk of the build: the system's temporary directory may be in memory, where a sync costs nothing.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let path = crate::target_directory().join(format!("bench-{}", std::process::id()));
        program::write(&path.join("modules")).map_err(|error| format!("failed to write to {path:?}: {error}"))?;
        Ok(Self(path))
    }

    /// Runs one of the scripts that are measured as processes, with their shared database. One in this directory is not looked for in
    /// `benches`.
    fn run(&self, runtime: &Runtime, script: &str) -> Result<runtime::Process, String> {
        let generated = self.0.join(script);
        let script = generated.to_str().filter(|_| generated.exists()).unwrap_or(script);
        runtime.run(script, &self.0.join("kv.sqlite3"), &self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Leftovers in the target directory do no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes files to `benches`.
fn write<const N: usize>(files: [(&str, String); N]) -> Result<(), String> {
    let directory = crate::root().join("benches");
    for (name, content) in files {
        let path = directory.join(name);
        fs::write(&path, content).map_err(|error| format!("failed to write {path:?}: {error}"))?;
        eprintln!("xtask: wrote {}", path.strip_prefix(crate::root()).unwrap_or(Path::new(name)).display());
    }
    Ok(())
}

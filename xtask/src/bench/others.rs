//! `cargo xtask bench --others`: the same script with OpenKV and Deno, and with lmdb, better-sqlite3 and classic-level in Node.js; writes
//! also with raw SQLite on one thread.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{fs, io};

use super::machine::Condition;
use super::measures::OF_STORES;
use super::options::{self, Common};
use super::results::{Results, Row};
use super::runtime::Runtime;
use super::targets::{self, Target};
use super::{Scratch, chart};

/// The titles of what is measured, OpenKV first.
const SIDES: [&str; 6] = ["OpenKV", "lmdb", "better-sqlite3", "classic-level", "Deno", "raw SQLite"];

/// The indices of those with targets.
const LMDB: usize = 1;
const DENO: usize = 4;
const RAW: usize = 5;

/// The number of gets of which the script `others/main.ts` does twice as many in its measure `reads-twice`.
const READS: f64 = 100_000.0;

/// The maximum of system calls per get. A loop of reads makes none, but a process makes some, and a read transaction is renewed after some
/// milliseconds.
const SYSTEM_CALLS: f64 = 0.05;

/// Runs the benchmarks, prints the tables, and writes them with a chart to `benches` if they are complete.
pub fn bench(args: &[OsString]) -> Result<ExitCode, String> {
    let mut common = Common::with_rounds(5);
    let measures = options::parse(args, OF_STORES, |option, rest| common.take(option, rest))?;
    let stores = Stores { openkv: common.openkv()?, deno: common.deno()?, node: Runtime::node(install()?)? };
    if !crate::succeeds(&mut raw(&["--no-run"]))? {
        return Ok(ExitCode::FAILURE);
    }
    let scratch = Scratch::new()?;
    let mut rows: Vec<_> = measures.iter().map(|measure| Row::new(measure, SIDES.len())).collect();
    let mut conditions = Vec::new();
    for round in 0..common.rounds {
        eprintln!("xtask: round {} of {}", round + 1, common.rounds);
        conditions.push(Condition::measure(&scratch.0)?);
        for row in &mut rows {
            for i in 0..SIDES.len() {
                // The order alternates from round to round.
                let i = (i + round) % SIDES.len();
                row.values[i].extend(stores.rate(i, row.measure.name, &scratch.0)?);
            }
        }
    }
    let versions = [&stores.openkv, &stores.deno, &stores.node].map(|runtime| runtime.version.as_str()).join(", ");
    let results = Results { rows, versions, others: SIDES[1..].to_vec(), conditions };
    let targets = targets::section(&targets(&results, &stores, &scratch.0)?);
    println!("{}\n\n{}{targets}", results.circumstances(), results.table());
    if measures.len() == OF_STORES.len() {
        let end = format!("{targets}\n![The ratios to lmdb as a chart](others.svg)\n");
        let compared: Vec<_> = results.rows.iter().map(|row| row.beside(LMDB)).collect();
        let page = results.page("cargo xtask bench --others", &end);
        super::write([("others.md", page), ("others.svg", chart::draw(&compared, SIDES[LMDB]))])?;
    } else {
        eprintln!("xtask: benches/others.md is unchanged, because not all measures ran");
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs the packages in the target directory, and bundles the script for Node.js beside them. Returns their directory.
fn install() -> Result<PathBuf, String> {
    let directory = crate::target_directory().join("tools/others");
    let source = crate::root().join("benches/others");
    let failed = |error: io::Error| format!("failed to write {directory:?}: {error}");
    fs::create_dir_all(&directory).map_err(failed)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), directory.join(file)).map_err(failed)?;
    }
    // What is installed already is kept: one of the packages is compiled.
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--silent"]).current_dir(&directory);
    let mut bundler = Command::new(directory.join("node_modules/.bin/esbuild"));
    bundler.arg(source.join("main.ts")).args(["--bundle", "--platform=node", "--format=esm", "--log-level=warning"]);
    bundler.arg("--out-extension:.js=.mjs").arg(format!("--outdir={}", directory.join("others").display()));
    if crate::succeeds(&mut npm)? && crate::succeeds(&mut bundler)? {
        Ok(directory)
    } else {
        Err("the packages of benches/others could not be installed: npm, its registry and a C++ compiler are required"
            .into())
    }
}

/// Runs the benchmark `raw` of the engine, in which only SQLite counts: the development profile optimizes that.
fn raw(args: &[&str]) -> Command {
    let mut command = crate::cargo(&["bench", "--quiet", "--profile", "dev", "--package", "openkv_engine"]);
    command.args(["--bench", "raw"]).args(args);
    command
}

struct Stores {
    openkv: Runtime,
    deno: Runtime,
    node: Runtime,
}

impl Stores {
    /// Runs a measure. Returns its operations per second. `None` if this side does not have it.
    fn rate(&self, side: usize, measure: &str, directory: &Path) -> Result<Option<f64>, String> {
        match side {
            0 => self.openkv.rate_of_store("kv", measure, directory).map(Some),
            DENO => self.deno.rate_of_store("kv", measure, directory).map(Some),
            RAW if measure.starts_with("get-") || measure.starts_with("list-") => Ok(None),
            RAW => raw_rate(measure, directory).map(Some),
            _ => self.node.rate_of_store(SIDES[side], measure, directory).map(Some),
        }
    }
}

fn raw_rate(measure: &str, directory: &Path) -> Result<f64, String> {
    let directory = directory.to_string_lossy();
    let line = crate::first_line(&mut raw(&["--", &directory, measure])).map_err(|error| error.to_string());
    let rate = line.and_then(|line| {
        let json: serde_json::Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        json["perSecond"].as_f64().ok_or_else(|| format!("printed {line:?}"))
    });
    rate.map_err(|why| format!("{measure} with raw SQLite: {why}"))
}

/// Returns the targets of the rows that ran, and of the system calls.
fn targets(results: &Results, stores: &Stores, directory: &Path) -> Result<Vec<Target>, String> {
    let ratio = |measure: &str, side: usize| {
        results.rows.iter().find(|row| row.measure.name == measure).and_then(|row| row.ratio_to(side))
    };
    let calls = system_calls(&stores.openkv, directory)?;
    let set = ratio("set-small", DENO).zip(ratio("set-small", RAW)).map(|(deno, raw)| {
        let figure = format!("{} and {}", super::results::times(deno), super::results::times(raw));
        (figure, deno >= 1.3 || raw >= 0.95)
    });
    Ok(vec![
        Target::at_least("get of a nested object, compared with lmdb", 1.0, ratio("get-nested", LMDB)),
        Target::at_least("get of a nested object, compared with Deno", 15.0, ratio("get-nested", DENO)),
        Target::at_least("listed nested object, compared with lmdb", 1.0, ratio("list-nested", LMDB)),
        Target::at_least("listed nested object, compared with Deno", 4.0, ratio("list-nested", DENO)),
        Target::other("set, compared with Deno and raw SQLite", "≥ 1.3× or ≥ 0.95×", set),
        Target::at_least("bulk load, compared with Deno", 2.0, ratio("load-small", DENO)),
        Target::other(
            "system calls per get in a loop (strace)",
            &format!("≤ {SYSTEM_CALLS}"),
            calls.map(|calls| (format!("{calls:.3}"), calls <= SYSTEM_CALLS)),
        ),
    ])
}

/// Returns the system calls of an awaited get. `None` if `strace` is not installed.
fn system_calls(runtime: &Runtime, directory: &Path) -> Result<Option<f64>, String> {
    let counts = directory.join("strace");
    let mut totals = Vec::new();
    for measure in ["reads-small", "reads-twice-small"] {
        let script = runtime.command("others/main.ts", directory);
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(&counts).arg(script.get_program()).args(script.get_args());
        command.args(["kv", measure]).envs(script.get_envs().filter_map(|(name, value)| Some((name, value?))));
        match command.stdout(Stdio::null()).status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("strace: {status}")),
            Err(_) => {
                eprintln!("xtask: system calls were not counted, because `strace` is not installed");
                return Ok(None);
            }
        }
        let table = fs::read_to_string(&counts).map_err(|error| format!("failed to read {counts:?}: {error}"))?;
        totals.push(total(&table).ok_or_else(|| format!("strace wrote {table:?}"))?);
    }
    Ok(Some((totals[1] - totals[0]).max(0.0) / READS))
}

/// Returns the number of all calls in the table of `strace -c`: percentage, seconds, microseconds per call, calls.
fn total(table: &str) -> Option<f64> {
    let line = table.lines().rfind(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_has_the_operations_and_kinds_of_all_measures() {
        let read = |script| fs::read_to_string(crate::root().join("benches/others").join(script)).unwrap();
        let (operations, kinds) = (read("main.ts"), read("values.ts"));
        for measure in OF_STORES {
            let (operation, kind) = measure.name.split_once('-').unwrap();
            assert!(operations.contains(&format!("\n  \"{operation}\": ")), "{operation}");
            assert!(kinds.contains(&format!("\n  \"{kind}\": ")), "{kind}");
        }
        assert!(operations.contains("const READS = 100_000;"));
    }

    #[test]
    fn total_of_strace_is_parsed() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n  4.26    0.032803           5      5939           \
                     pwrite64\n100.00    0.769803          59     13040       138 total\n";
        assert_eq!([total(table), total("")], [Some(13040.0), None]);
    }
}

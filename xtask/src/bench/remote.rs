//! `cargo xtask bench --etcd` and `--postgres`: a remote backend compared with its service by hand.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use super::Scratch;
use super::machine::Condition;
use super::measures::{self, Measure};
use super::options::{self, number};
use super::results::{Results, Row};

/// A service with a backend.
pub struct Service {
    /// Its name for the program, and of the page with the results.
    name: &'static str,
    /// Its name in the table.
    title: &'static str,
    measures: &'static [Measure],
}

pub const ETCD: Service = Service { name: "etcd", title: "etcd", measures: measures::OF_ETCD };

pub const POSTGRES: Service = Service { name: "postgres", title: "PostgreSQL", measures: measures::OF_POSTGRES };

/// Runs the benchmarks, prints a table, and writes it to `benches` if it is complete.
pub fn bench(service: &Service, args: &[OsString]) -> Result<ExitCode, String> {
    let mut rounds = 5;
    let selected = options::parse(args, service.measures, |option, rest| {
        let is_rounds = option == "--rounds";
        if is_rounds {
            rounds = number(option, rest)?;
        }
        Ok(is_rounds)
    })?;
    let build = ["build", "--release", "--package", "openkv_bench"];
    if !crate::succeeds(&mut crate::cargo(&build))? {
        return Ok(ExitCode::FAILURE);
    }
    let scratch = Scratch::new()?;
    // Without the servers, which are not idle when nothing is measured.
    let conditions = vec![Condition::measure(&scratch.0)?];
    let mut program = Program::start(service, &scratch)?;
    let mut rows: Vec<_> = selected.iter().map(|measure| Row::new(measure, SIDES.len())).collect();
    // Each measure to its end, as later ones need a million entries.
    for row in &mut rows {
        eprintln!("xtask: {}", row.measure.title);
        for round in 0..rounds {
            // The order alternates from round to round.
            for i in 0..SIDES.len() {
                let i = (i + round) % SIDES.len();
                row.values[i].push(program.rate(SIDES[i], row.measure.name)?);
            }
        }
    }
    let versions = format!("The backend over {0} and {0} by hand", service.title);
    let results = Results { rows, versions, others: vec![service.title], conditions };
    println!("{}\n\n{}", results.circumstances(), results.table());
    let page = format!("{}.md", service.name);
    if selected.len() == service.measures.len() {
        let command = format!("cargo xtask bench --{}", service.name);
        super::write([(&*page, results.page(&command, ""))])?;
    } else {
        eprintln!("xtask: benches/{page} is unchanged, because not all measures ran");
    }
    Ok(ExitCode::SUCCESS)
}

/// What is compared, in the requests of the program.
const SIDES: [&str; 2] = ["backend", "service"];

/// The program that starts a cluster and measures it, killed on drop. The cluster ends with it.
struct Program {
    process: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl Program {
    fn start(service: &Service, scratch: &Scratch) -> Result<Self, String> {
        let path = crate::target_directory().join("release/openkv_bench");
        let mut command = Command::new(&path);
        // The data is on the disk of the build: see `Scratch`.
        command.arg(service.name).env("TMPDIR", &scratch.0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("failed to run {path:?}: {error}"))?;
        let requests = process.stdin.take().expect("the standard input is piped");
        let responses = BufReader::new(process.stdout.take().expect("the standard output is piped"));
        Ok(Self { process, requests, responses })
    }

    /// Returns the operations per second of a measure.
    fn rate(&mut self, side: &str, measure: &str) -> Result<f64, String> {
        let failed = |why: String| format!("{measure} of the {side}: {why}");
        let mut line = String::new();
        writeln!(self.requests, "{side} {measure}").map_err(|error| failed(error.to_string()))?;
        self.responses.read_line(&mut line).map_err(|error| failed(error.to_string()))?;
        line.trim().parse().map_err(|_| failed(format!("openkv_bench printed {line:?}")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! Several processes that write to one file.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use super::super::runtime::Runtime;
use super::super::statistics::percentile;

/// How long the processes write, in milliseconds.
const MILLISECONDS: u32 = 3000;

/// A process, killed on drop.
struct Writer {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the sets per second of all processes, and the 50 %, 99.9 % and 100 % points of their times in milliseconds.
pub fn measure(runtime: &Runtime, processes: usize, directory: &Path) -> Result<Vec<f64>, String> {
    let mut writers: Vec<Writer> =
        (0..processes).map(|i| Writer::start(runtime, i, directory)).collect::<Result<_, _>>()?;
    for writer in &mut writers {
        let input = writer.process.stdin.as_mut().expect("the standard input is piped");
        input.write_all(b"\n").map_err(|error| format!("writer.ts under {}: {error}", runtime.version))?;
    }
    let mut times = Vec::new();
    for writer in &mut writers {
        let line = writer.line(runtime)?;
        let microseconds: Vec<f64> = serde_json::from_str(&line)
            .map_err(|_| format!("writer.ts under {} failed: it printed {line:?}", runtime.version))?;
        times.extend(microseconds.into_iter().map(|time| time / 1000.0));
    }
    let rate = times.len() as f64 / f64::from(MILLISECONDS) * 1000.0;
    Ok([rate].into_iter().chain([0.5, 0.999, 1.0].map(|share| percentile(&mut times, share))).collect())
}

impl Writer {
    /// Starts a process, and waits until it is ready.
    fn start(runtime: &Runtime, i: usize, directory: &Path) -> Result<Self, String> {
        let mut command = runtime.command("scale/writer.ts", directory);
        command.arg(directory).args([i.to_string(), MILLISECONDS.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("failed to run {}: {error}", runtime.version))?;
        let output = BufReader::new(process.stdout.take().expect("the standard output is piped"));
        let mut writer = Self { process, output };
        match &*writer.line(runtime)? {
            "ready" => Ok(writer),
            line => Err(format!("writer.ts under {} failed: it printed {line:?}", runtime.version)),
        }
    }

    fn line(&mut self, runtime: &Runtime) -> Result<String, String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.map_err(|error| format!("failed to read from {}: {error}", runtime.version))?;
        Ok(line.trim_end().to_owned())
    }
}

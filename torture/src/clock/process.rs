//! A process whose wall clock is stepped, and the lines that it prints, with their times.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::failed;
use crate::runtime::Runtime;

/// The source of a library that steps the clock.
const SOURCE: &str = include_str!("step.c");

/// Builds the library with the C compiler.
///
/// # Errors
/// If the compiler does not run, or fails.
pub(super) fn build_library(directory: &Path) -> Result<PathBuf, String> {
    let [source, library] = ["step.c", "libstep.so"].map(|name| directory.join(name));
    fs::write(&source, SOURCE).map_err(failed("writing a file"))?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    command.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let output = command.output().map_err(failed(&compiler.to_string_lossy()))?;
    if output.status.success() { Ok(library) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The offset of the clock of some processes.
pub(super) struct Offset {
    path: PathBuf,
}

impl Offset {
    /// Creates an offset of zero.
    pub(super) fn create(path: PathBuf) -> Result<Self, String> {
        let offset = Self { path };
        fs::write(&offset.path, 0_i64.to_ne_bytes()).map_err(failed("writing a file"))?;
        Ok(offset)
    }

    /// Steps the clock.
    pub(super) fn set(&self, milliseconds: i64) -> Result<(), String> {
        // The processes map the file into memory: it must be overwritten without truncating it.
        let mut file = File::options().write(true).open(&self.path).map_err(failed("opening a file"))?;
        file.write_all(&milliseconds.to_ne_bytes()).map_err(failed("stepping the clock"))
    }
}

/// A line, and when it was read.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: Instant,
    pub(super) text: String,
}

/// A process that runs a script. Dropping it kills the process.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<Line>>>,
    errors: PathBuf,
}

impl Process {
    pub(super) fn start(
        runtime: &Runtime,
        script: &str,
        directory: &Path,
        args: &[&str],
        library: &Path,
        offset: &Offset,
    ) -> Result<Self, String> {
        let errors = directory.join(format!("{script}.errors"));
        let mut command = runtime.script(&format!("clock/{script}.ts"), directory);
        command.args(args).env("LD_PRELOAD", library).env("CLOCK_OFFSET", &offset.path);
        command.stdin(Stdio::piped()).stderr(File::create(&errors).map_err(failed("creating a file"))?);
        let mut child = command.spawn().map_err(failed(script))?;
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or("no output")?);
        let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
        let read = lines.clone();
        thread::spawn(move || {
            for text in BufReader::new(output).lines().map_while(Result::ok) {
                read.lock().push(Line { at: Instant::now(), text });
            }
        });
        Ok(Self { child, input, lines, errors })
    }

    /// Returns the lines that start with a word, without it.
    pub(super) fn lines(&self, word: &str) -> Vec<Line> {
        let lines = self.lines.lock();
        let rest = |line: &Line| Some(Line { at: line.at, text: line.text.strip_prefix(word)?.trim().to_owned() });
        lines.iter().filter_map(rest).collect()
    }

    /// Sends a command to the process, and waits until it is done.
    pub(super) fn send(&mut self, line: &str, timeout: Duration) -> Result<(), String> {
        let word = line.split(' ').next().unwrap_or_default();
        let done = format!("done {word}");
        let before = self.lines(&done).len();
        let input = self.input.as_mut().ok_or("no input")?;
        writeln!(input, "{line}").map_err(failed(line))?;
        self.wait(timeout, &done, || self.lines(&done).len() > before)
    }

    /// Waits for a condition.
    pub(super) fn wait(&self, timeout: Duration, what: &str, is_done: impl Fn() -> bool) -> Result<(), String> {
        let begin = Instant::now();
        while !is_done() {
            if begin.elapsed() > timeout {
                let errors = fs::read_to_string(&self.errors).unwrap_or_default();
                return Err(format!("no {what:?} within {timeout:?}: {errors}"));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Returns the offset of the wall clock of the process when it last printed the time, in milliseconds.
    pub(super) fn clock_offset(&self) -> Option<i64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() as i64;
        let last = self.lines("date").pop()?;
        Some(last.text.parse::<i64>().ok()? + last.at.elapsed().as_millis() as i64 - now)
    }

    /// Returns the standard error of the process.
    pub(super) fn errors(&self) -> Result<String, String> {
        fs::read_to_string(&self.errors).map_err(failed("reading the errors of a process"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

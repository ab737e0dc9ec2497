//! Processes that write in lanes: `scripts/lanes.ts`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::runtime::Runtime;
use crate::{Programs, failed};

/// A process that writes in lanes, handles messages, and prints what was acknowledged. Dropping it kills the process.
pub struct Lanes {
    process: Child,
    /// The directory of its output.
    directory: TempDir,
}

impl Lanes {
    /// Starts a process for a number of lanes. With none, it only handles messages.
    pub fn start(programs: &Programs, path: &Path, first: u32, lanes: u32) -> Result<Self, String> {
        Self::spawn(programs, path.as_os_str(), None, first, lanes)
    }

    /// Starts a process as [`Lanes::start`] does, on the database of a server.
    pub fn start_remote(programs: &Programs, url: &str, token: &str, first: u32, lanes: u32) -> Result<Self, String> {
        Self::spawn(programs, url.as_ref(), Some(token), first, lanes)
    }

    fn spawn(
        programs: &Programs,
        database: &OsStr,
        token: Option<&str>,
        first: u32,
        lanes: u32,
    ) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
        let mut command = Runtime::openkv(programs).script("lanes.ts", directory.path());
        command.envs(token.map(|token| ("DENO_KV_ACCESS_TOKEN", token)));
        command.arg(database).args([first.to_string(), lanes.to_string()]);
        Self::run(command, directory)
    }

    /// Starts a process that prints what `scripts/lanes.ts` prints.
    pub fn start_command(command: Command) -> Result<Self, String> {
        Self::run(command, tempfile::tempdir().map_err(failed("creating a directory"))?)
    }

    fn run(mut command: Command, directory: TempDir) -> Result<Self, String> {
        let file = |name| File::create(directory.path().join(name)).map_err(failed("creating a file"));
        command.stdout(file("stdout")?).stderr(file("stderr")?);
        Ok(Self { process: command.spawn().map_err(failed("starting a process"))?, directory })
    }

    /// Returns the lines that it has printed so far.
    pub fn output(&self) -> Result<String, String> {
        self.read("stdout")
    }

    /// Waits for a condition, kills the process, and returns its output.
    ///
    /// # Errors
    /// If the process exits before, or prints errors other than that a message was not finished, because its claim ended with the
    /// connection to the server.
    pub fn kill_once(mut self, is_time: impl Fn() -> bool) -> Result<String, String> {
        let mut status = None;
        while status.is_none() && !is_time() {
            thread::sleep(Duration::from_millis(1));
            status = self.process.try_wait().map_err(failed("waiting for a process"))?;
        }
        self.kill().map_err(failed("killing a process"))?;
        match (status, self.read("stderr")?) {
            (None, errors) if errors.lines().all(is_of_lost_claim) => self.output(),
            (_, errors) => Err(format!("a process failed: {errors}")),
        }
    }

    fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    fn read(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(self.directory.path().join(name)).map_err(failed("reading the output of a process"))
    }
}

/// Returns whether a line is of the report that a message was not finished, and its stack trace. The message is delivered again.
fn is_of_lost_claim(line: &str) -> bool {
    line.starts_with("    at ")
        || line.starts_with("Failed to finish a queue message")
            && line.contains("no longer holds the message for this process")
}

impl Drop for Lanes {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.kill();
    }
}

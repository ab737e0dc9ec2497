//! Processes that write in lanes: `scripts/lanes.ts`.

use std::fs::{self, File};
use std::path::Path;
use std::process::Child;
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
        let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
        let file = |name| File::create(directory.path().join(name)).map_err(failed("creating a file"));
        let mut command = Runtime::openkv(programs).script("lanes.ts", directory.path());
        command.arg(path).args([first.to_string(), lanes.to_string()]);
        command.stdout(file("stdout")?).stderr(file("stderr")?);
        Ok(Self { process: command.spawn().map_err(failed("starting openkv"))?, directory })
    }

    /// Returns the lines that it has printed so far.
    pub fn output(&self) -> Result<String, String> {
        self.read("stdout")
    }

    /// Waits for a condition, kills the process, and returns its output.
    ///
    /// # Errors
    /// If the process exits before, or prints errors.
    pub fn kill_once(mut self, is_time: impl Fn() -> bool) -> Result<String, String> {
        let mut status = None;
        while status.is_none() && !is_time() {
            thread::sleep(Duration::from_millis(1));
            status = self.process.try_wait().map_err(failed("waiting for a process"))?;
        }
        self.kill().map_err(failed("killing a process"))?;
        match (status, self.read("stderr")?) {
            (None, errors) if errors.is_empty() => self.output(),
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

impl Drop for Lanes {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.kill();
    }
}

//! Processes that do steps in lanes: `scripts/lanes.ts`.

use std::fs::{self, File};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::runtime::Runtime;
use crate::{Programs, failed};

/// A process that writes in lanes, takes messages, and tells what it was promised. Killed when it is dropped.
pub struct Lanes {
    process: Child,
    /// Where it tells, and complains.
    directory: TempDir,
}

impl Lanes {
    /// Starts a process for some lanes, or for messages only.
    pub fn start(programs: &Programs, path: &Path, first: u32, lanes: u32) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(failed("creating a directory"))?;
        let file = |name| File::create(directory.path().join(name)).map_err(failed("creating a file"));
        let mut command = Runtime::openkv(programs).script("lanes.ts", directory.path());
        command.arg(path).args([first.to_string(), lanes.to_string()]);
        command.stdout(file("told")?).stderr(file("complaints")?);
        Ok(Self { process: command.spawn().map_err(failed("starting openkv"))?, directory })
    }

    /// What it told until now, in lines.
    pub fn told(&self) -> Result<String, String> {
        self.read("told")
    }

    /// Kills it once it is time to, and answers what it told. A process that ends before has failed.
    pub fn kill_once(mut self, is_time: impl Fn() -> bool) -> Result<String, String> {
        let mut ended = None;
        while ended.is_none() && !is_time() {
            thread::sleep(Duration::from_millis(1));
            ended = self.process.try_wait().map_err(failed("waiting for a process"))?;
        }
        self.kill().map_err(failed("killing a process"))?;
        match (ended, self.read("complaints")?) {
            (None, complaints) if complaints.is_empty() => self.told(),
            (_, complaints) => Err(format!("a process failed: {complaints}")),
        }
    }

    fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    fn read(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(self.directory.path().join(name)).map_err(failed("reading what a process told"))
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        // One that ended already needs no end.
        let _ = self.kill();
    }
}

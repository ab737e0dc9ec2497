//! Deno as another program that writes to the file of a test.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

use openkv_engine::{Key, Value};

use crate::runtime::{Runtime, finish};
use crate::service::open;
use crate::{Programs, TIMEOUT, failed};

/// A process of Deno that writes to a file. Dropping it kills the process.
pub struct Companion(Option<Child>);

impl Companion {
    /// Starts to write to a file.
    ///
    /// # Errors
    /// If Deno does not run.
    pub fn start(programs: &Programs, path: &Path) -> Result<Self, String> {
        let directory = path.parent().ok_or("a file has a directory")?;
        let mut command = Runtime::deno(programs)?.script("companion.ts", directory);
        let child = command.arg(path).stdin(Stdio::piped()).spawn().map_err(failed("starting Deno"))?;
        Ok(Self(Some(child)))
    }

    /// Ends the process, and checks that the file has what it wrote. Returns the number of its writes.
    ///
    /// # Errors
    /// If it failed, or a write was lost or applied twice.
    pub fn finish(mut self, path: &Path) -> Result<u64, String> {
        let mut child = self.0.take().ok_or("Deno has ended")?;
        let mut input = child.stdin.take().ok_or("Deno has no input")?;
        writeln!(input).map_err(failed("ending Deno"))?;
        let printed = finish(child, TIMEOUT).map_err(failed("writing with Deno"))?;
        let sums = printed.trim().parse().map_err(failed("parsing the output of Deno"))?;
        let location = path.to_str().ok_or("the path is not text")?;
        let stored = open(location)?.get_blocking(&Key::from(["companion"])).map_err(failed("reading"))?;
        match stored.map(|entry| entry.value) {
            Some(Value::U64(stored)) if stored == sums => Ok(sums),
            stored => Err(format!("{stored:?} is stored of {sums} sums that Deno made")),
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Fails if the process has already exited.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

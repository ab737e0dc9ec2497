//! Runs scripts under OpenKV or Deno.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Programs, failed};

/// Which program runs the scripts of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Under {
    /// OpenKV, which must pass.
    #[default]
    Openkv,
    /// Deno, to compare with.
    Deno,
}

impl Under {
    /// Returns the program.
    ///
    /// # Errors
    /// If it does not run.
    pub(crate) fn runtime(self, programs: &Programs) -> Result<Runtime, String> {
        match self {
            Self::Openkv => Ok(Runtime::openkv(programs)),
            Self::Deno => Runtime::deno(programs),
        }
    }
}

/// A program that runs scripts.
#[derive(Clone, Debug)]
pub struct Runtime {
    program: PathBuf,
    /// The arguments before the permissions and the script.
    args: &'static [&'static str],
}

impl Runtime {
    /// Returns OpenKV.
    pub fn openkv(programs: &Programs) -> Self {
        Self { program: programs.openkv.clone(), args: &["run"] }
    }

    /// Returns Deno.
    ///
    /// # Errors
    /// If it does not run.
    pub fn deno(programs: &Programs) -> Result<Self, String> {
        // `deno` may be a wrapper script that starts the binary: killing the script would leave the binary running.
        let mut find = Command::new(&programs.deno);
        let found = find.args(["eval", "console.log(Deno.execPath())"]).output().map_err(failed("running Deno"))?;
        let program = String::from_utf8_lossy(&found.stdout).trim().into();
        Ok(Self { program, args: &["run", "--unstable-kv"] })
    }

    /// Returns the name and version.
    ///
    /// # Errors
    /// If the program does not run.
    pub fn version(&self) -> Result<String, String> {
        let output = Command::new(&self.program).arg("--version").output().map_err(failed("reading a version"))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        // Deno appends details of the build in parentheses.
        let line = printed.lines().next().unwrap_or_default();
        Ok(line.split_once(" (").map_or(line, |(version, _)| version).to_owned())
    }

    /// Returns a command that runs a script of `scripts` in a directory. Its output is piped.
    pub fn script(&self, script: &str, directory: &Path) -> Command {
        self.within(&[], script, directory)
    }

    /// Returns the command of [`Runtime::script`], run by another program that takes a command line.
    pub fn within(&self, program: &[&str], script: &str, directory: &Path) -> Command {
        let command = match program {
            [] => Command::new(&self.program),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(&self.program);
                command
            }
        };
        self.complete(command, ["-A"], script, directory)
    }

    /// Returns the command of [`Runtime::script`] with these permissions instead of all.
    pub fn restricted(
        &self,
        permissions: impl IntoIterator<Item = impl AsRef<OsStr>>,
        script: &str,
        directory: &Path,
    ) -> Command {
        self.complete(Command::new(&self.program), permissions, script, directory)
    }

    fn complete(
        &self,
        mut command: Command,
        permissions: impl IntoIterator<Item = impl AsRef<OsStr>>,
        script: &str,
        directory: &Path,
    ) -> Command {
        command.args(self.args).args(permissions).arg(crate::script(script)).current_dir(directory);
        // Prevents Deno from checking for updates.
        command.env("DENO_NO_UPDATE_CHECK", "1").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Waits for a process to exit. Kills it after the timeout, and returns `None`. Its output must fit into the pipes.
///
/// # Errors
/// If waiting fails.
pub fn wait(mut child: Child, timeout: Duration) -> Result<Option<Output>, String> {
    let begin = Instant::now();
    while child.try_wait().map_err(failed("waiting for a process"))?.is_none() {
        if begin.elapsed() > timeout {
            child.kill().and_then(|()| child.wait()).map_err(failed("killing a process"))?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().map(Some).map_err(failed("waiting for a process"))
}

/// Waits for a process to succeed. Returns what it printed.
///
/// # Errors
/// If it fails or exceeds the timeout.
pub fn finish(child: Child, timeout: Duration) -> Result<String, String> {
    let Some(output) = wait(child, timeout)? else { return Err(format!("no exit within {timeout:?}")) };
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

/// Waits until a process prints a line.
///
/// # Errors
/// If it exits before.
pub fn wait_for_line(child: &mut Child, line: &str) -> Result<(), String> {
    let stdout = child.stdout.as_mut().ok_or("no output")?;
    // Byte by byte, to leave the output after the line unread.
    let (mut read, mut byte) = (Vec::new(), [0]);
    while stdout.read(&mut byte).map_err(failed("reading the output of a process"))? > 0 {
        match byte {
            [b'\n'] if read == line.as_bytes() => return Ok(()),
            [b'\n'] => read.clear(),
            [byte] => read.push(byte),
        }
    }
    let status = child.wait().map_err(failed("waiting for a process"))?;
    Err(format!("{status} before it printed {line:?}"))
}

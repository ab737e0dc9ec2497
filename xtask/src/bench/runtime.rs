//! Runs the scripts under a runtime.

use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// A binary that runs the scripts.
pub struct Runtime {
    path: PathBuf,
    /// The arguments before the script.
    args: &'static [&'static str],
    /// The directory of the scripts, and the extension of their names.
    scripts: (PathBuf, &'static str),
    /// Its name and version.
    pub version: String,
}

/// The resources that a process used.
pub struct Process {
    /// The time from its start to its exit.
    pub milliseconds: f64,
    /// Its peak resident memory.
    pub peak_mebibytes: f64,
}

impl Runtime {
    pub fn openkv(path: &Path) -> Result<Self, String> {
        let version = crate::first_line(Command::new(path).arg("--version"))
            .map_err(|error| format!("failed to run {path:?}: {error}"))?;
        Ok(Self { path: path.to_owned(), args: &["run", "-A"], scripts: sources(), version })
    }

    pub fn deno(path: &Path) -> Result<Self, String> {
        let fail = |error: Error| match error.kind() {
            ErrorKind::NotFound => format!(
                "{path:?} was not found: install Deno, pass its binary with --deno PATH, or measure OpenKV alone with \
                 --alone"
            ),
            _ => format!("failed to run {path:?}: {error}"),
        };
        let version = crate::first_line(Command::new(path).arg("--version")).map_err(fail)?;
        // `deno` may be a wrapper script, whose startup must not be measured.
        let binary =
            crate::first_line(Command::new(path).args(["eval", "console.log(Deno.execPath())"])).map_err(fail)?;
        Ok(Self { path: binary.into(), args: &["run", "-A", "--unstable-kv"], scripts: sources(), version })
    }

    /// Node.js, with a directory of scripts that are bundled for it.
    pub fn node(scripts: PathBuf) -> Result<Self, String> {
        let version = crate::first_line(Command::new("node").arg("--version"));
        let version = version.map_err(|error| format!("failed to run node: {error}: install Node.js 20 or later"))?;
        Ok(Self { path: "node".into(), args: &[], scripts: (scripts, "mjs"), version: format!("Node.js {version}") })
    }

    /// Runs one measure of `kv.ts`, with its databases in a directory. Returns its operations per second.
    pub fn rate(&self, measure: &str, directory: &Path) -> Result<f64, String> {
        self.rate_of(measure, self.command("kv.ts", directory))
    }

    /// Runs one measure of a store of `others/main.ts`, with its files in a directory. Returns its operations per second.
    pub fn rate_of_store(&self, store: &str, measure: &str, directory: &Path) -> Result<f64, String> {
        let mut command = self.command("others/main.ts", directory);
        command.arg(store);
        self.rate_of(measure, command)
    }

    fn rate_of(&self, measure: &str, mut command: Command) -> Result<f64, String> {
        let json = self.json(measure, command.arg(measure))?;
        json["perSecond"].as_f64().ok_or_else(|| format!("{measure} under {}: printed {json}", self.version))
    }

    /// Runs a command of this runtime, which prints a line of JSON.
    pub fn json(&self, what: &str, command: &mut Command) -> Result<serde_json::Value, String> {
        let fail = |why: String| format!("{what} under {}: {why}", self.version);
        let line = crate::first_line(command).map_err(|error| fail(error.to_string()))?;
        serde_json::from_str(&line).map_err(|_| fail(format!("printed {line:?}")))
    }

    /// Runs one measure of `remote.ts` with the database of a server. Returns its operations in a second.
    pub fn remote_rate(&self, measure: &str, url: &str, token: &str, directory: &Path) -> Result<f64, String> {
        let mut command = self.command("remote.ts", directory);
        command.arg(url).env("DENO_KV_ACCESS_TOKEN", token);
        self.rate_of(measure, command)
    }

    /// Runs a script with the path of a database.
    pub fn run(&self, script: &str, database: &Path, directory: &Path) -> Result<Process, String> {
        let fail = |what: String| format!("{script} under {}: {what}", self.version);
        let mut command = self.command(script, directory);
        command.arg(database).stdin(Stdio::null());
        let start = Instant::now();
        let (status, peak) = run_to_end(&mut command).map_err(|error| fail(error.to_string()))?;
        let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
        if status.success() {
            Ok(Process { milliseconds, peak_mebibytes: peak as f64 / (1024.0 * 1024.0) })
        } else {
            Err(fail(status.to_string()))
        }
    }

    /// Returns a command that runs a script of `benches`, with a directory for its files.
    pub fn command(&self, script: &str, directory: &Path) -> Command {
        let mut command = Command::new(&self.path);
        let (scripts, extension) = &self.scripts;
        command.args(self.args).arg(scripts.join(script).with_extension(extension));
        // Prevents Deno from checking for updates.
        command.env("TMPDIR", directory).env("DENO_NO_UPDATE_CHECK", "1").env("NO_COLOR", "1");
        command
    }
}

/// The directory of the sources of the scripts, and their extension.
fn sources() -> (PathBuf, &'static str) {
    (crate::root().join("benches"), "ts")
}

/// Runs a command until it exits. Also returns its peak resident memory in bytes.
#[cfg(unix)]
fn run_to_end(command: &mut Command) -> IoResult<(ExitStatus, u64)> {
    use std::mem::MaybeUninit;
    use std::os::unix::process::ExitStatusExt;

    // The peak includes the memory of this process before `exec`, which is far less than that of a runtime.
    let child = command.spawn()?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for the call. The child was not waited for, so its id is still valid.
    if unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, usage.as_mut_ptr()) } < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: wait4 has initialized it, and all zeros are a valid value.
    let usage = unsafe { usage.assume_init() };
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    Ok((ExitStatus::from_raw(status), usage.ru_maxrss as u64 * unit))
}

/// Runs a command until it exits. Its memory is unknown on this platform.
#[cfg(not(unix))]
fn run_to_end(command: &mut Command) -> IoResult<(ExitStatus, u64)> {
    Ok((command.status()?, 0))
}

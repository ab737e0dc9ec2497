use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use assert_cmd::Command;

/// How long a script may run before it counts as hanging.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// A temporary directory of a test, for scripts and databases.
pub struct Sandbox {
    directory: tempfile::TempDir,
}

/// The exit code and the output of a process.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A running process. Dropping it kills the process.
pub struct Running(pub std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sandbox {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("the directory for temporary files is writable") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file. Returns its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Returns a command that runs `openkv` in the directory.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_openkv"));
        command.args(args).current_dir(self.directory.path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DENO_")) {
            command.env_remove(name);
        }
        command.env("DENO_DIR", self.path("deno_dir")).env("NO_COLOR", "1");
        command
    }

    /// Runs `openkv` in the directory.
    pub fn openkv(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.openkv_reading("", args)
    }

    /// Runs `openkv` in the directory, with text on standard input.
    pub fn openkv_reading(&self, input: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        Output::of(self.command(args), input)
    }

    /// Writes a script, and runs it with all permissions.
    pub fn run(&self, script: &str) -> Output {
        self.write("main.ts", script);
        self.openkv(["run", "-A", "main.ts"])
    }
}

impl Output {
    /// Runs a command with text on standard input.
    pub fn of(command: std::process::Command, input: &str) -> Self {
        let mut command = Command::from_std(command);
        let output = command.write_stdin(input).timeout(TIMEOUT).output().expect("openkv starts");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("scripts print UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("errors are UTF-8"),
        }
    }

    /// Returns the standard output. Asserts that the process succeeded, and printed no errors.
    #[track_caller]
    pub fn stdout(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// Returns the standard error. Asserts that the process failed with code 1, as scripts that throw do.
    #[track_caller]
    pub fn stderr(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        self.stderr
    }
}

/// Returns the path of a file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

pub fn read_repository(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Prints a line immediately. The test harness captures the output of `println!`.
pub fn say(line: &str) {
    // Fails only if standard error is closed.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints why the tests with a program or a service that is not part of the repository are skipped.
///
/// # Panics
/// The tests are required: `cargo xtask test --require-NAME` sets `OPENKV_REQUIRE`.
pub fn skip(name: &str, why: &str) {
    let required = env::var("OPENKV_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required == name), "{name} is required: {why}");
    say(&format!("skipped {name}: {why}"));
}

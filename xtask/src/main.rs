//! Developer commands: `cargo xtask run FILE [ARGS]...`, `test`, `bench`, `torture`, `compatibility` and
//! `startup`.

mod bench;
mod circles;
mod compatibility;
mod startup;
mod typescript;
mod v8;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

Commands:
  run [FLAGS] FILE [ARGS]...   builds openkv for release, and runs a script with it
  test [FLAGS] [FILTER]        checks format, types, lints and documentation, and runs all tests
    --require-deno             fails where there is no deno to check the types of TypeScript and to lint it
  bench [FLAGS] [MEASURES...]  measures openkv compared with Deno, all or some measures; see benches/README.md
    --rounds N                 how often, 5 by default
    --deno PATH                the Deno to compare with, if it is not the one on the PATH
    --openkv PATH              the binary to measure, instead of building one
    --alone                    without Deno
  torture [ARGS]               tries to make openkv lose data; without arguments, says in which ways
  compatibility [--openkv PATH]
                               compares what openkv and Deno have, and writes docs/compatibility.md
  startup                      finds the functions that run at startup, which the linker puts together";

/// The suite runs on the fake backend, too, which no release has.
const FAKE: &str = "openkv/fake";

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    let result = match command.to_str() {
        Some("run") => run(&rest),
        Some("test") => test(&rest),
        Some("bench") => bench::bench(&rest),
        Some("torture") => torture(&rest),
        Some("compatibility") => compatibility::write(&rest),
        Some("startup") => startup::startup(),
        Some("" | "help" | "-h" | "--help") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("there is no command {command:?}\n\n{USAGE}")),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[OsString]) -> Result<ExitCode, String> {
    if build_release()? { run_release("openkv", args) } else { Ok(ExitCode::FAILURE) }
}

fn torture(args: &[OsString]) -> Result<ExitCode, String> {
    if !build_release()? {
        return Ok(ExitCode::FAILURE);
    }
    let openkv = target_directory().join("release/openkv").into_os_string();
    run_release("openkv_torture", &[&["--openkv".into(), openkv], args].concat())
}

/// Builds openkv for release. Returns whether that succeeded.
fn build_release() -> Result<bool, String> {
    prepare()?;
    succeeds(&mut cargo(&["build", "--release", "--package", "openkv"]))
}

/// Runs a program by cargo, which knows where the binary is, but in the caller's directory.
fn run_release(package: &str, args: &[OsString]) -> Result<ExitCode, String> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", package, "--"]);
    let status = command.args(args).status().map_err(|error| format!("cargo could not be run: {error}"))?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}

fn test(args: &[OsString]) -> Result<ExitCode, String> {
    prepare()?;
    circles::check(root())?;
    let (flags, filter): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg == "--require-deno");
    let passed = succeeds(&mut cargo(&["fmt", "--all", "--check"]))?
        && typescript::check(!flags.is_empty())?
        && succeeds(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            FAKE,
            "--",
            "--deny",
            "warnings",
        ]))?
        && succeeds(
            cargo(&["doc", "--no-deps", "-p", "openkv_engine", "-p", "openkv_ext"])
                .env("RUSTDOCFLAGS", "--deny warnings"),
        )?
        && succeeds(cargo(&["test", "--workspace", "--features", FAKE]).args(filter))?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sees to it that the workspace can be built.
fn prepare() -> Result<(), String> {
    check_c_compiler()?;
    v8::make_available(root())
}

/// SQLite and the cryptography are C.
fn check_c_compiler() -> Result<(), String> {
    let named = env::var_os("CC");
    let compiler = named.clone().unwrap_or_else(|| "cc".into());
    let found = Command::new(&compiler).arg("--version").output().is_ok_and(|output| output.status.success());
    match (found, named) {
        (true, _) => Ok(()),
        (false, Some(name)) => Err(format!("the C compiler that CC names, {name:?}, does not run")),
        (false, None) if cfg!(windows) => Ok(()), // Found by the build itself.
        (false, None) => Err("there is no C compiler: install one (Debian and Ubuntu: the package build-essential; \
             Fedora: gcc; macOS: xcode-select --install)"
            .into()),
    }
}

/// The directory of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The directory that cargo builds into.
fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

fn succeeds(command: &mut Command) -> Result<bool, String> {
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let line: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    eprintln!("xtask: {program} {}", line.join(" "));
    command.status().map(|status| status.success()).map_err(|error| format!("{program} could not be run: {error}"))
}

/// The first line that a command prints, if it succeeds.
fn first_line(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    } else {
        Err(io::Error::other(output.status.to_string()))
    }
}

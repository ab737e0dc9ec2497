//! Developer commands: `cargo xtask run FILE [ARGS]...`, `test`, `ci`, `docs`, `dist`,
//! `bench`, `torture`, `compatibility` and `screenshots`.

mod bench;
mod book;
mod checks;
mod circles;
mod compatibility;
mod dist;
mod screenshots;
mod tools;
mod typescript;
mod v8;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

Commands:
  run [FLAGS] FILE [ARGS]...   builds openkv in release mode, and runs a script with it
  test [FLAGS] [FILTER]        checks formatting, types, lints and documentation, and runs all tests
    --require-chromium         fails if Chromium and chromedriver, which drive the page of the studio, are not installed
    --require-deno             fails if Deno, which checks and lints TypeScript and is a client, is not installed
    --require-node             fails if Node with @deno/kv, which is a client, is not installed: see .ci/run
    --require-etcd             fails if etcd, of which tests start clusters, is not installed
    --require-postgres         fails if PostgreSQL, which is a backend, is not installed
    --require-patroni          fails if Patroni, which replaces primaries of PostgreSQL in tests, is not installed
    --require-registry         fails if packages cannot be installed from the npm registry
    --require-denokv           fails if the denokv server is neither on the PATH nor named by OPENKV_DENOKV
  ci [FLAGS] [FILTER]          test, and checks dependencies, combinations of features and examples/deno_kv, fuzzes the engine for
                               a minute, and builds in release mode; takes the flags of test
    --require-libclang         fails if LIBCLANG_PATH is not set, which examples/deno_kv requires
  docs                         checks the links of the documentation, and builds it as a book, with mdBook
  dist [--openkv PATH]         makes the files of a release, of a new build or of the binary at PATH, in target/dist
  bench [FLAGS] [MEASURES...]  measures openkv compared with Deno, all or some measures; see benches/README.md
    --rounds N                 the number of rounds, 5 by default
    --deno PATH                the Deno to compare with, by default the one on the PATH
    --openkv PATH              the binary to measure, instead of building one
    --alone                    measures without Deno
  bench --serve [MEASURES...]  measures `openkv db serve` with Deno as its client; also takes --rounds, --deno and --openkv
    --denokv PATH              the binary of the denokv server to compare with
  bench --etcd [MEASURES...]   measures the backend over etcd compared with etcd by hand; also takes --rounds
  bench --postgres [MEASURES...]
                               measures the backend over PostgreSQL compared with PostgreSQL by hand; also takes --rounds
  bench --others [MEASURES...] measures values of several kinds compared with lmdb, better-sqlite3 and classic-level in Node.js, with
                               Deno and with raw SQLite; also takes --rounds, --deno and --openkv
  bench --scale [SECTIONS...]  measures many entries, watchers, messages, processes and connections compared with Deno; also takes
                               --rounds, --deno and --openkv
    --max-SECTION N            the greatest number of a section: --max-entries 1000000
  torture [ARGS]               tries to make openkv lose data; without arguments, lists the commands
  compatibility [--openkv PATH]
                               compares openkv with Deno, and generates docs/compatibility.md
  screenshots [--openkv PATH]  generates the images of docs/studio.md, with Chromium";

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    let result = match command.to_str() {
        Some("run") => run(&rest),
        Some("test") => checks::test(&rest),
        Some("ci") => checks::ci(&rest),
        Some("dist") => dist::dist(&rest),
        Some("docs") => book::build(root()),
        Some("bench") => bench::bench(&rest),
        Some("torture") => torture(&rest),
        Some("compatibility") => compatibility::write(&rest),
        Some("screenshots") => screenshots::write(&rest),
        Some("" | "help" | "-h" | "--help") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("unknown command {command:?}\n\n{USAGE}")),
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

/// Builds openkv in release mode. Returns whether the build succeeded.
fn build_release() -> Result<bool, String> {
    prepare()?;
    succeeds(&mut cargo(&["build", "--release", "--package", "openkv"]))
}

/// Runs a program with cargo, which finds its binary, in the caller's directory.
fn run_release(package: &str, args: &[OsString]) -> Result<ExitCode, String> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", package, "--"]);
    let status = command.args(args).status().map_err(|error| format!("failed to run cargo: {error}"))?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}

/// Prepares the build of the workspace.
fn prepare() -> Result<(), String> {
    check_c_compiler()?;
    v8::make_available(root())
}

/// Checks for a C compiler, which SQLite and the cryptography need.
fn check_c_compiler() -> Result<(), String> {
    let named = env::var_os("CC");
    let compiler = named.clone().unwrap_or_else(|| "cc".into());
    let found = Command::new(&compiler).arg("--version").output().is_ok_and(|output| output.status.success());
    match (found, named) {
        (true, _) => Ok(()),
        (false, Some(name)) => Err(format!("failed to run the C compiler {name:?}, which CC names")),
        (false, None) if cfg!(windows) => Ok(()), // The build finds it.
        (false, None) => Err("no C compiler found: install one (Debian and Ubuntu: the package build-essential; \
             Fedora: gcc; macOS: xcode-select --install)"
            .into()),
    }
}

/// Returns the directory of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace")
}

/// Returns the target directory of cargo.
fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the default target of cargo.
fn target() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output =
        Command::new(&rustc).arg("-vV").output().map_err(|error| format!("failed to run {rustc:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let target = text.lines().find_map(|line| line.strip_prefix("host: "));
    target.map(Into::into).ok_or_else(|| format!("{rustc:?} does not print its host target"))
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
    command.status().map(|status| status.success()).map_err(|error| format!("failed to run {program}: {error}"))
}

/// Returns the first line that a command prints, if it succeeds.
fn first_line(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    } else {
        Err(io::Error::other(output.status.to_string()))
    }
}

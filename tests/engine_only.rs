//! The example of a Rust program without V8 that shares a file with a script.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Running, Sandbox, repository};

/// Returns a cargo command in the repository.
fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(repository(""));
    command
}

/// Builds the example next to the `openkv` under test. Returns its path.
fn engine_only() -> PathBuf {
    let openkv = Path::new(env!("CARGO_BIN_EXE_openkv"));
    let directory = openkv.parent().unwrap();
    let profile = match directory.file_name().and_then(OsStr::to_str) {
        Some("debug") => "dev",
        profile => profile.unwrap(),
    };
    // Together with openkv, so that shared dependencies have the same features, and are built only once.
    let args = ["build", "--quiet", "--package", "openkv", "--package", "engine-only", "--bin", "engine-only"];
    let mut build = cargo(&args);
    build.args(["--profile", profile, "--target-dir"]).arg(directory.parent().unwrap());
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory.join("engine-only").with_extension(std::env::consts::EXE_EXTENSION)
}

#[test]
fn shares_a_file_with_a_script() {
    let sandbox = Sandbox::new();
    let mut command = Command::new(engine_only());
    command.arg(sandbox.path("kv.sqlite3")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = Running(command.spawn().unwrap());

    let script = repository("examples/engine-only/script.ts");
    let script = sandbox.openkv(["-A".as_ref(), script.as_os_str(), sandbox.path("kv.sqlite3").as_os_str()]);
    assert_eq!(script.stdout(), "Hello, alice! true [Deno.KvU64: 1n]\n");

    let [mut stdout, mut stderr] = [String::new(), String::new()];
    program.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    program.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let expected = "Alice is 30, born 86400000 ms after 1970, speaks Français and 日本語\n\
        scores 1.5 in go, has no nickname\n\
        [\"visits\", \"raw\"]: Bytes([1, 2, 3])\n\
        [\"visits\", 1]: U64(7)\n\
        greeted alice\n\
        the script is done\n";
    assert_eq!((stdout.as_str(), stderr.as_str()), (expected, ""));
}

#[test]
fn is_built_without_v8() {
    let output =
        cargo(&["tree", "--package", "engine-only", "--prefix", "none", "--format", "{lib}"]).output().unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<_> = tree.lines().collect();
    assert!(crates.contains(&"openkv_engine"), "{}", String::from_utf8_lossy(&output.stderr));
    for other in ["v8", "deno_core", "openkv_ext", "openkv"] {
        assert!(!crates.contains(&other), "{tree}");
    }
}

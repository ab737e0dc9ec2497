//! `cargo xtask test` and `cargo xtask ci`: all checks and tests, in stages.

mod deny;
mod features;
mod stages;

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use stages::{Outcome, Stage};

use crate::{book, circles, dist, typescript};

/// The suite also runs on the fake backend, which releases do not contain.
const FAKE: &str = "openkv/fake";

/// The programs and services that tests and checks need, and may be required.
const REQUIREMENTS: [&str; 9] =
    ["chromium", "deno", "denokv", "etcd", "libclang", "node", "patroni", "postgres", "registry"];

/// The variable that names those that are required: their tests may not be skipped.
const REQUIRE: &str = "OPENKV_REQUIRE";

/// Programs without documentation of their own.
const UNDOCUMENTED: [&str; 5] = ["axum-service", "engine-only", "host-minimal", "host-web", "openkv_bench"];

/// How long CI fuzzes each target, in seconds.
const FUZZ_SECONDS: &str = "15";

/// Checks what a change can break, and runs the tests.
pub fn test(args: &[OsString]) -> Result<ExitCode, String> {
    crate::prepare()?;
    let (required, filter) = requirements(args);
    let mut stages = sources(&required);
    stages.push(tests(&required, &filter));
    Ok(stages::run(&stages))
}

/// Checks everything: in addition to `test`, the combinations of features, the dependencies, the example in another workspace, random
/// inputs, and a release build.
pub fn ci(args: &[OsString]) -> Result<ExitCode, String> {
    crate::prepare()?;
    let (required, filter) = requirements(args);
    let mut stages = sources(&required);
    stages.push(Stage::new("dependencies", deny::check));
    stages.push(Stage::new("features", features::check));
    stages.push(Stage::new("examples/deno_kv", || deno_kv(&required)));
    stages.push(tests(&required, &filter));
    stages.push(Stage::new("fuzzing", fuzz));
    stages.push(Stage::new("release build", release));
    Ok(stages::run(&stages))
}

/// Splits the arguments into what is required, and the filter of the tests.
fn requirements(args: &[OsString]) -> (Vec<&str>, Vec<&OsString>) {
    let is_requirement = |arg: &&OsString| REQUIREMENTS.iter().any(|name| **arg == *format!("--require-{name}"));
    let (flags, filter): (Vec<_>, Vec<_>) = args.iter().partition(is_requirement);
    (flags.iter().filter_map(|flag| flag.to_str()?.strip_prefix("--require-")).collect(), filter)
}

/// Returns the checks of the sources and the documents.
fn sources<'a>(required: &'a [&str]) -> Vec<Stage<'a>> {
    vec![
        Stage::new("links and circles", || {
            circles::check(crate::root())?;
            book::check_links(crate::root())?;
            Ok(true)
        }),
        Stage::new("formatting", || crate::succeeds(&mut crate::cargo(&["fmt", "--all", "--check"]))),
        Stage::new("TypeScript", || typescript::check(required.contains(&"deno"))),
        Stage::new("clippy", || {
            let mut clippy = crate::cargo(&["clippy", "--workspace", "--all-targets", "--features", FAKE]);
            crate::succeeds(clippy.args(["--", "--deny", "warnings"]))
        }),
        Stage::new("documentation", || {
            let mut doc = crate::cargo(&["doc", "--no-deps", "--workspace", "--features", FAKE]);
            doc.args(UNDOCUMENTED.iter().flat_map(|package| ["--exclude", package]));
            crate::succeeds(doc.env("RUSTDOCFLAGS", "--deny warnings"))
        }),
    ]
}

fn tests<'a>(required: &'a [&str], filter: &'a [&OsString]) -> Stage<'a> {
    Stage::new("tests", move || {
        let mut test = crate::cargo(&["test", "--workspace", "--features", FAKE]);
        crate::succeeds(test.args(filter).env(REQUIRE, required.join(",")))
    })
}

/// Fuzzes the engine with random inputs, with what the tests have compiled.
fn fuzz() -> Result<bool, String> {
    let build = ["build", "--quiet", "--workspace", "--features", FAKE, "--bin", "openkv_torture"];
    if !crate::succeeds(&mut crate::cargo(&build))? {
        return Ok(false);
    }
    let program = crate::target_directory().join("debug").join(format!("openkv_torture{}", env::consts::EXE_SUFFIX));
    crate::succeeds(Command::new(program).args(["fuzz", "--seconds", FUZZ_SECONDS]))
}

/// Builds the binary without debug assertions, as for a release but not optimized, and runs the quick start with it.
fn release() -> Result<bool, String> {
    if !crate::succeeds(&mut crate::cargo(&["build", "--quiet", "--profile", "ci", "--package", "openkv"]))? {
        return Ok(false);
    }
    let binary = crate::target_directory().join("ci").join(format!("openkv{}", env::consts::EXE_SUFFIX));
    dist::root::check(&binary)?;
    Ok(true)
}

/// Checks the types of the example that is not in the workspace. Its build requires libclang, which `LIBCLANG_PATH` names.
fn deno_kv(required: &[&str]) -> Result<Outcome, String> {
    if env::var_os("LIBCLANG_PATH").is_none() {
        let message = "examples/deno_kv was not checked, because LIBCLANG_PATH does not name the directory of libclang";
        if required.contains(&"libclang") {
            return Err(message.into());
        }
        eprintln!("xtask: {message}");
        return Ok(Outcome::Skipped);
    }
    let mut check = crate::cargo(&["check", "--quiet", "--locked", "--all-targets", "--manifest-path"]);
    check.arg(crate::root().join("examples/deno_kv/Cargo.toml"));
    // What both workspaces depend on is compiled once.
    crate::succeeds(check.arg("--target-dir").arg(crate::target_directory())).map(Into::into)
}

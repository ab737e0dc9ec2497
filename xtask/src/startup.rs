//! `cargo xtask startup`: finds the functions that run at startup, for `runtime/startup`, which tells the linker to put
//! them together.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fmt::Display;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

/// The files of names, and the scripts that run under the profiler for them. What the first has, the second leaves out.
const FILES: [(&str, &[&str]); 2] = [
    ("runtime/startup/every.txt", &["benches/empty.ts"]),
    ("runtime/startup/common.txt", &["examples/quickstart.ts", "runtime/startup/common.ts"]),
];

/// Builds openkv for release, and writes the names of the functions that it runs. The binary is to be built again then.
pub fn startup() -> Result<ExitCode, String> {
    crate::first_line(Command::new("valgrind").arg("--version")).map_err(|_| {
        "valgrind, which tells the functions that run, does not run: install it (Debian and Ubuntu: the package valgrind)"
    })?;
    // What the names depend on: those of functions in Rust have hashes.
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = crate::first_line(Command::new(&rustc).arg("--version"))
        .map_err(|error| format!("{rustc:?} does not tell its version: {error}"))?;
    crate::prepare()?;
    // Valgrind does not see the names of functions in sections that a linker script adds.
    let mut build = crate::cargo(&["build", "--release", "--package", "openkv"]);
    if !crate::succeeds(build.env("OPENKV_PLAIN_LINK", "1"))? {
        return Ok(ExitCode::FAILURE);
    }
    let mut known = BTreeSet::new();
    for (file, scripts) in FILES {
        let mut names = BTreeSet::new();
        for script in scripts {
            names.extend(functions(script)?);
        }
        let new: Vec<_> = names.difference(&known).map(String::as_str).collect();
        let text = format!("# {version}\n# Written by `cargo xtask startup`.\n{}\n", new.join("\n"));
        let path = crate::root().join(file);
        fs::write(&path, text).map_err(|error| format!("{path:?} could not be written: {error}"))?;
        eprintln!("xtask: {file} names {} functions", new.len());
        known.extend(names);
    }
    Ok(ExitCode::SUCCESS)
}

/// The functions of the binary that run with a script.
fn functions(script: &str) -> Result<BTreeSet<String>, String> {
    eprintln!("xtask: valgrind openkv run -A {script}");
    let fail = |error: &dyn Display| format!("{script} could not be profiled: {error}");
    let binary = crate::target_directory().join("release").join("openkv");
    // As the profile names it.
    let binary = binary.canonicalize().map_err(|error| fail(&error))?;
    let directory = crate::target_directory().join("startup");
    // With a database of its own, which is new.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).map_err(|error| fail(&error))?;
    let profile = directory.join("profile");
    let mut output = OsString::from("--callgrind-out-file=");
    output.push(&profile);
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--demangle=no"])
        .arg(output)
        .arg(&binary)
        .args(["run", "-A"])
        .arg(crate::root().join(script))
        .env("DENO_DIR", &directory)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| fail(&error))?;
    if !status.success() {
        return Err(fail(&status));
    }
    let profile = fs::read_to_string(&profile).map_err(|error| fail(&error))?;
    Ok(functions_of(&profile, &binary.to_string_lossy()))
}

/// The functions of an object in a profile. A line `fn=(3) name` or `cfn=(3) name` tells a function, and that it is in the
/// object of the last line `ob=(1) path`, or, of a function that is called, `cob=(1) path` right before it. Each name
/// stands only where its number comes first.
fn functions_of(profile: &str, binary: &str) -> BTreeSet<String> {
    let mut objects = HashMap::new();
    let mut object = false;
    let mut called = None;
    let mut names = BTreeSet::new();
    for line in profile.lines() {
        let Some((kind, value)) = line.split_once("=(") else { continue };
        let Some((number, name)) = value.split_once(')') else { continue };
        let name = name.trim_start();
        match kind {
            "ob" | "cob" => {
                if !name.is_empty() {
                    objects.insert(number, name == binary);
                }
                let is_binary = objects.get(number).copied().unwrap_or_default();
                if kind == "ob" {
                    object = is_binary;
                } else {
                    called = Some(is_binary);
                }
            }
            "fn" if object => names.extend(function(name)),
            "cfn" if called.take().unwrap_or(object) => names.extend(function(name)),
            _ => {}
        }
    }
    names
}

/// The name of a function. None for what has no name, and for the builtins of V8, which are one piece that stays where it
/// is.
fn function(name: &str) -> Option<String> {
    // A recursive call has a number after its name.
    let (name, _) = name.split_once('\'').unwrap_or((name, ""));
    let has_name = name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic());
    (has_name && !name.starts_with("Builtins_")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_names() {
        let names = ["main", "_ZN1a1bEv", "_ZN1a1bEv'2", "Builtins_JSEntry", "0x0000000000003410", "(below main)"];
        let functions: Vec<_> = names.into_iter().filter_map(function).collect();
        assert_eq!(functions, ["main", "_ZN1a1bEv", "_ZN1a1bEv"]);
    }

    #[test]
    fn functions_of_other_objects_are_left_out() {
        let profile = "\
ob=(1) /lib/libc.so
fn=(1) malloc
ob=(2) /openkv
fn=(2) main
cob=(1)
cfn=(3) free
cfn=(4) run
cob=(2)
cfn=(2)
fn=(1)
";
        assert_eq!(functions_of(profile, "/openkv"), BTreeSet::from(["main".into(), "run".into()]));
    }
}

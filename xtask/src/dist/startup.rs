//! The functions of a binary that run at startup, which the linker groups.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The scripts that are profiled. The functions that run with the first one are grouped, then the others.
const SCRIPTS: [&str; 3] = ["benches/empty.ts", "examples/quickstart.ts", "xtask/src/dist/startup.ts"];

/// Returns the names of the functions of a binary that run with the scripts, those of the first script first.
pub fn functions(binary: &Path) -> Result<Vec<String>, String> {
    let every = functions_of_script(binary, SCRIPTS[0])?;
    let mut common = BTreeSet::new();
    for script in &SCRIPTS[1..] {
        common.extend(functions_of_script(binary, script)?);
    }
    Ok(every.iter().chain(common.difference(&every)).cloned().collect())
}

/// Checks for Valgrind, which finds the functions.
pub fn check_valgrind() -> Result<(), String> {
    crate::first_line(Command::new("valgrind").arg("--version")).map(|_| ()).map_err(|_| {
        "failed to run valgrind, which finds the functions: install it (Debian and Ubuntu: the package valgrind)".into()
    })
}

/// Returns the functions of the binary that run with a script.
fn functions_of_script(binary: &Path, script: &str) -> Result<BTreeSet<String>, String> {
    eprintln!("xtask: valgrind openkv run -A {script}");
    let fail = |error: &dyn Display| format!("failed to profile {script}: {error}");
    // The profile contains the canonical path.
    let binary = binary.canonicalize().map_err(|error| fail(&error))?;
    let directory = crate::target_directory().join("startup");
    // A new default database.
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

/// Returns the functions of an object in a profile. A line `fn=(3) name` is a function in the object of the last line
/// `ob=(1) path`; a line `cfn=(3) name` is a called function in the object of a line `cob=(1) path` right before it, or else in the
/// same object. A name is only given at the first use of its number.
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

/// Returns the name of a function. `None` for unnamed ones, and for the builtins of V8, which cannot be moved separately.
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

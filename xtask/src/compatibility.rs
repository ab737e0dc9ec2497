//! Generates the tables of compatibility with Deno: the Node.js built-in modules, the members of the `Deno` namespace, and the
//! commands.

mod commands;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

/// The script that prints the modules and members of a runtime.
const SCRIPT: &str = "xtask/src/compatibility/members.ts";
/// The generated document.
const DOCUMENT: &str = "docs/compatibility.md";
/// The flags of Deno that add members.
const UNSTABLE: [&str; 5] =
    ["--unstable-bundle", "--unstable-cron", "--unstable-kv", "--unstable-net", "--unstable-webgpu"];

/// The limitations of modules and members that have all properties, and the reasons why others are absent.
const NOTES: [(&str, &str); 2] = [
    ("node:module", "Native addons (`.node`) are not supported."),
    ("node:sqlite", "Building its bindings requires libclang. Use `Deno.openKv`."),
];

/// The properties of modules or members by name. For a module that cannot be loaded, the error message.
type Names = BTreeMap<String, Value>;

struct Members {
    version: String,
    modules: Names,
    namespace: Names,
}

/// How far a module or member is implemented.
#[derive(PartialEq)]
enum State {
    Present,
    Partial,
    Absent,
}

struct Row {
    name: String,
    state: State,
    note: String,
}

/// Writes the table. Fails if a module or member that is present is not named in a test.
pub fn write(args: &[OsString]) -> Result<ExitCode, String> {
    let openkv = match args {
        [] if crate::build_release()? => crate::target_directory().join("release/openkv").into_os_string(),
        [] => return Ok(ExitCode::FAILURE),
        [flag, path] if flag == "--openkv" => path.clone(),
        _ => return Err(format!("compatibility takes --openkv PATH, not {args:?}")),
    };
    let openkv = fs::canonicalize(openkv).map_err(|error| format!("failed to find openkv: {error}"))?;
    let ours = inspect(Command::new(&openkv).args(["run", "-A", "--quiet"]))?;
    let deno = inspect(Command::new("deno").args(["run", "-A", "--quiet"]).args(UNSTABLE))?;
    if ours.version != deno.version {
        return Err(format!(
            "openkv has the API of Deno {}, and the deno on the PATH is {}",
            ours.version, deno.version
        ));
    }
    let modules: Vec<_> = deno.modules.iter().map(|(name, members)| compare(name, members, &ours.modules)).collect();
    let namespace: Vec<_> =
        deno.namespace.iter().map(|(name, members)| compare(name, members, &ours.namespace)).collect();
    let tests = read_tests(&crate::root().join("tests"))?;
    let titles: String = tests.lines().filter(|line| line.contains("test(\"") || line.contains("check(\"")).collect();
    let untested: Vec<_> = (modules.iter().map(|row| (row, is_named(&titles, &row.name))))
        .chain(namespace.iter().map(|row| (row, is_named(&tests, &format!("Deno.{}", row.name)))))
        .filter(|(row, is_named)| row.state != State::Absent && !is_named)
        .map(|(row, _)| row.name.as_str())
        .collect();
    if !untested.is_empty() {
        return Err(format!("no test covers {}: add a test whose title or code names it", untested.join(", ")));
    }
    let path = crate::root().join(DOCUMENT);
    let commands = commands::commands(openkv.as_os_str())?;
    let flags = commands::refused_flags(openkv.as_os_str())?;
    fs::write(&path, document(&deno.version, &[&modules, &namespace, &commands, &flags]))
        .map_err(|error| format!("failed to write {DOCUMENT}: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the script with a runtime.
fn inspect(command: &mut Command) -> Result<Members, String> {
    command.arg(SCRIPT).current_dir(crate::root());
    let program = command.get_program().to_owned();
    let failed = |why: &dyn std::fmt::Display| format!("{SCRIPT} failed on {}: {why}", program.display());
    let output = command.output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    let mut printed: Value = serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?;
    let mut names = |key: &str| serde_json::from_value(printed[key].take()).map_err(|error| failed(&error));
    let (modules, namespace) = (names("modules")?, names("namespace")?);
    Ok(Members { version: printed["version"].as_str().unwrap_or_default().into(), modules, namespace })
}

/// Compares the properties that a module or member has on both runtimes.
fn compare(name: &str, members: &Value, ours: &Names) -> Row {
    let note = NOTES.iter().find(|(noted, _)| *noted == name).map(|(_, note)| *note);
    let row = |state, note: Option<&str>| Row { name: name.into(), state, note: note.unwrap_or_default().into() };
    let Some(Value::Array(found)) = ours.get(name) else { return row(State::Absent, note) };
    let missing: Vec<_> = members.as_array().into_iter().flatten().filter(|name| !found.contains(name)).collect();
    if missing.is_empty() {
        return row(note.map_or(State::Present, |_| State::Partial), note);
    }
    let missing: Vec<_> = missing.iter().filter_map(|name| name.as_str()).map(|name| format!("`{name}`")).collect();
    row(State::Partial, Some(&format!("Missing: {}. {}", missing.join(", "), note.unwrap_or_default())))
}

/// Returns the concatenated sources of the tests.
fn read_tests(directory: &Path) -> Result<String, String> {
    let unreadable = |error| format!("failed to read {}: {error}", directory.display());
    let mut texts = String::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            texts += read_tests(&path)?.as_str();
        } else if path.extension().is_some_and(|extension| ["rs", "ts", "txt"].iter().any(|known| extension == *known))
        {
            texts += fs::read_to_string(&path).map_err(unreadable)?.as_str();
        }
    }
    Ok(texts)
}

/// Returns whether a text contains a name as a whole word.
fn is_named(text: &str, name: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_' || next == '/');
    text.split(name).skip(1).any(ends)
}

fn document(version: &str, [modules, namespace, commands, flags]: &[&[Row]; 4]) -> String {
    let mut text = format!(
        "# Compatibility with Deno\n\n\
         This page compares OpenKV with Deno {version}. It is generated by `cargo xtask compatibility`. A module or member is present\n\
         if it has all properties that it has on Deno, and partial if some are missing. Everything present is covered by a test.\n\n\
         ## Node.js built-in modules\n\n"
    );
    table(&mut text, "module", modules);
    text += "\n## Deno namespace\n\n";
    table(&mut text, "member", namespace);
    text += "\nThe global `caches` is missing: a build of its SQLite bindings needs libclang.\n\n## Commands\n\n";
    table(&mut text, "command", commands);
    text += "\n## Unsupported flags\n\n\
        A flag without a command is not supported by any command that runs scripts. All other flags of Deno are accepted.\n\n";
    table(&mut text, "flag", flags);
    text
}

fn table(text: &mut String, title: &str, rows: &[Row]) {
    writeln!(text, "| {title} | state | note |\n| --- | --- | --- |").expect("writing to a string cannot fail");
    for Row { name, state, note } in rows {
        let state = match state {
            State::Present => "present",
            State::Partial => "partial",
            State::Absent => "absent",
        };
        writeln!(text, "| `{name}` | {state} | {} |", note.trim()).expect("writing to a string cannot fail");
    }
}

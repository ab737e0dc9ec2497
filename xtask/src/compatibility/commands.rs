//! The commands of Deno, and their flags that openkv refuses.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use super::{Row, State};

/// The commands whose flags are compared, with what else a command line needs to be parsed.
const COMPARED: [(&str, &[&str]); 9] = [
    ("run", &["none.ts"]),
    ("serve", &["none.ts"]),
    ("test", &["none.ts"]),
    ("eval", &["0"]),
    ("repl", &[]),
    ("add", &["none"]),
    ("remove", &["none"]),
    ("install", &[]),
    ("cache", &["none.ts"]),
];

/// How openkv refuses a command or a flag.
const REFUSED: &str = "is not supported: ";

/// Returns the commands of Deno.
pub fn commands(openkv: &OsStr) -> Result<Vec<Row>, String> {
    let help = output(Command::new("deno").arg("--help"))?;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let rows = names.map(|name| {
        let printed = output(Command::new(openkv).args([name, "--help"]))?;
        let row = |state, note: &str| Row { name: name.into(), state, note: note.into() };
        Ok(reason(&printed).map_or(row(State::Present, ""), |reason| row(State::Absent, reason)))
    });
    rows.collect()
}

/// Returns the flags of Deno that openkv refuses.
pub fn refused_flags(openkv: &OsStr) -> Result<Vec<Row>, String> {
    let mut refused: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for (command, args) in COMPARED {
        let help = output(Command::new("deno").args([command, "--help=full"]))?;
        for flag in help.lines().filter_map(flag) {
            // The configuration file does not exist, so nothing is run or installed.
            let printed = output(Command::new(openkv).args([command, flag, "--config=none.json"]).args(args))?;
            if let Some(reason) = reason(&printed) {
                let name = flag.split('=').next().unwrap_or(flag);
                refused.entry((name.into(), reason.into())).or_default().push(command);
            }
        }
    }
    let rows = refused.into_iter().map(|((flag, reason), commands)| {
        let everywhere = ["run", "serve", "test", "eval", "repl"].iter().all(|command| commands.contains(command));
        let name = if everywhere { flag } else { format!("{} {flag}", commands.join(", ")) };
        Row { name, state: State::Absent, note: reason }
    });
    Ok(rows.collect())
}

/// Returns the flag that a line of the help describes, with a value if it needs one.
fn flag(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let long = if line.starts_with("--") { line } else { line.split_once(", ").filter(|_| line.starts_with('-'))?.1 };
    let name = long.split([' ', '[', '<', '=']).next()?;
    // A watched script would not end. The configuration file of each command line is one that does not exist.
    let is_compared = |name: &&str| !["--watch", "--config", "--no-config"].iter().any(|other| name.starts_with(other));
    Some(name).filter(|name| name.starts_with("--") && name.len() > 2).filter(is_compared)
}

/// Returns the reason why something is refused.
fn reason(printed: &str) -> Option<&str> {
    printed.lines().next()?.split_once(REFUSED).map(|(_, reason)| reason)
}

/// Runs a command, which has no file to run, and no registry to install from. Returns what it prints, which may be an error.
fn output(command: &mut Command) -> Result<String, String> {
    let directory = crate::target_directory().join("compatibility");
    std::fs::create_dir_all(&directory).map_err(|error| format!("failed to create {directory:?}: {error}"))?;
    command.env("NO_COLOR", "1").stdin(Stdio::null()).current_dir(directory);
    command.envs(["JSR_URL", "NPM_CONFIG_REGISTRY"].map(|registry| (registry, "http://127.0.0.1:9")));
    let output = command.output().map_err(|error| format!("failed to run {:?}: {error}", command.get_program()))?;
    let printed = if output.status.success() { output.stdout } else { output.stderr };
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

//! What scripts may do: the tables of `tests/permissions`, filled in by `openkv`, stay as they are.

use assert_cmd::Command;

use crate::support::{PATIENCE, read_repository, repository};

/// Runs the calls of a table in all its settings, and checks what comes of them.
#[track_caller]
fn agrees(table: &str) {
    let mut command = Command::new(repository("tests/permissions/run"));
    let output = command.args([table, env!("CARGO_BIN_EXE_openkv"), "run"]).timeout(PATIENCE).output().unwrap();
    let (actual, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let expected = read_repository(&format!("tests/permissions/{table}"));
    let (actual, expected) = (calls(&actual), calls(&expected));
    assert_eq!(actual.len(), expected.len(), "{stderr}");
    let differing: Vec<_> = actual.iter().zip(&expected).filter(|(actual, expected)| actual != expected).collect();
    let told: Vec<_> = differing.iter().map(|(actual, expected)| format!("{actual}is not\n{expected}")).collect();
    assert!(told.is_empty(), "{}\n{stderr}", told.join("\n"));
}

/// The calls of a table, each with what comes of it, as pieces of text.
fn calls(table: &str) -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for line in table.lines() {
        match calls.last_mut() {
            Some(call) if line.starts_with("  ") => *call += &format!("{line}\n"),
            _ => calls.push(format!("{line}\n")),
        }
    }
    calls
}

macro_rules! permissions {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                agrees(concat!(stringify!($name), ".txt"));
            }
        )*
    };
}

permissions!(dns env import net no_permission query read read_and_write sys unix write);

#[cfg(unix)]
mod terminal {
    use std::time::Instant;

    use rexpect::session::{PtySession, spawn_command};

    use crate::support::{PATIENCE, Sandbox};

    /// A script that asks to read a file. At a terminal, the user is asked.
    fn asking(sandbox: &Sandbox) -> PtySession {
        sandbox.write("file", "text");
        sandbox.write(
            "main.ts",
            "try { console.log('read', Deno.readTextFileSync('file')); } catch (error) { console.log(error.message); }",
        );
        // Short, as what a user types before the question is complete is not taken for the answer.
        spawn_command(sandbox.command(["run", "main.ts"]), Some(300)).unwrap()
    }

    /// Types an answer until something is printed for it.
    #[track_caller]
    fn answer(session: &mut PtySession, answer: &str, expected: &str) {
        let start = Instant::now();
        while session.exp_string(expected).is_err() {
            assert!(start.elapsed() < PATIENCE, "\"{expected}\" is not printed");
            session.send_line(answer).unwrap();
        }
    }

    #[test]
    fn a_user_allows_what_a_script_asks_for() {
        let sandbox = Sandbox::new();
        let mut session = asking(&sandbox);
        answer(&mut session, "y", "Granted read access to \"file\".");
        answer(&mut session, "", "read text");
    }

    #[test]
    fn a_user_denies_what_a_script_asks_for() {
        let sandbox = Sandbox::new();
        let mut session = asking(&sandbox);
        answer(&mut session, "n", "Denied read access to \"file\".");
        answer(&mut session, "", "Requires read access to \"file\", run again with the --allow-read flag");
    }
}

//! Short forms of the ways to make a database lose data, which `cargo xtask torture` has at full length.

use openkv_torture::{Outcome, Programs, backup, compare, crash, processes};

/// The binary under test, alone.
fn programs() -> Programs {
    Programs { openkv: env!("CARGO_BIN_EXE_openkv").into(), deno: "deno".into() }
}

#[track_caller]
fn holds(outcome: Outcome) {
    outcome.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn processes_that_mix_all_operations_lose_nothing() {
    holds(processes::run(&programs(), &processes::Args { workers: 8, visitors: 1, seconds: 2 }));
}

#[test]
fn killed_processes_lose_nothing_that_they_were_promised() {
    holds(crash::run(&programs(), &crash::Args { rounds: 6, seed: 1 }));
}

#[test]
fn backups_that_are_taken_while_processes_write_are_whole() {
    holds(backup::run(&programs(), &backup::Args { databases: 1, seed: 1 }));
}

#[test]
fn what_the_reference_does_not_keep_is_kept() {
    holds(compare::run(&programs(), &compare::Args { short: true, write: None }));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_grows_and_nothing_gets_lost() {
    use openkv_torture::soak;

    holds(soak::run(&programs(), &soak::Args { minutes: 0.1, plot: None }));
}

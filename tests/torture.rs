//! Short forms of the ways to make a database lose data, which `cargo xtask torture` has at full length.

use openkv_torture::{Outcome, Programs, Under, backup, claims, close, compare, crash, model, processes};

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

#[test]
fn calls_take_effect_in_program_order() {
    let args = model::Args { histories: 0, steps: 0, seed: 1, programs: 100, under: Under::Openkv };
    holds(model::programs::run(&programs(), &args));
}

#[test]
fn closed_database_is_one_whole_file() {
    holds(close::run(&programs(), &close::Args { rounds: 16, processes: 2, locked: 1, under: Under::Openkv }));
}

#[test]
fn claimed_messages_are_handed_to_a_handler() {
    holds(claims::run(&programs(), &claims::Args { messages: 20, short: true, parallel: 8, under: Under::Openkv }));
}

#[cfg(unix)]
#[test]
fn swapped_paths_lead_to_no_denied_database() {
    use openkv_torture::paths;

    holds(paths::run(&programs(), &paths::Args { seconds: 5.0, under: Under::Openkv }));
}

#[cfg(target_os = "linux")]
#[test]
fn clock_steps_delay_nothing() {
    use openkv_torture::clock;

    // The bound is for a machine that runs other tests meanwhile.
    holds(clock::run(&programs(), &clock::Args { seconds: 3.0, bound: 10.0, under: Under::Openkv }));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_grows_and_nothing_gets_lost() {
    use openkv_torture::soak;

    holds(soak::run(&programs(), &soak::Args { minutes: 0.1, plot: None }));
}

//! Short forms of the tests of `cargo xtask torture`.

use openkv_torture::service::{On, Service};
use openkv_torture::{Outcome, Programs, Under, backup, claims, close, compare, crash, model, processes};

use crate::clients::runs;
use crate::support::skip;

/// Returns the binary under test.
fn programs() -> Programs {
    Programs { openkv: env!("CARGO_BIN_EXE_openkv").into(), deno: "deno".into() }
}

#[track_caller]
fn holds(outcome: Outcome) {
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn processes_that_mix_all_operations_lose_nothing() {
    holds(processes::run(&programs(), &processes::Args { workers: 8, visitors: 1, seconds: 2, with_deno: false }));
}

#[test]
fn killed_processes_lose_no_acknowledged_write() {
    holds(crash::run(&programs(), &crash::Args { rounds: 6, seed: 1, on: On::File, with_deno: false }));
}

#[test]
fn killed_processes_lose_no_acknowledged_write_while_deno_writes() {
    if !runs("deno") {
        return skip("deno", "as another writer of a file: it is not on the PATH");
    }
    holds(crash::run(&programs(), &crash::Args { rounds: 6, seed: 2, on: On::File, with_deno: true }));
}

#[test]
fn backups_under_load_are_consistent() {
    holds(backup::run(&programs(), &backup::Args { databases: 1, seed: 1 }));
}

#[test]
fn guarantees_that_deno_lacks_hold() {
    holds(compare::run(&programs(), &compare::Args { short: true, write: None }));
}

#[test]
fn calls_take_effect_in_program_order() {
    calls_take_effect_in_program_order_on(On::File, 100);
}

#[cfg(all(unix, feature = "etcd"))]
#[test]
fn calls_take_effect_in_program_order_in_etcd() {
    if openkv_etcd::cluster::is_installed() {
        calls_take_effect_in_program_order_on(On::Etcd, 25);
    }
}

#[cfg(all(unix, feature = "postgres"))]
#[test]
fn calls_take_effect_in_program_order_in_postgres() {
    if openkv_postgres::cluster::installed().is_some() {
        calls_take_effect_in_program_order_on(On::Postgres, 25);
    }
}

#[track_caller]
fn calls_take_effect_in_program_order_on(on: On, count: u32) {
    let args = model::Args { histories: 0, steps: 0, seed: 1, programs: count, under: Under::Openkv, on };
    let service = Service::start(&args.on).unwrap_or_else(|failure| panic!("{failure}"));
    holds(model::programs::run(&programs(), &service, &args));
}

#[test]
fn closed_database_is_a_complete_file() {
    holds(close::run(&programs(), &close::Args { rounds: 16, processes: 2, locked: 1, under: Under::Openkv }));
}

#[test]
fn claimed_messages_reach_a_handler() {
    holds(claims::run(&programs(), &claims::Args { messages: 20, short: true, parallel: 8, under: Under::Openkv }));
}

#[cfg(feature = "connect")]
#[test]
fn failing_network_of_a_server_loses_no_write_and_repeats_none() {
    use openkv_torture::serve;

    holds(serve::run(&programs(), &serve::Args { faults: 60, seed: 1 }));
}

#[cfg(unix)]
#[test]
fn swapped_paths_do_not_reach_a_denied_database() {
    use openkv_torture::paths;

    holds(paths::run(&programs(), &paths::Args { seconds: 5.0, under: Under::Openkv }));
}

#[cfg(target_os = "linux")]
#[test]
fn clock_steps_delay_nothing() {
    use openkv_torture::clock;

    // The bound allows for other tests that run at the same time.
    holds(clock::run(&programs(), &clock::Args { seconds: 3.0, bound: 10.0, under: Under::Openkv }));
}

#[cfg(target_os = "linux")]
#[test]
fn resources_stay_bounded() {
    use openkv_torture::soak;

    holds(soak::run(&programs(), &soak::Args { minutes: 0.1, plot: None }));
}

//! Short forms of what tries to make a database lose data. See the crate `openkv_torture`.

use openkv_torture::{Programs, crash, processes};

fn programs() -> Programs {
    Programs { openkv: env!("CARGO_BIN_EXE_openkv").into(), deno: "deno".into() }
}

#[test]
fn processes_that_mix_all_operations_lose_nothing() {
    let args = processes::Args { workers: 8, visitors: 1, seconds: 2 };
    processes::run(&programs(), &args).unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn killed_processes_lose_nothing_that_they_were_promised() {
    let args = crash::Args { rounds: 6, seed: 1 };
    crash::run(&programs(), &args).unwrap_or_else(|broken| panic!("{broken}"));
}

//! A short run of the targets of `fuzz/`, with the stored inputs and mutations of them.

use std::{panic, process};

use openkv_torture::fuzz;

/// Runs a function on the inputs of a target, and on a number of mutations.
fn run(target: &str, mutations: usize, function: fn(&[u8])) {
    // A panic on a thread of a database would only be an error for its caller.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        hook(panic);
        if std::thread::current().name().is_some_and(|name| name.starts_with("openkv")) {
            process::abort();
        }
    }));
    let seeds = fuzz::seeds(target);
    seeds.iter().for_each(|seed| function(seed));
    for input in fuzz::mutated(&seeds, mutations) {
        if let Err(panic) = panic::catch_unwind(|| function(&input)) {
            eprintln!("failed with input {input:?}");
            panic::resume_unwind(panic);
        }
    }
}

#[test]
fn keys_decode_or_fail_and_sort_like_their_parts() {
    run("key", 20_000, fuzz::key);
}

#[test]
fn cursors_stay_within_their_selector() {
    run("cursor", 20_000, fuzz::cursor);
}

#[test]
fn files_never_crash_the_engine() {
    run("stored", 500, fuzz::stored);
}

//! A short run of what `fuzz/` runs for long: the inputs that are kept, and some that are made of these.

use std::{panic, process};

use openkv_torture::fuzz;

/// Runs a function on the inputs of a target, and on so many others.
fn run(target: &str, others: usize, function: fn(&[u8])) {
    // A panic of a database's own thread would only be an error of its caller.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        hook(panic);
        if std::thread::current().name().is_some_and(|name| name.starts_with("openkv")) {
            process::abort();
        }
    }));
    let seeds = fuzz::seeds(target);
    seeds.iter().for_each(|seed| function(seed));
    for input in fuzz::mutated(&seeds, others) {
        if let Err(panic) = panic::catch_unwind(|| function(&input)) {
            eprintln!("the input was {input:?}");
            panic::resume_unwind(panic);
        }
    }
}

#[test]
fn any_bytes_are_a_key_or_refused_and_any_parts_are_ordered_as_their_bytes() {
    run("key", 20_000, fuzz::key);
}

#[test]
fn no_cursor_leaves_its_selector() {
    run("cursor", 20_000, fuzz::cursor);
}

#[test]
fn no_file_takes_the_engine_down() {
    run("stored", 500, fuzz::stored);
}

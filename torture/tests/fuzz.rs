//! A short run of the fuzz targets, with the stored inputs and mutations of them.

use openkv_torture::fuzz::{Args, Target, run};

/// Runs a target on its seeds, and on a number of mutations, always the same ones.
fn check(target: Target, mutations: usize) {
    let args = Args { targets: vec![target], seconds: 0.0, mutations, seed: Some(1) };
    run(&args).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn keys_decode_or_fail_and_sort_like_their_parts() {
    check(Target::Key, 20_000);
}

#[test]
fn cursors_stay_within_their_selector() {
    check(Target::Cursor, 20_000);
}

#[test]
fn files_never_crash_the_engine() {
    check(Target::Stored, 500);
}

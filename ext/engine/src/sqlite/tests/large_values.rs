//! Values that do not fit on the page of their entry.

use super::*;

/// Large enough for overflow pages, and together smaller than the page cache.
const SIZE: usize = 2000;
const ENTRIES: usize = 1000;

/// A lookup compares the key with those of other entries, for which SQLite reads their values, too.
#[test]
fn repeated_gets_of_large_values_do_not_read_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let location = file(&directory);
    let database = super::super::open(location.clone(), options().0).unwrap();
    let name = |i: usize| format!("entry {i:04}");
    for first in (0..ENTRIES).step_by(100) {
        let sets = (first..first + 100).map(|i| Mutation::set(key(&name(i)), Value::Bytes(vec![1; SIZE])));
        let write = AtomicWrite { mutations: sets.collect(), ..AtomicWrite::new() };
        database.write_blocking(write).unwrap().into_result().unwrap();
    }
    // Checkpoints the WAL: the overflow pages are in the file.
    database.close();
    super::super::wait_closed(std::time::Duration::from_secs(60));
    let database = super::super::open(location, options().0).unwrap();
    let get_all = || {
        for i in 0..ENTRIES {
            assert!(database.get_blocking(&key(&name(i))).unwrap().is_some());
        }
    };
    get_all();
    let before = reads_of_this_thread();
    get_all();
    let reads = reads_of_this_thread() - before;
    assert!(reads < ENTRIES / 10, "{reads} reads for {ENTRIES} gets");
}

/// Returns the number of system calls by which this thread has read from files.
fn reads_of_this_thread() -> usize {
    let counts = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    counts.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

//! Versions have the order of commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Mutation, Read, ReadOptions, Value, Versionstamp};

use crate::support::{Place, commit, key};

/// Several writers, each with its own key. A reader that sees a version must see all earlier ones: in the snapshots of a reader, one
/// after the other, no new version may be less than one seen before.
#[test]
fn no_reader_sees_a_later_version_before_an_earlier_one() {
    const WRITERS: u64 = 6;
    let Some(place) = Place::new() else { return };
    let is_done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let database = place.open();
            thread::spawn(move || {
                let mut last = None;
                for i in 0..60 {
                    // Some writes in a transaction of their own, and some that share one.
                    let count = if i % 3 == 0 { 1 } else { 8 };
                    let writes: Vec<_> = (0..count)
                        .map(|_| database.write(AtomicWrite::new().mutate(Mutation::set(key(writer), Value::U64(i)))))
                        .collect();
                    for write in writes {
                        let version = block_on(write).unwrap().versionstamp();
                        assert!(version > last, "{version:?} after {last:?}");
                        last = version;
                    }
                }
            })
        })
        .collect();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (database, is_done) = (place.open(), is_done.clone());
            thread::spawn(move || {
                let keys: Vec<_> = (0..WRITERS).map(key).collect();
                let reads: Vec<_> = keys.iter().map(Read::Key).collect();
                let mut seen = vec![None::<Versionstamp>; keys.len()];
                while !is_done.load(Ordering::Relaxed) {
                    let lists = block_on(database.read(&reads, ReadOptions::default())).unwrap();
                    let versions: Vec<_> =
                        lists.iter().map(|list| list.first().map(|entry| entry.versionstamp)).collect();
                    let greatest = seen.iter().max().copied().flatten();
                    for (version, before) in versions.iter().zip(&seen) {
                        assert!(version == before || *version > greatest, "{version:?} after {greatest:?}");
                    }
                    seen = versions;
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    is_done.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn version_of_a_write_without_mutations_is_not_used_again() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let empty = commit(&database, AtomicWrite::new());
    let next = commit(&database, AtomicWrite::new().mutate(Mutation::set(key(0), Value::U64(1))));
    assert!(next > empty);
}

//! The fallbacks of the database for a backend that can neither count nor delete ranges.

use futures_executor::block_on;
use openkv_engine::{Error, Key, Limits, Read, Selector, Value};
use openkv_fake::Options;

use crate::support::{fill, key, numbers, opened, stored};

fn delayed() -> Options {
    Options::default().delay(0..=2)
}

#[test]
fn count_lists_keys() {
    let database = opened(delayed());
    assert_eq!(block_on(database.count(&numbers())).unwrap(), 0);
    // More than the limit of a read.
    fill(&database, 2345);
    assert_eq!(block_on(database.count(&numbers())).unwrap(), 2345);
    let some = Selector::between(&key(10), &key(1510)).unwrap();
    assert_eq!(block_on(database.count(&some)).unwrap(), 1500);
}

#[test]
fn count_does_not_see_later_writes() {
    let database = opened(delayed());
    fill(&database, 5);
    let count = database.count(&numbers());
    let later = database.set(key(9), Value::U64(9));
    assert_eq!(block_on(count).unwrap(), 5);
    block_on(later).unwrap();
    assert_eq!(block_on(database.count(&numbers())).unwrap(), 6);
}

#[test]
fn range_is_deleted_in_batches() {
    let database = opened(delayed());
    fill(&database, 250);
    database.set_blocking(Key::from(["other"]), Value::U64(0)).unwrap();
    let deleted: Vec<_> = (0..4).map(|_| block_on(database.delete_range(&numbers())).unwrap()).collect();
    assert_eq!(deleted, [100, 100, 50, 0]);
    assert!(stored(&database).is_empty());
    assert!(database.get_blocking(&Key::from(["other"])).unwrap().is_some());
}

#[test]
fn deletion_keeps_later_writes() {
    let database = opened(delayed());
    fill(&database, 5);
    let deletion = database.delete_range(&numbers());
    let later = [database.set(key(1), Value::U64(10)), database.set(key(7), Value::U64(7))];
    assert_eq!(block_on(deletion).unwrap(), 4);
    later.into_iter().for_each(|write| block_on(write).unwrap());
    assert_eq!(stored(&database), [10, 7]);
}

#[test]
fn deletion_continues_after_a_batch_that_was_overwritten() {
    let mut limits = Limits::default();
    limits.checks = 2;
    let database = opened(delayed().limits(limits));
    fill(&database, 5);
    let deletion = database.delete_range(&numbers());
    let later = [0, 1].map(|i| database.set(key(i), Value::U64(10 + i)));
    assert_eq!(block_on(deletion).unwrap(), 2);
    later.into_iter().for_each(|write| block_on(write).unwrap());
    assert_eq!(stored(&database), [10, 11, 4]);
}

#[test]
fn list_reads_in_batches_in_both_directions() {
    let database = opened(delayed());
    fill(&database, 321);
    assert_eq!(stored(&database), (0..321).collect::<Vec<_>>());
    let mut list = database.list(numbers()).reverse().limit(150).keys_only();
    let mut keys = Vec::new();
    block_on(async {
        while let Some(entry) = list.next().await {
            keys.push(entry.unwrap().key);
        }
    });
    assert_eq!(keys, (171..321).rev().map(key).collect::<Vec<_>>());
}

#[test]
fn blocking_reads_wait_for_the_reply() {
    let database = opened(delayed());
    fill(&database, 3);
    let mut visited = Vec::new();
    let (first, (start, end)) = (key(0), numbers().range(None, false).unwrap());
    let range = Read::Range { start: &start, end: &end, limit: 10, reverse: true, values: true };
    let reads = [Read::Key(&first), range];
    let visit = &mut |i, entry: openkv_engine::EntryRef<'_>| {
        visited.push((i, entry.to_owned().key));
        if visited.len() < 3 { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
    };
    database.visit_blocking(&reads, visit).unwrap();
    assert_eq!(visited, [(0, key(0)), (1, key(2)), (1, key(1))]);
    assert!(database.local().is_none());
}

#[test]
fn limits_are_checked_above_the_backend() {
    let mut limits = Limits::default();
    (limits.value_size, limits.read_entries) = (4, 2);
    let database = opened(delayed().limits(limits));
    let large = database.set_blocking(key(0), Value::Bytes(vec![0; 5]));
    assert!(matches!(large, Err(Error::ValueTooLarge { max: 4 })));
    let keys = [key(0), key(1), key(2)];
    let reads: Vec<_> = keys.iter().map(Read::Key).collect();
    assert!(matches!(database.read_blocking(&reads), Err(Error::TooManyEntries { max: 2 })));
}

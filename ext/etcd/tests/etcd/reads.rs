use std::ops::ControlFlow;
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Consistency, Key, Read, ReadOptions, Value};

use crate::support::{commit, database, fill, get, key, numbers, opened, set, url};

fn listed(database: &openkv_engine::Database, reverse: bool, limit: usize) -> Vec<Key> {
    let list = database.list(numbers()).limit(limit);
    let list = if reverse { list.reverse() } else { list };
    list.blocking().map(|entry| entry.unwrap().key).collect()
}

#[test]
fn ranges_are_listed_in_both_directions() {
    let database = database!();
    fill(&database, 3000);
    for limit in [1, 10, 130, 3000] {
        let keys: Vec<_> = (0..3000).map(key).collect();
        assert_eq!(listed(&database, false, limit), keys[..limit]);
        assert_eq!(listed(&database, true, limit), keys.iter().rev().take(limit).cloned().collect::<Vec<_>>());
    }
}

#[test]
fn lists_do_not_depend_on_what_is_known_of_split_keys() {
    let Some(url) = url() else { return };
    let [one, other] = [opened(&url), opened(&url)];
    // Both know that there are none yet.
    assert!(listed(&one, false, 10).is_empty() && listed(&other, true, 10).is_empty());
    fill(&one, 2500);
    for database in [&one, &other] {
        assert_eq!(listed(database, false, 10), (0..10).map(key).collect::<Vec<_>>());
        assert_eq!(listed(database, true, 10), (2490..2500).rev().map(key).collect::<Vec<_>>());
    }
    block_on(other.delete_range(&numbers())).unwrap();
    for database in [&one, &other] {
        assert!(listed(database, false, 10).is_empty() && listed(database, true, 10).is_empty());
    }
}

#[test]
fn expired_entries_are_skipped() {
    let database = database!();
    fill(&database, 20);
    let expiring = (0..20).filter(|i| i % 3 != 0).map(|i| set(key(i), i).expire_in(Duration::ZERO));
    commit(&database, expiring.fold(AtomicWrite::new(), AtomicWrite::mutate)).into_result().unwrap();
    assert_eq!(listed(&database, false, 4), [0, 3, 6, 9].map(key));
    assert_eq!(listed(&database, true, 4), [18, 15, 12, 9].map(key));
}

#[test]
fn reads_of_several_ranges_are_one_snapshot() {
    let Some(url) = url() else { return };
    let [writer, reader] = [opened(&url), opened(&url)];
    let (start, end) = numbers().range(None, false).unwrap();
    for i in 0..30 {
        let write = AtomicWrite::new().mutate(set(key(0), i)).mutate(set(key(1), i));
        let written = writer.write(write);
        let (first, second) = (key(0), key(1));
        let range = |reverse| Read::Range { start: &start, end: &end, limit: 1, reverse, values: true };
        let reads = [Read::Key(&first), range(true), Read::Key(&second), range(false)];
        let mut values = Vec::new();
        reader
            .visit_blocking(&reads, &mut |_, entry| {
                values.push(entry.value.map(openkv_engine::ValueRef::to_owned));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
        block_on(written).unwrap().into_result().unwrap();
    }
}

#[test]
fn reads_take_effect_in_the_order_of_the_calls() {
    let database = database!();
    let before = database.get(&key(0));
    let set = database.set(key(0), Value::U64(1));
    let after = database.get(&key(0));
    let replaced = database.set(key(0), Value::U64(2));
    assert_eq!(block_on(before).unwrap(), None);
    assert_eq!(block_on(after).unwrap().unwrap().value, Value::U64(1));
    block_on(set).unwrap();
    block_on(replaced).unwrap();
}

#[test]
fn eventual_reads_and_size_limits_are_supported() {
    let database = database!();
    fill(&database, 10);
    let (start, end) = numbers().range(None, false).unwrap();
    let range = Read::Range { start: &start, end: &end, limit: 10, reverse: false, values: true };
    let options = ReadOptions::default().max_bytes(20);
    assert_eq!(block_on(database.read(&[range, range], options)).unwrap().iter().map(Vec::len).sum::<usize>(), 3);
    // A node may be behind: it has the entries at some time.
    let eventual = ReadOptions::default().consistency(Consistency::Eventual);
    while block_on(database.read(&[range], eventual)).unwrap()[0].len() < 10 {}
    assert_eq!(get(&database, &key(9)), Some(9));
}

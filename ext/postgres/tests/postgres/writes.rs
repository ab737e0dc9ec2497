//! Writes, and their results.

use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{
    AtomicWrite, Check, CommitId, Error, Key, Limits, Mutation, MutationKind, SumBounds, SystemRandom, Value,
};
use openkv_postgres::Address;

use crate::support::{Place, commit, conflict, fill, key, numbers, options, value};

#[test]
fn every_mutation_and_type_is_stored() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let text = Value::V8(b"\xff\x0f\"\x01a".to_vec());
    let kind = MutationKind::Set { value: Value::U64(9), expire_at: None, versionstamped: true };
    let write = AtomicWrite::new()
        .mutate(Mutation::set(key(0), text.clone()))
        .mutate(Mutation::set(key(1), Value::Bytes(vec![0, 255])))
        .mutate(Mutation::set(key(2), Value::Bytes(vec![])))
        .mutate(Mutation::sum(key(3), u64::MAX))
        .mutate(Mutation::sum(key(3), 3))
        .mutate(Mutation::min(key(4), 3))
        .mutate(Mutation::max(key(5), 3))
        .mutate(Mutation { key: key(6), kind });
    let versionstamp = commit(&database, write);
    let entries: Vec<_> = database.list(numbers()).blocking().map(Result::unwrap).collect();
    let values: Vec<_> = entries.iter().map(|entry| entry.value.clone()).collect();
    let [bytes, empty] = [vec![0, 255], vec![]].map(Value::Bytes);
    assert_eq!(values, [text, bytes, empty, Value::U64(2), Value::U64(3), Value::U64(3), Value::U64(9)]);
    assert!(entries.iter().all(|entry| entry.versionstamp == versionstamp));
    let mut stamped = key(6);
    stamped.push_string(&versionstamp.to_string());
    assert_eq!(entries[6].key, stamped);

    let number = |number: f64| Value::V8([&b"\xff\x0fN"[..], &number.to_le_bytes()].concat());
    let bounds = SumBounds { max: Some(number(5.0)), ..SumBounds::default() };
    let kind = MutationKind::BoundedSum { value: number(3.0), bounds };
    let sum = AtomicWrite::new().mutate(Mutation { key: key(7), kind });
    commit(&database, sum.clone());
    assert!(matches!(database.write_blocking(sum), Err(Error::SumOutOfRange)));

    commit(&database, AtomicWrite::new().mutate(Mutation::delete(key(0))).mutate(Mutation::sum(key(4), 1)));
    assert_eq!((database.get_blocking(&key(0)).unwrap(), value(&database, 4)), (None, Some(4)));
}

#[test]
fn failed_checks_are_reported_and_write_nothing() {
    let Some(place) = Place::new() else { return };
    let [database, other] = [place.open(), place.open()];
    let set = || AtomicWrite::new().mutate(Mutation::set(key(0), Value::U64(1)));
    let version = commit(&database, set().check(Check::absent(key(0))));
    let outdated = Check { key: key(0), versionstamp: Some(version) };
    commit(&other, set());
    let write = AtomicWrite::new().check(Check::absent(key(1))).check(outdated).mutate(Mutation::sum(key(1), 1));
    assert_eq!(database.write_blocking(write.clone()).unwrap(), conflict(&[1]));
    assert_eq!(other.write_blocking(write.check(Check::absent(key(0)))).unwrap(), conflict(&[1, 2]));
    assert_eq!(value(&database, 1), None);
}

#[test]
fn write_with_an_id_is_committed_once_by_any_process() {
    let Some(place) = Place::new() else { return };
    let [database, other] = [place.open(), place.open()];
    let add = AtomicWrite::new().mutate(Mutation::sum(key(0), 1)).id(CommitId::new(&SystemRandom));
    let first = commit(&database, add.clone());
    let again: Vec<_> = [&other, &database, &other].map(|database| database.write(add.clone())).into_iter().collect();
    for again in again {
        assert_eq!(block_on(again).unwrap().into_result().unwrap(), first);
    }
    assert_eq!(commit(&other, add.clone().check(Check::absent(key(0)))), first);
    assert_eq!(value(&database, 0), Some(1));
}

#[test]
fn concurrent_writes_share_transactions_and_are_all_committed() {
    let Some(place) = Place::new() else { return };
    let databases = [place.open(), place.open()];
    let writes: Vec<_> = (0..500)
        .map(|i| {
            databases[i % 2]
                .write(AtomicWrite::new().mutate(Mutation::sum(key(0), 1)).mutate(Mutation::sum(key(1 + i as u64), 1)))
        })
        .collect();
    let mut versions: Vec<_> =
        writes.into_iter().map(|write| block_on(write).unwrap().versionstamp().unwrap()).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 500, "each write has its own version");
    assert_eq!(value(&databases[0], 0), Some(500));
    let batches: u64 = place.query("select sum(batch) from SCHEMA.sessions").parse().unwrap();
    assert!(batches < 500, "{batches} transactions");
}

#[test]
fn write_that_the_server_rejects_fails_alone() {
    let Some(place) = Place::new() else { return };
    let mut limits = Limits::default();
    (limits.write_key_size, limits.write_keys_size) = (100_000, 1_000_000);
    let address = Address::parse(&place.url()).unwrap();
    let database = block_on(openkv_postgres::open(address, options().limits(limits))).unwrap();
    // Random, so that it cannot be compressed to fit into a page of the index.
    let mut bytes = vec![0; 50_000];
    openkv_engine::Random::fill(&SystemRandom, &mut bytes);
    let mut long = Key::new();
    long.push_bytes(&bytes);
    let sets = [key(0), long, key(1)].map(|key| database.set(key, Value::U64(1)));
    let results = sets.map(block_on);
    assert!(results[0].is_ok() && results[2].is_ok());
    let error = results[1].clone().unwrap_err().to_string();
    assert!(error.contains("index row"), "{error}");
}

#[test]
fn calls_take_effect_in_their_order() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    for i in 0..50 {
        let before = database.get(&key(0));
        let set = database.set(key(0), Value::U64(i));
        let between = database.get(&key(0));
        let count = database.count(&numbers());
        let deleted = database.delete_range(&numbers());
        let after = database.get(&key(0));
        assert_eq!(block_on(after).unwrap(), None);
        assert_eq!((block_on(deleted).unwrap(), block_on(count).unwrap()), (1, 1));
        assert_eq!(block_on(between).unwrap().unwrap().value, Value::U64(i));
        assert_eq!(block_on(before).unwrap(), None);
        block_on(set).unwrap();
    }
}

#[test]
fn ranges_are_counted_and_deleted() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    fill(&database, 1200);
    commit(&database, AtomicWrite::new().mutate(Mutation::set(key(5000), Value::U64(1)).expire_in(Duration::ZERO)));
    assert_eq!(block_on(database.count(&numbers())).unwrap(), 1200);
    assert_eq!(block_on(database.delete_first(&numbers(), 200)).unwrap(), 200);
    assert_eq!(database.list(numbers()).blocking().next().unwrap().unwrap().key, key(200));
    assert_eq!(block_on(database.delete_range(&numbers())).unwrap(), 1000);
    assert_eq!(block_on(database.delete_range(&numbers())).unwrap(), 0);
}

#[test]
fn closed_database_commits_earlier_writes_and_rejects_later_ones() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let sets: Vec<_> = (0..50).map(|i| database.set(key(i), Value::U64(i))).collect();
    database.close();
    database.close();
    for set in sets {
        block_on(set).unwrap();
    }
    assert!(matches!(database.set_blocking(key(0), Value::U64(1)), Err(Error::Closed)));
    assert!(matches!(database.get_blocking(&key(0)), Err(Error::Closed)));
    assert!(matches!(block_on(database.id()), Err(Error::Closed)));
    assert!(block_on(database.dequeue()).unwrap().is_empty());
    assert_eq!(block_on(place.open().count(&numbers())).unwrap(), 50);
}

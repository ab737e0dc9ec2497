//! Reads.

use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Error, Key, Mutation, Read, ReadOptions, Value, Versionstamp};

use crate::support::{Place, commit, fill, key, numbers, value};

#[test]
fn ranges_are_listed_in_both_directions() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    fill(&database, 350);
    let list = |list: openkv_engine::List| -> Vec<_> { list.blocking().map(|entry| entry.unwrap().key).collect() };
    let all: Vec<_> = (0..350).map(key).collect();
    assert_eq!(list(database.list(numbers())), all);
    assert_eq!(list(database.list(numbers()).reverse()), all.iter().rev().cloned().collect::<Vec<_>>());
    let keys: Vec<_> = database.list(numbers()).keys_only().blocking().map(|entry| entry.unwrap().key).collect();
    assert_eq!(keys, all);
}

#[test]
fn reads_of_several_ranges_are_one_snapshot() {
    let Some(place) = Place::new() else { return };
    let [database, other] = [place.open(), place.open()];
    let set = |i| {
        AtomicWrite::new().mutate(Mutation::set(key(1), Value::U64(i))).mutate(Mutation::set(key(2), Value::U64(i)))
    };
    commit(&other, set(0));
    let writing = std::thread::spawn(move || {
        (1..200).for_each(|i| assert!(commit(&other, set(i)) > Versionstamp::from_version(0)))
    });
    let (one, two) = (key(1), key(2));
    let (start, end) = (key(2).into_bytes(), key(3).into_bytes());
    while !writing.is_finished() {
        let range = Read::Range { start: &start, end: &end, limit: 5, reverse: true, values: true };
        let lists =
            block_on(database.read(&[Read::Key(&one), range, Read::Key(&two)], ReadOptions::default())).unwrap();
        let lens: Vec<_> = lists.iter().map(Vec::len).collect();
        assert_eq!(lens, [1, 1, 1]);
        assert!(lists.iter().all(|list| list[0].versionstamp == lists[0][0].versionstamp), "{lists:?}");
        let many = block_on(database.get_many(&[one.clone(), key(9), two.clone(), one.clone()])).unwrap();
        assert!(many[1].is_none() && many[0] == many[3]);
        assert_eq!(many[0].as_ref().map(|entry| entry.versionstamp), many[2].as_ref().map(|entry| entry.versionstamp));
    }
    writing.join().unwrap();
}

#[test]
fn read_stops_at_its_limit_of_bytes() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let sets = (0..10).map(|i| Mutation::set(key(i), Value::Bytes(vec![0; 100])));
    commit(&database, sets.fold(AtomicWrite::new(), AtomicWrite::mutate));
    let (start, end) = (key(0).into_bytes(), key(5).into_bytes());
    let range = Read::Range { start: &start, end: &end, limit: 100, reverse: false, values: true };
    for (reads, max_bytes, expected) in [
        (vec![range], 250, vec![3]),
        (vec![range, range], 600, vec![5, 1]),
        (vec![range, range], usize::MAX, vec![5, 5]),
    ] {
        let lists = block_on(database.read(&reads, ReadOptions::default().max_bytes(max_bytes))).unwrap();
        assert_eq!(lists.iter().map(Vec::len).collect::<Vec<_>>(), expected);
    }
    let backwards = Read::Range { start: &end, end: &start, limit: 100, reverse: false, values: true };
    assert_eq!(block_on(database.read(&[backwards], ReadOptions::default())).unwrap(), [vec![]]);
    assert!(block_on(database.read(&[], ReadOptions::default())).unwrap().is_empty());
}

#[test]
fn entries_expire_by_the_clock_of_the_server() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let server: u64 = place.query("select (extract(epoch from clock_timestamp()) * 1000)::bigint").parse().unwrap();
    assert!(database.now().abs_diff(server) < 60_000);
    let write = AtomicWrite::new()
        .mutate(Mutation::set(key(0), Value::U64(1)).expire_in(Duration::from_millis(300)))
        .mutate(Mutation::set(key(1), Value::U64(1)).expire_in(Duration::from_secs(600)));
    commit(&database, write);
    let expires_at: u64 = place.query("select min(expires_at) from SCHEMA.entries").parse().unwrap();
    loop {
        // The clock of the server before and after the read.
        let now =
            || place.query("select (extract(epoch from clock_timestamp()) * 1000)::bigint").parse::<u64>().unwrap();
        let before = now();
        let found = value(&database, 0).is_some();
        assert!(if found { before < expires_at } else { now() >= expires_at });
        if !found {
            break;
        }
    }
    assert_eq!((value(&database, 1), block_on(database.count(&numbers())).unwrap()), (Some(1), 1));
    commit(&database, AtomicWrite::new().mutate(Mutation::sum(key(0), 5)));
    assert_eq!(value(&database, 0), Some(5), "an expired value is not summed");
}

#[test]
fn corrupt_value_is_an_error() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    fill(&database, 2);
    place.query(
        "update SCHEMA.entries set encoding = 9 where key = (select key from SCHEMA.entries order by key limit 1)",
    );
    assert!(matches!(database.get_blocking(&key(0)), Err(Error::CorruptValue { encoding: 9, .. })));
    let sum = |i| AtomicWrite::new().mutate(Mutation::sum(key(i), 1));
    let [broken, good] = [database.write(sum(0)), database.write(sum(1))].map(block_on);
    assert!(matches!(broken, Err(Error::CorruptValue { .. })) && good.is_ok());
}

#[test]
fn id_is_that_of_the_database() {
    let Some(place) = Place::new() else { return };
    let id = block_on(place.open().id()).unwrap();
    assert!(id.is_some() && id == block_on(place.open().id()).unwrap());
    let other = Place::new().unwrap();
    assert_ne!(id, block_on(other.open().id()).unwrap());
    assert_eq!(place.open().get_blocking(&Key::from(["none"])).unwrap(), None);
}

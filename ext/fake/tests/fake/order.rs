//! Calls take effect in the order in which they are made, even if their futures are dropped.

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Check, Commit, Error, Key, Mutation, Value};
use openkv_fake::{Options, open};

use crate::support::{key, opened};

#[test]
fn calls_take_effect_in_order() {
    let database = opened(Options::default().delay(0..=3));
    let key = key(0);
    let calls: Vec<_> = (0..100).map(|i| (database.set(key.clone(), Value::U64(i)), database.get(&key))).collect();
    for (i, (set, get)) in calls.into_iter().enumerate().rev() {
        assert_eq!(block_on(get).unwrap().unwrap().value, Value::U64(i as u64));
        block_on(set).unwrap();
    }
}

#[test]
fn dropped_future_does_not_cancel_its_call() {
    let database = opened(Options::default().delay(0..=3));
    drop(database.set(key(0), Value::U64(1)));
    assert!(database.get_blocking(&key(0)).unwrap().is_some());
}

#[test]
fn close_completes_earlier_calls() {
    let database = opened(Options::default().delay(1..=3));
    let (set, get) = (database.set(key(0), Value::U64(1)), database.get(&key(0)));
    database.close();
    database.close();
    block_on(set).unwrap();
    assert!(block_on(get).unwrap().is_some());
    assert!(matches!(database.get_blocking(&key(0)), Err(Error::Closed)));
    assert!(matches!(database.watch(&[key(0)]), Err(Error::Closed)));
    assert!(block_on(database.dequeue()).unwrap().is_empty());
}

#[test]
fn databases_with_the_same_name_share_their_entries() {
    let [one, two] = ["shared", "shared"].map(|name| block_on(open(name, Options::default())).unwrap());
    one.set_blocking(key(0), Value::U64(1)).unwrap();
    assert!(two.get_blocking(&key(0)).unwrap().is_some());
    assert!(opened(Options::default()).get_blocking(&key(0)).unwrap().is_none());
    drop((one, two));
    let again = block_on(open("shared", Options::default())).unwrap();
    assert!(again.get_blocking(&key(0)).unwrap().is_some());
}

#[test]
fn write_is_atomic() {
    let database = opened(Options::default());
    database.set_blocking(key(1), Value::Bytes(vec![])).unwrap();
    let sum = |number| Mutation::sum(key(number), 2);
    let write = AtomicWrite::new().mutate(sum(0)).mutate(sum(1));
    assert!(matches!(database.write_blocking(write), Err(Error::StoredNotU64 { operation: "sum" })));
    assert!(database.get_blocking(&key(0)).unwrap().is_none());

    let write = AtomicWrite::new().mutate(sum(0)).mutate(sum(0));
    database.write_blocking(write).unwrap().into_result().unwrap();
    let entry = database.get_blocking(&key(0)).unwrap().unwrap();
    assert_eq!(entry.value, Value::U64(4));
    let absent = || Check::absent(Key::from(["absent"]));
    let write = AtomicWrite::new().check(absent()).check(Check::absent(key(0))).mutate(Mutation::delete(key(0)));
    assert_eq!(database.write_blocking(write).unwrap(), Commit::Conflict { failed: vec![1] });
    let write = AtomicWrite::new().check(absent()).check(Check::unchanged(&entry)).mutate(Mutation::delete(key(0)));
    assert!(database.write_blocking(write).unwrap().versionstamp() > Some(entry.versionstamp));
}

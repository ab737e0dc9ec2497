//! Watches.

use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Mutation, Value, Watch};

use crate::support::{Place, commit, key};

fn next(watch: &mut Watch) -> Option<Vec<Option<Value>>> {
    let entries = block_on(watch.next()).transpose().unwrap()?;
    Some(entries.into_iter().map(|entry| entry.map(|entry| entry.value)).collect())
}

/// Waits until the first entry has a value, or none.
fn until(watch: &mut Watch, value: Option<u64>) {
    while next(watch).unwrap()[0] != value.map(Value::U64) {}
}

#[test]
fn changes_of_any_process_are_reported() {
    let Some(place) = Place::new() else { return };
    let [database, other] = [place.open(), place.open()];
    let mut watch = database.watch(&[key(0), key(1)]).unwrap();
    assert_eq!(next(&mut watch), Some(vec![None, None]));
    for i in 0..5 {
        other.set_blocking(key(1), Value::U64(i)).unwrap();
        assert_eq!(next(&mut watch), Some(vec![None, Some(Value::U64(i))]));
    }
    database.set_blocking(key(0), Value::U64(7)).unwrap();
    assert_eq!(next(&mut watch), Some(vec![Some(Value::U64(7)), Some(Value::U64(4))]));
    // Too many keys for a notification.
    let sets = (0..950).map(|i| Mutation::set(key(i), Value::U64(8)));
    commit(&other, sets.fold(AtomicWrite::new(), AtomicWrite::mutate));
    assert_eq!(next(&mut watch), Some(vec![Some(Value::U64(8)); 2]));
    block_on(other.delete_range(&crate::support::numbers())).unwrap();
    assert_eq!(next(&mut watch), Some(vec![None, None]));
    database.close();
    assert_eq!(next(&mut watch), None);
}

#[test]
fn expiry_is_reported() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(next(&mut watch), Some(vec![None]));
    for (value, millis) in [(1, 100), (2, 300)] {
        let set = Mutation::set(key(0), Value::U64(value)).expire_in(Duration::from_millis(millis));
        commit(&database, AtomicWrite::new().mutate(set));
        until(&mut watch, Some(value));
        until(&mut watch, None);
    }
}

#[test]
fn change_whose_notification_was_lost_is_reported() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(next(&mut watch), Some(vec![None]));
    database.set_blocking(key(0), Value::U64(1)).unwrap();
    until(&mut watch, Some(1));
    // Without a notification.
    place.query("begin; update SCHEMA.state set version = version + 1; update SCHEMA.entries set value = decode('0200000000000000', 'hex'), version = (select version from SCHEMA.state); commit");
    until(&mut watch, Some(2));
}

#[test]
fn watch_continues_over_a_new_connection() {
    let Some(place) = Place::new() else { return };
    let database = place.open_named();
    let other = place.open();
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(next(&mut watch), Some(vec![None]));
    for i in 1..5 {
        other.set_blocking(key(0), Value::U64(i)).unwrap();
        until(&mut watch, Some(i));
        assert_ne!(place.disconnect(), "0");
    }
    other.set_blocking(key(0), Value::U64(9)).unwrap();
    until(&mut watch, Some(9));
}

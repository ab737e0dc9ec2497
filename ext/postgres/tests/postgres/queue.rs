//! The queue.

use std::collections::HashSet;
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Database, Delivery, Enqueue, Value};

use crate::support::{Place, key};

fn enqueue(database: &Database, messages: impl IntoIterator<Item = Enqueue>) {
    let write = messages.into_iter().fold(AtomicWrite::new(), AtomicWrite::enqueue);
    database.write_blocking(write).unwrap().into_result().unwrap();
}

fn message(byte: u8) -> Enqueue {
    Enqueue::new(vec![byte])
}

fn next(database: &Database) -> Delivery {
    block_on(database.dequeue_one()).unwrap().unwrap()
}

fn finish(delivery: Delivery, success: bool) {
    delivery.start();
    let finished = if success { delivery.done() } else { delivery.retry() };
    block_on(finished).unwrap();
}

#[test]
fn messages_are_delivered_once_and_in_order() {
    let Some(place) = Place::new() else { return };
    let [database, other] = [place.open(), place.open()];
    enqueue(&other, [message(3).delay(Duration::from_millis(100)), message(1), message(2)]);
    for expected in 1..=3 {
        let delivery = next(&database);
        assert_eq!(delivery.message, [expected]);
        finish(delivery, true);
    }
    let waiting = database.dequeue();
    enqueue(&other, [message(4)]);
    for delivery in block_on(waiting).unwrap() {
        assert_eq!(delivery.message, [4]);
        finish(delivery, true);
    }
    assert_eq!(place.query("select count(*) from SCHEMA.queue"), "0");
    let waiting = database.dequeue();
    database.close();
    assert!(block_on(waiting).unwrap().is_empty());
}

#[test]
fn unhandled_message_is_redelivered_and_then_stored_under_its_keys() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let schedule = [1, 50].map(Duration::from_millis);
    enqueue(&database, [message(7).backoff(schedule).undelivered(key(0)).undelivered(key(1)).undelivered(key(0))]);
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert!(block_on(watch.next()).unwrap().unwrap()[0].is_none());
    for _ in 0..3 {
        let delivery = next(&database);
        assert_eq!(delivery.message, [7]);
        finish(delivery, false);
    }
    let entry = block_on(watch.next()).unwrap().unwrap().remove(0).unwrap();
    assert_eq!(entry.value, Value::V8(vec![7]));
    let other = database.get_blocking(&key(1)).unwrap().unwrap();
    assert_eq!((other.value, other.versionstamp), (entry.value, entry.versionstamp));
    assert_eq!(place.query("select count(*) from SCHEMA.queue"), "0");
}

#[test]
fn dropped_delivery_counts_only_after_its_start() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    enqueue(&database, [message(7).backoff([]).undelivered(key(0))]);
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert!(block_on(watch.next()).unwrap().unwrap()[0].is_none());
    drop(next(&database));
    drop(database.dequeue_one());
    let delivery = next(&database);
    delivery.start();
    drop(delivery);
    assert!(block_on(watch.next()).unwrap().unwrap()[0].is_some());
}

#[test]
fn listeners_share_messages() {
    let Some(place) = Place::new() else { return };
    let [database, other] = [place.open(), place.open()];
    enqueue(&database, (0..40).map(message));
    let mut seen = HashSet::new();
    while seen.len() < 40 {
        for database in [&database, &other] {
            if seen.len() < 40 {
                for delivery in block_on(database.dequeue_up_to(5)).unwrap() {
                    assert!(seen.insert(delivery.message.clone()), "{:?} was delivered twice", delivery.message);
                    finish(delivery, true);
                }
            }
        }
    }
    assert_eq!(place.query("select count(*) from SCHEMA.queue"), "0");
}

#[test]
fn message_of_a_dead_process_is_redelivered() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    enqueue(&database, [message(1), message(2).backoff([Duration::ZERO])]);
    // What a process leaves that died with two claims, the second of which it had started.
    place.query("update SCHEMA.queue set claimant = 'dead', lease_until = 0, started = message = '\\x02'");
    let mut seen: Vec<_> =
        (0..2).map(|_| next(&database)).map(|delivery| (delivery.message.clone(), finish(delivery, true)).0).collect();
    seen.sort();
    assert_eq!(seen, [[1], [2]]);
}

#[test]
fn leases_are_renewed_while_messages_are_handled() {
    let Some(place) = Place::new() else { return };
    let [database, other] = [place.open(), place.open()];
    enqueue(&database, [message(1)]);
    let delivery = next(&database);
    delivery.start();
    let lease = || place.query("select lease_until from SCHEMA.queue where started");
    let first = lease();
    let waiting = other.dequeue_one();
    while lease() == first {}
    finish(delivery, true);
    enqueue(&database, [message(2)]);
    assert_eq!(block_on(waiting).unwrap().unwrap().message, [2]);
}

#[test]
fn closed_database_can_finish_messages_in_flight() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    enqueue(&database, [message(7)]);
    let delivery = next(&database);
    database.close();
    finish(delivery, true);
    assert_eq!(place.query("select count(*) from SCHEMA.queue"), "0");
}

#[test]
fn queue_continues_over_a_new_connection() {
    let Some(place) = Place::new() else { return };
    let database = place.open_named();
    let mut waiting = database.dequeue_one();
    for i in 0..5 {
        enqueue(&database, [message(i)]);
        let delivery = block_on(waiting).unwrap().unwrap();
        delivery.start();
        waiting = database.dequeue_one();
        place.disconnect();
        assert_eq!(delivery.message, [i]);
        block_on(delivery.done()).unwrap();
    }
    assert_eq!(place.query("select count(*) from SCHEMA.queue"), "0");
}

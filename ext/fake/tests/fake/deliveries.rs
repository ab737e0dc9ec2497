//! The queue.

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Database, Delivery, Enqueue, Error, Time, Value};
use openkv_fake::{Fault, Options};

use crate::support::{key, opened};

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
    let database = opened(Options::default().delay(0..=2));
    let later = Enqueue { deliver_at: Time::At(database.now() + 100), ..message(3) };
    enqueue(&database, [later, message(1), message(2)]);
    for expected in 1..=3 {
        let delivery = next(&database);
        assert_eq!(delivery.message, [expected]);
        finish(delivery, true);
    }
    let waiting = database.dequeue();
    database.close();
    assert!(block_on(waiting).unwrap().is_empty());
}

#[test]
fn unhandled_message_is_redelivered_and_then_stored_under_its_keys() {
    let database = opened(Options::default().delay(0..=2));
    let schedule = Some(vec![1, 50]);
    enqueue(&database, [Enqueue { backoff_schedule: schedule, keys_if_undelivered: vec![key(0)], ..message(7) }]);
    let mut watch = database.watch(&[key(0)]).unwrap();
    for _ in 0..3 {
        let delivery = next(&database);
        assert_eq!(delivery.message, [7]);
        finish(delivery, false);
    }
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(database.get_blocking(&key(0)).unwrap().unwrap().value, Value::V8(vec![7]));
}

#[test]
fn dropped_delivery_counts_only_after_its_start() {
    let database = opened(Options::default());
    enqueue(&database, [Enqueue { backoff_schedule: Some(vec![]), keys_if_undelivered: vec![key(0)], ..message(7) }]);
    let mut watch = database.watch(&[key(0)]).unwrap();
    drop(next(&database));
    drop(database.dequeue_one());
    let delivery = next(&database);
    delivery.start();
    drop(delivery);
    assert!(block_on(watch.changed()).unwrap());
}

#[test]
fn message_of_a_lost_claim_is_redelivered() {
    // The first request is the write.
    let database = opened(Options::default().fault(1, Fault::Lose));
    enqueue(&database, [Enqueue { backoff_schedule: Some(vec![]), ..message(7) }]);
    assert!(matches!(block_on(database.dequeue_one()), Err(Error::OutcomeUnknown(_))));
    assert_eq!(next(&database).message, [7]);
}

#[test]
fn message_is_redelivered_if_finishing_it_fails() {
    let database = opened(Options::default().fault(2, Fault::Fail).fault(4, Fault::Lose));
    enqueue(&database, [message(7)]);
    let delivery = next(&database);
    delivery.start();
    assert!(matches!(block_on(delivery.done()), Err(Error::Storage(_))));
    // The first attempt was started, so this is the next one of the schedule.
    let again = next(&database);
    assert_eq!(again.message, [7]);
    assert!(matches!(block_on(again.done()), Err(Error::OutcomeUnknown(_))));
    enqueue(&database, [message(8)]);
    assert_eq!(next(&database).message, [8]);
}

#[test]
fn closed_database_can_finish_messages_in_flight() {
    let database = opened(Options::default().delay(0..=2));
    enqueue(&database, [message(7)]);
    let delivery = next(&database);
    database.close();
    finish(delivery, true);
}

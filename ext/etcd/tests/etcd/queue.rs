use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Database, Delivery, Enqueue, Time, Value};

use crate::support::{commit, database, key, opened, url};

fn enqueue(database: &Database, messages: impl IntoIterator<Item = Enqueue>) {
    commit(database, messages.into_iter().fold(AtomicWrite::new(), AtomicWrite::enqueue)).into_result().unwrap();
}

fn message(byte: u8) -> Enqueue {
    Enqueue::new(vec![byte])
}

fn next(database: &Database) -> Delivery {
    block_on(database.dequeue_one()).unwrap().unwrap()
}

fn finish(delivery: Delivery, success: bool) {
    delivery.start();
    block_on(if success { delivery.done() } else { delivery.retry() }).unwrap();
}

#[test]
fn messages_are_delivered_once_and_in_order() {
    let database = database!();
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
    let database = database!();
    let schedule = Some(vec![1, 50]);
    enqueue(&database, [Enqueue { backoff_schedule: schedule, keys_if_undelivered: vec![key(0)], ..message(7) }]);
    for _ in 0..3 {
        let delivery = next(&database);
        assert_eq!(delivery.message, [7]);
        finish(delivery, false);
    }
    assert_eq!(block_on(database.get(&key(0))).unwrap().unwrap().value, Value::V8(vec![7]));
}

#[test]
fn dropped_delivery_counts_only_after_its_start() {
    let database = database!();
    enqueue(&database, [Enqueue { backoff_schedule: Some(vec![]), keys_if_undelivered: vec![key(0)], ..message(7) }]);
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(block_on(watch.next()).unwrap().unwrap(), [None]);
    drop(next(&database));
    let delivery = next(&database);
    delivery.start();
    drop(delivery);
    assert!(block_on(watch.next()).unwrap().unwrap()[0].is_some());
}

#[test]
fn messages_behind_many_in_flight_are_delivered() {
    let database = database!();
    let count = 600;
    (0..count / 100).for_each(|_| enqueue(&database, (0..100).map(message)));
    let in_flight: Vec<_> = (0..count).map(|_| next(&database)).collect();
    in_flight.iter().for_each(Delivery::start);
    assert_eq!(in_flight.len(), count);
}

#[test]
fn closed_database_can_finish_messages_in_flight() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    enqueue(&database, [message(7)]);
    let delivery = next(&database);
    database.close();
    finish(delivery, true);
    let other = opened(&url);
    enqueue(&other, [message(8)]);
    assert_eq!(next(&other).message, [8]);
}

#[test]
fn each_message_is_delivered_to_one_of_several_listeners() {
    let Some(url) = url() else { return };
    let listeners = [opened(&url), opened(&url)];
    let handle = |database: &Database| {
        let mut handled = Vec::new();
        while let Ok(deliveries) = block_on(database.dequeue())
            && !deliveries.is_empty()
        {
            for delivery in deliveries {
                handled.push(delivery.message[0]);
                finish(delivery, true);
            }
        }
        handled
    };
    let mut handled = std::thread::scope(|scope| {
        let threads = listeners.each_ref().map(|database| scope.spawn(|| handle(database)));
        let sender = opened(&url);
        enqueue(&sender, (0..100).map(message));
        while !is_empty(&url) {}
        listeners.iter().for_each(Database::close);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    handled.sort_unstable();
    assert_eq!(handled, (0..100).collect::<Vec<_>>());
}

/// Returns whether no message is left.
fn is_empty(url: &str) -> bool {
    let name = url.rsplit('/').next().unwrap();
    openkv_etcd::cluster::shared()
        .unwrap()
        .ctl(&["get", "--prefix", "--keys-only", &format!("{name}/q/")])
        .trim()
        .is_empty()
}

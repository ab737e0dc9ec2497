use super::*;

/// Makes the writer's thread read the clock.
pub(super) fn wake(database: &Database) {
    database.write_blocking(AtomicWrite::new()).unwrap().into_result().unwrap();
}

pub(super) fn message(text: &str) -> Enqueue {
    Enqueue { message: text.into(), deliver_at: Time::At(0), backoff_schedule: None, keys_if_undelivered: vec![] }
}

pub(super) fn contents(deliveries: &[crate::Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| str::from_utf8(&delivery.message).unwrap()).collect()
}

/// Claims the messages that are due, and finishes them.
pub(super) fn receive(database: &Database, success: bool) -> Vec<String> {
    let deliveries = block_on(database.dequeue()).unwrap();
    let contents = contents(&deliveries).into_iter().map(Into::into).collect();
    deliveries.into_iter().for_each(|delivery| {
        block_on(if success { delivery.done() } else { delivery.retry() }).unwrap();
    });
    contents
}

pub(super) fn tables(directory: &tempfile::TempDir) -> (i64, i64) {
    let file = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    let count = |table| file.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap();
    (count("queue"), count("queue_running"))
}

#[test]
fn messages_are_delivered_once_in_the_order_of_their_times() {
    let directory = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    let database = crate::sqlite::open(file(&directory), options).unwrap();
    let late = Enqueue { deliver_at: Time::At(7), ..message("late") };
    database.write_blocking(AtomicWrite::new().enqueue(late).enqueue(message("soon"))).unwrap().into_result().unwrap();
    assert_eq!(receive(&database, true), ["soon"]);

    let waiting = database.dequeue();
    clock.0.store(7, Ordering::Relaxed);
    wake(&database);
    let deliveries = block_on(waiting).unwrap();
    assert_eq!(contents(&deliveries), ["late"]);
    assert_eq!(tables(&directory), (0, 1));
    for delivery in deliveries {
        block_on(delivery.done()).unwrap();
    }
    assert_eq!(tables(&directory), (0, 0));
}

#[test]
fn failed_message_is_redelivered_and_then_stored_under_its_keys() {
    let (options, clock) = options();
    let database = crate::sqlite::open(Location::Memory, options).unwrap();
    let mut watch = database.watch(&[key("dead")]).unwrap();
    let message =
        Enqueue { backoff_schedule: Some(vec![10, 20]), keys_if_undelivered: vec![key("dead")], ..message("m") };
    database.write_blocking(AtomicWrite::new().enqueue(message)).unwrap().into_result().unwrap();
    for time in [0, 10, 30] {
        assert_eq!(get(&database, "dead"), None);
        clock.0.store(time, Ordering::Relaxed);
        wake(&database);
        assert_eq!(receive(&database, false), ["m"], "at {time} ms");
    }
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(get(&database, "dead"), Some(Value::V8(b"m".to_vec())));
}

#[test]
fn delivery_dropped_before_its_start_requeues_the_message_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::sqlite::open(file(&directory), options().0).unwrap();
    let once = |text| Enqueue { backoff_schedule: Some(vec![]), ..message(text) };
    database.write_blocking(AtomicWrite::new().enqueue(once("a")).enqueue(once("b"))).unwrap().into_result().unwrap();
    let rows = || rows(&directory, "queue", "ts || id || backoff_schedule || keys_if_undelivered");
    let before = rows();
    for _ in 0..3 {
        drop(block_on(database.dequeue()).unwrap());
        wake(&database);
        assert_eq!(rows(), before);
    }
    assert_eq!(receive(&database, true), ["a", "b"]);
}

#[test]
fn delivery_dropped_after_its_start_has_failed() {
    let database = memory();
    let once = Enqueue { backoff_schedule: Some(vec![]), keys_if_undelivered: vec![key("dead")], ..message("m") };
    database.write_blocking(AtomicWrite::new().enqueue(once)).unwrap().into_result().unwrap();
    let mut watch = database.watch(&[key("dead")]).unwrap();
    let deliveries = block_on(database.dequeue()).unwrap();
    deliveries[0].start();
    drop(deliveries);
    assert!(block_on(watch.changed()).unwrap());
    assert_eq!(get(&database, "dead"), Some(Value::V8(b"m".to_vec())));
}

#[test]
fn attempt_counts_once_the_handler_was_called() {
    let directory = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    let database = crate::sqlite::open(file(&directory), options).unwrap();
    let enqueue = Enqueue { backoff_schedule: Some(vec![7]), ..message("m") };
    database.write_blocking(AtomicWrite::new().enqueue(enqueue)).unwrap().into_result().unwrap();
    let schedules = || rows(&directory, "queue_running", "backoff_schedule");

    let delivery = block_on(database.dequeue()).unwrap().pop().unwrap();
    wake(&database);
    assert_eq!(schedules(), ["[0,7]"], "requeuing it does not use up an attempt");
    delivery.start();
    wake(&database);
    clock.0.store(5, Ordering::Relaxed);
    wake(&database);
    wake(&database);
    assert_eq!(schedules(), ["[7]"]);
    block_on(delivery.retry()).unwrap();
    assert_eq!(rows(&directory, "queue", "ts || backoff_schedule"), ["12[]"]);
}

#[test]
fn message_of_another_process_is_redelivered_unless_its_lease_is_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    clock.0.store(100_000, Ordering::Relaxed);
    let database = crate::sqlite::open(file(&directory), options).unwrap();
    let other = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    let claim = |deadline: i64, id: &str| {
        let columns = "(deadline, id, data, backoff_schedule, keys_if_undelivered)";
        let sql = format!("insert into queue_running {columns} values (?1, ?2, ?2, '[0]', '[]')");
        other.execute(&sql, (deadline, id)).unwrap()
    };
    claim(0, "passed");
    claim(100_500, "renewed");
    // Set before the clock stepped back by an hour.
    claim(3_700_000, "ahead");

    let mut waiting = database.dequeue();
    // The first time that they are observed.
    wake(&database);
    let mut delivered = Vec::new();
    for tick in 1..=8 {
        let now = 100_000 + tick * 1000;
        other.execute("update queue_running set deadline = ?1 where id = 'renewed'", [now as i64 - 500]).unwrap();
        clock.0.store(now, Ordering::Relaxed);
        // The second call delivers the messages that the first has requeued.
        wake(&database);
        wake(&database);
        if let Some(deliveries) = now_or_never(&mut waiting) {
            for delivery in deliveries.unwrap() {
                delivered.push((tick, String::from_utf8(delivery.message.clone()).unwrap()));
                block_on(delivery.done()).unwrap();
            }
            waiting = database.dequeue();
        }
    }
    assert_eq!(delivered, [(2, "passed".into()), (6, "ahead".into())]);
}

#[test]
fn corrupt_message_is_delivered_and_does_not_block_others() {
    let directory = tempfile::tempdir().unwrap();
    let (options, clock) = options();
    let database = crate::sqlite::open(file(&directory), options).unwrap();
    let other = Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    let columns = "(ts, id, data, backoff_schedule, keys_if_undelivered)";
    let corrupt =
        "('x', 'time', 'time', '[]', '[]'), (0, x'00', 'id', '[]', '[]'), (0, cast(x'ff' as text), 'text', '[]', '[]'),
        (0, 'same', 'one', '[]', '[]'), (-1, 'same', 'two', '[]', '[]'), (0.5, 'real', 'real', x'00', x'00')";
    other.execute_batch(&format!("insert into queue {columns} values {corrupt}")).unwrap();
    let running =
        "insert into queue_running values (0, x'00', 'running', '[0]', '[]'), ('x', 'y', 'deadline', '[0]', '[]')";
    other.execute_batch(running).unwrap();
    database.write_blocking(AtomicWrite::new().enqueue(message("valid"))).unwrap().into_result().unwrap();

    let mut delivered = receive(&database, true);
    let mut waiting = database.dequeue();
    for tick in 1..=4 {
        clock.0.store(tick * 1000, Ordering::Relaxed);
        wake(&database);
        wake(&database);
        if let Some(deliveries) = now_or_never(&mut waiting) {
            for delivery in deliveries.unwrap() {
                delivered.push(String::from_utf8(delivery.message.clone()).unwrap());
                block_on(delivery.done()).unwrap();
            }
            waiting = database.dequeue();
        }
    }
    delivered.sort();
    assert_eq!(delivered, ["deadline", "id", "one", "real", "running", "text", "time", "two", "valid"]);
}

#[test]
fn messages_are_distributed_among_listeners() {
    let database = memory();
    let first = database.dequeue();
    let second = database.dequeue();
    wake(&database);
    let write = (0..10).fold(AtomicWrite::new(), |write, i| write.enqueue(message(&i.to_string())));
    database.write_blocking(write).unwrap().into_result().unwrap();
    assert_eq!([first, second].map(|messages| block_on(messages).unwrap().len()), [5, 5]);
}

#[test]
fn many_messages_in_flight_throttle_delivery() {
    let (options, clock) = options();
    let database = crate::sqlite::open(Location::Memory, options).unwrap();
    for _ in 0..2 {
        let write = (0..1000).fold(AtomicWrite::new(), |write, i| write.enqueue(message(&i.to_string())));
        database.write_blocking(write).unwrap().into_result().unwrap();
    }
    let mut held = Vec::new();
    while held.len() < 1000 {
        held.extend(block_on(database.dequeue()).unwrap());
    }
    for tick in 1..=10 {
        let mut waiting = database.dequeue();
        wake(&database);
        assert!(now_or_never(&mut waiting).is_none());
        clock.0.store(tick * 5, Ordering::Relaxed);
        wake(&database);
        held.extend(block_on(waiting).unwrap());
    }

    let waiting = database.dequeue();
    held.drain(900..).for_each(|delivery| block_on(delivery.done()).unwrap());
    assert!(!block_on(waiting).unwrap().is_empty());
}

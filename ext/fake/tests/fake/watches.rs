//! Watches, with either kind of events.

use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Error, Mutation, Value, Watch, WatchEvent};
use openkv_fake::{Events, Fault, Options};

use crate::support::{key, opened};

const BOTH: [Events; 2] = [Events::Changed, Events::Entries];

fn next(watch: &mut Watch) -> WatchEvent {
    block_on(watch.event()).unwrap().unwrap()
}

#[test]
fn watch_reports_changes_with_either_kind_of_events() {
    for events in BOTH {
        let database = opened(Options::default().delay(0..=2).events(events));
        let mut watch = database.watch(&[key(0), key(1)]).unwrap();
        match next(&mut watch) {
            WatchEvent::Changed => assert_eq!(events, Events::Changed),
            WatchEvent::Entries(entries) => assert_eq!(entries, [None, None]),
        }
        for value in 1..5 {
            database.set_blocking(key(2), Value::U64(value)).unwrap();
            database.set_blocking(key(1), Value::U64(value)).unwrap();
            match next(&mut watch) {
                WatchEvent::Changed => assert_eq!(events, Events::Changed),
                WatchEvent::Entries(entries) => {
                    assert_eq!(entries, [None, database.get_blocking(&key(1)).unwrap()]);
                }
            }
        }
    }
}

#[test]
fn slow_reader_receives_the_latest_entries() {
    let database = opened(Options::default().events(Events::Entries));
    let mut watch = database.watch(&[key(0)]).unwrap();
    for value in 0..20 {
        database.set_blocking(key(0), Value::U64(value)).unwrap();
    }
    let last = database.get_blocking(&key(0)).unwrap();
    let mut events = 1;
    while next(&mut watch) != WatchEvent::Entries(vec![last.clone()]) {
        events += 1;
    }
    assert!(events <= 2, "{events}");
}

#[test]
fn watch_reports_expiry() {
    for events in BOTH {
        let database = opened(Options::default().events(events));
        let mut watch = database.watch(&[key(0)]).unwrap();
        // The initial state.
        next(&mut watch);
        let set = Mutation::set(key(0), Value::U64(1)).expire_in(Duration::from_millis(200));
        database.write_blocking(AtomicWrite::new().mutate(set)).unwrap().into_result().unwrap();
        next(&mut watch);
        next(&mut watch);
        assert_eq!(database.get_blocking(&key(0)).unwrap(), None);
    }
}

#[test]
fn watch_ends_when_the_database_is_closed() {
    let database = opened(Options::default().delay(0..=2));
    let mut watch = database.watch(&[key(0)]).unwrap();
    database.close();
    assert!(block_on(watch.event()).is_none() && !block_on(watch.changed()).unwrap());
}

#[test]
fn watch_ends_after_an_error_and_can_be_restarted() {
    let database = opened(Options::default().fault(0, Fault::Fail));
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert!(matches!(block_on(watch.changed()), Err(Error::Storage(_))));
    assert!(block_on(watch.event()).is_none());
    let mut watch = database.watch(&[key(0)]).unwrap();
    database.set_blocking(key(0), Value::U64(1)).unwrap();
    assert!(block_on(watch.changed()).unwrap());
}

#[test]
fn entries_never_go_back_in_time() {
    for seed in 0..20 {
        let options = format!("delay=0..3,seed={seed},watch=entries").parse().unwrap();
        let database = opened(options);
        database.set_blocking(key(0), Value::U64(0)).unwrap();
        let mut watch = database.watch(&[key(0)]).unwrap();
        for value in 1..=20 {
            drop(database.set(key(0), Value::U64(value)));
        }
        let mut last = None;
        loop {
            let entry = block_on(watch.next()).unwrap().unwrap().remove(0).unwrap();
            assert!(Some(entry.versionstamp) > last, "{entry:?} after {last:?}");
            last = Some(entry.versionstamp);
            if entry.value == Value::U64(20) {
                break;
            }
        }
    }
}

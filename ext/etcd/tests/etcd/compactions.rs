//! Compactions between the parts of a read, and before a watch begins or reads what has changed.

use futures_executor::block_on;
use openkv_engine::{Value, Watch};
use openkv_etcd::cluster::{self, Cluster};

use crate::relay::{Replacing, Reply};
use crate::support::{fill, get, key, numbers, opened};

/// Changes an entry, and compacts all earlier revisions.
fn compact(cluster: &Cluster, name: &str, number: u64) {
    block_on(opened(&cluster.url(name)).set(key(0), Value::U64(number))).unwrap();
    cluster.compact();
}

#[test]
fn long_read_begins_anew_after_a_compaction() {
    let Some(cluster) = cluster::shared() else { return };
    let replacing = Replacing::start(cluster);
    let database = opened(&replacing.relays.url("long-read"));
    fill(&database, 1200);
    let mut compactions = 0;
    let calls = replacing.calls();
    replacing.replace(move |name, message| {
        // Between the first page and the second.
        if name == "Range" && message.len() > 10_000 && compactions < 3 {
            compactions += 1;
            compact(cluster, "long-read", 1000 + compactions);
        }
        Reply::Message(message)
    });
    let before = calls.of("Range");
    let (start, end) = numbers().range(None, false).unwrap();
    let range = openkv_engine::Read::Range { start: &start, end: &end, limit: 1000, reverse: false, values: true };
    let found = block_on(database.read(&[range], openkv_engine::ReadOptions::default())).unwrap();
    let values: Vec<_> = found[0].iter().map(|entry| entry.value.clone().unwrap()).collect();
    let expected: Vec<_> = [1003].into_iter().chain(1..1000).map(Value::U64).collect();
    assert_eq!(values, expected);
    // Three times a page, and one that was compacted; then two pages.
    assert!(calls.of("Range") - before >= 8, "{}", calls.of("Range") - before);
}

fn next(watch: &mut Watch) -> Option<u64> {
    match block_on(watch.next()).unwrap().unwrap().remove(0)?.value {
        Value::U64(number) => Some(number),
        value => panic!("{value:?}"),
    }
}

#[test]
fn watch_whose_start_was_compacted_reports_the_change() {
    let Some(cluster) = cluster::shared() else { return };
    let replacing = Replacing::start(cluster);
    let database = opened(&replacing.relays.url("watch-start"));
    assert_eq!(get(&database, &key(0)), None);
    let mut is_first = true;
    replacing.replace(move |name, message| {
        // Between the first read of the watch and its begin.
        if name == "Txn" && std::mem::take(&mut is_first) {
            compact(cluster, "watch-start", 1);
            compact(cluster, "watch-start", 2);
        }
        Reply::Message(message)
    });
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!([next(&mut watch), next(&mut watch)], [None, Some(2)]);
    block_on(database.set(key(0), Value::U64(3))).unwrap();
    assert_eq!(next(&mut watch), Some(3));
}

#[test]
fn watch_reports_a_later_state_if_that_of_the_event_was_compacted() {
    let Some(cluster) = cluster::shared() else { return };
    let replacing = Replacing::start(cluster);
    let database = opened(&replacing.relays.url("watch-event"));
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(next(&mut watch), None);
    let mut has_changed = false;
    let (changed, change) = std::sync::mpsc::channel();
    replacing.replace(move |name, message| {
        // Events have values. Between the first event and the read of its revision.
        let has_event = name == "Watch" && message.windows(11).any(|bytes| bytes == b"watch-event");
        if has_event && !std::mem::replace(&mut has_changed, true) {
            compact(cluster, "watch-event", 2);
            changed.send(()).unwrap();
        }
        Reply::Message(message)
    });
    block_on(opened(&cluster.url("watch-event")).set(key(0), Value::U64(1))).unwrap();
    change.recv().unwrap();
    assert_eq!(next(&mut watch), Some(2));
}

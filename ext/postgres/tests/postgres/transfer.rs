//! Copies from and to other databases.

#[path = "../../../engine/tests/copy/contents.rs"]
mod contents;

use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::copy::{CopyError, Options, copy};
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{AtomicWrite, Database, Enqueue, Error, Page, Versionstamp};

use self::contents::{contents, fill, last_version};
use crate::support::{Place, commit, key};

const OPTIONS: Options<'_> = Options { source: "source", overwrite: false };

fn memory() -> Database {
    sqlite::open(Location::Memory, sqlite::Options::default()).unwrap()
}

#[test]
fn copies_equal_their_source_and_versions_grow() {
    let Some(place) = Place::new() else { return };
    let (from, database, back) = (memory(), place.open(), memory());
    fill(&from, 3000);
    block_on(from.transfer().unwrap().raise_version(Versionstamp::from_version(1 << 40))).unwrap();
    for (from, to) in [(&from, &database), (&database, &back)] {
        let copied = block_on(copy(from, to, OPTIONS, &mut |_| {})).unwrap();
        assert_eq!((copied.entries, copied.messages), (3021, 300));
        let last = last_version(from);
        let entries = block_on(to.transfer().unwrap().entries(&[], Page { items: 10, bytes: usize::MAX })).unwrap();
        assert!(entries.len() == 10 && entries.iter().all(|stored| stored.entry.versionstamp.to_version() > last));
        assert!(last_version(to) > last);
    }
    assert!(contents(&database) == contents(&from));
    assert!(contents(&back) == contents(&from));
}

#[test]
fn pages_end_at_their_limits() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    fill(&database, 100);
    let transfer = database.transfer().unwrap();
    let len = |items, bytes| block_on(transfer.entries(&[], Page { items, bytes })).unwrap().len();
    assert_eq!((len(7, usize::MAX), len(1000, usize::MAX)), (7, 121));
    let page = Page { items: 1000, bytes: 100 };
    let values: Vec<_> = block_on(transfer.entries(&[], page)).unwrap();
    let sizes: Vec<_> = values.iter().map(|stored| stored.entry.value.len()).collect();
    let (last, others) = sizes.split_last().unwrap();
    let others: usize = others.iter().sum();
    assert!(others < 100 && others + last >= 100, "{sizes:?}");
    assert_eq!(block_on(transfer.messages(&[], Page { items: 4, bytes: 1000 })).unwrap().len(), 4);
    assert_eq!(block_on(transfer.messages(&[], Page { items: 4, bytes: 1 })).unwrap().len(), 1);
}

#[test]
fn messages_in_flight_are_read_as_failed_once_started() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let schedule = [5, 7].map(Duration::from_millis);
    commit(&database, AtomicWrite::new().enqueue(Enqueue::new(vec![7]).backoff(schedule).undelivered(key(0))));
    let page = Page { items: 10, bytes: 1000 };
    let messages = || block_on(database.transfer().unwrap().messages(&[], page)).unwrap();
    let delivery = block_on(database.dequeue_one()).unwrap().unwrap();
    let claimed = messages();
    assert_eq!(claimed[0].enqueue.backoff_schedule, Some(vec![5, 7]));
    delivery.start();
    while place.query("select count(*) from SCHEMA.queue where started") == "0" {}
    let started = messages().remove(0).enqueue;
    assert_eq!((started.backoff_schedule, started.keys_if_undelivered), (Some(vec![7]), vec![key(0)]));
    block_on(delivery.done()).unwrap();
    assert!(messages().is_empty());
}

#[test]
fn commit_to_the_source_fails_the_copy() {
    let Some(place) = Place::new() else { return };
    let (from, to) = (place.open(), memory());
    fill(&from, 10);
    let mut write = |_| drop(from.set(key(0), openkv_engine::Value::U64(1)));
    assert!(matches!(block_on(copy(&from, &to, OPTIONS, &mut write)), Err(CopyError::SourceChanged)));
}

#[test]
fn versions_past_the_greatest_are_rejected() {
    let Some(place) = Place::new() else { return };
    let greatest = Versionstamp::from_version(u64::MAX);
    let raised = block_on(place.open().transfer().unwrap().raise_version(greatest));
    assert!(matches!(raised, Err(Error::NoVersionLeft)));
}

//! Copies from and to other databases.

#[path = "../../../engine/tests/copy/contents.rs"]
mod contents;

use futures_executor::block_on;
use openkv_engine::copy::{Options, copy};
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{AtomicWrite, Database, Enqueue, Error, Page, Value, Versionstamp};

use self::contents::{contents, fill, last_version};
use crate::support::{commit, database, key};

const OPTIONS: Options<'_> = Options { source: "source", overwrite: false };

fn memory() -> Database {
    sqlite::open(Location::Memory, sqlite::Options::default()).unwrap()
}

fn raise(database: &Database, version: u64) -> openkv_engine::Result<()> {
    block_on(database.transfer().unwrap().raise_version(Versionstamp::from_version(version)))
}

#[test]
fn copies_equal_their_source_and_versions_grow() {
    let (from, database, back) = (memory(), database!(), memory());
    fill(&from, 1200);
    raise(&from, 1 << 40).unwrap();
    for (from, to) in [(&from, &database), (&database, &back)] {
        let last = last_version(from);
        let copied = block_on(copy(from, to, OPTIONS, &mut |_| {})).unwrap();
        assert_eq!((copied.entries, copied.messages), (1221, 120));
        let entries = block_on(to.transfer().unwrap().entries(&[], Page { items: 10, bytes: usize::MAX })).unwrap();
        assert!(entries.len() == 10 && entries.iter().all(|stored| stored.entry.versionstamp.to_version() > last));
        assert!(last_version(to) > last);
    }
    assert!(contents(&database) == contents(&from));
    assert!(contents(&back) == contents(&from));
}

#[test]
fn versions_that_grow_during_a_copy_are_exceeded() {
    let (from, to) = (database!(), database!());
    fill(&from, 10);
    let mut is_raised = false;
    let mut progress = |_| {
        // On another thread, as the one of an executor must not wait.
        if !std::mem::replace(&mut is_raised, true) {
            std::thread::scope(|scope| scope.spawn(|| raise(&from, 1 << 41).unwrap()).join()).unwrap();
        }
    };
    block_on(copy(&from, &to, OPTIONS, &mut progress)).unwrap();
    assert!(contents(&to) == contents(&from));
    block_on(to.set(key(0), Value::U64(1))).unwrap();
    assert!(block_on(to.get(&key(0))).unwrap().unwrap().versionstamp.to_version() > 1 << 41);
}

#[test]
fn pages_end_at_their_limits() {
    let database = database!();
    fill(&database, 100);
    let transfer = database.transfer().unwrap();
    let len = |items, bytes| block_on(transfer.entries(&[], Page { items, bytes })).unwrap().len();
    assert_eq!((len(7, usize::MAX), len(400, usize::MAX)), (7, 121));
    let sizes: Vec<_> = block_on(transfer.entries(&[], Page { items: 400, bytes: 100 }))
        .unwrap()
        .iter()
        .map(|stored| stored.entry.value.len())
        .collect();
    let (last, others) = sizes.split_last().unwrap();
    let others: usize = others.iter().sum();
    assert!(others < 100 && others + last >= 100, "{sizes:?}");
    assert_eq!(block_on(transfer.messages(&[], Page { items: 4, bytes: 1000 })).unwrap().len(), 4);
    assert_eq!(block_on(transfer.messages(&[], Page { items: 4, bytes: 1 })).unwrap().len(), 1);
}

#[test]
fn messages_in_flight_are_read_as_failed_once_started() {
    let database = database!();
    let enqueue =
        Enqueue { backoff_schedule: Some(vec![5, 7]), keys_if_undelivered: vec![key(0)], ..Enqueue::new(vec![7]) };
    commit(&database, AtomicWrite::new().enqueue(enqueue)).into_result().unwrap();
    let page = Page { items: 10, bytes: 1000 };
    let messages = || block_on(database.transfer().unwrap().messages(&[], page)).unwrap();
    let delivery = block_on(database.dequeue_one()).unwrap().unwrap();
    assert_eq!(messages()[0].enqueue.backoff_schedule, Some(vec![5, 7]));
    delivery.start();
    while messages()[0].enqueue.backoff_schedule != Some(vec![7]) {}
    assert_eq!(messages()[0].enqueue.keys_if_undelivered, [key(0)]);
    block_on(delivery.done()).unwrap();
    assert!(messages().is_empty());
}

#[test]
fn versions_past_the_greatest_are_rejected() {
    assert!(matches!(raise(&database!(), u64::MAX), Err(Error::NoVersionLeft)));
}

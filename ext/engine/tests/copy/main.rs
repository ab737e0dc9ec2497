//! Copies of databases.

mod contents;

use std::path::Path;

use futures_executor::block_on;
use openkv_engine::contents::contents as count;
use openkv_engine::copy::{CopyError, Options, copy};
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{AtomicWrite, Database, Enqueue, Error, Key, Page, Time, Value};

use self::contents::{FAR, contents, fill, last_version};

const OPTIONS: Options<'_> = Options { source: "source", overwrite: false };

fn open(path: &Path) -> Database {
    sqlite::open(Location::file(path), sqlite::Options::default()).unwrap()
}

#[test]
fn copy_equals_its_source_and_versions_grow() {
    let directory = tempfile::tempdir().unwrap();
    let from = open(&directory.path().join("from"));
    fill(&from, 3000);
    for to in [open(&directory.path().join("to")), sqlite::open(Location::Memory, sqlite::Options::default()).unwrap()]
    {
        let mut last = 0;
        let copied = block_on(copy(&from, &to, OPTIONS, &mut |progress| last = progress.done)).unwrap();
        assert_eq!((copied.entries, copied.messages, last), (3021, 300, 300));
        assert!(contents(&to) == contents(&from));
        let stamps = block_on(to.transfer().unwrap().entries(&[], Page { items: 10_000, bytes: usize::MAX })).unwrap();
        assert!(stamps.iter().all(|stored| stored.entry.versionstamp.to_version() > last_version(&from)));
        assert!(last_version(&to) > last_version(&from));
    }
}

#[test]
fn interrupted_copy_is_continued() {
    let directory = tempfile::tempdir().unwrap();
    let from = open(&directory.path().join("from"));
    fill(&from, 6000);
    let path = directory.path().join("to");
    for interrupt_at in [0, 1500, 3000, 4500, 6100, 6500] {
        let to = open(&path);
        // The copy ends where it next waits.
        let mut reports = 0;
        let interrupted = std::cell::Cell::new(false);
        let mut on_progress = |progress: openkv_engine::maintenance::Progress| {
            reports += 1;
            let done = if progress.total == 0 { 6021 + progress.done } else { progress.done };
            interrupted.set(done >= interrupt_at);
        };
        let mut copying = Box::pin(copy(&from, &to, OPTIONS, &mut on_progress));
        block_on(std::future::poll_fn(|context| {
            let polled = copying.as_mut().poll(context).map(drop);
            if interrupted.get() { std::task::Poll::Ready(()) } else { polled }
        }));
        drop(copying);
        assert!(reports > 0);
        to.close();
    }
    let to = open(&path);
    assert!(matches!(block_on(copy(&to, &from, OPTIONS, &mut |_| {})), Err(CopyError::IncompleteSource)));
    let other = Options { source: "other", ..OPTIONS };
    let refused = block_on(copy(&from, &to, other, &mut |_| {}));
    assert!(matches!(refused, Err(CopyError::OtherCopy { name }) if name == "source"));
    let copied = block_on(copy(&from, &to, OPTIONS, &mut |_| {})).unwrap();
    assert_eq!((copied.entries, copied.messages), (6021, 600));
    assert!(contents(&to) == contents(&from));
}

#[test]
fn target_that_is_not_empty_is_refused_without_overwrite() {
    let memory = || sqlite::open(Location::Memory, sqlite::Options::default()).unwrap();
    let (from, to) = (memory(), memory());
    fill(&from, 10);
    let message = AtomicWrite::new().enqueue(Enqueue { deliver_at: Time::At(FAR), ..Enqueue::new(vec![255, 15, 48]) });
    to.write_blocking(message).unwrap().into_result().unwrap();
    assert!(matches!(block_on(copy(&from, &to, OPTIONS, &mut |_| {})), Err(CopyError::NotEmpty)));
    to.set_blocking(Key::from(["kept"]), Value::U64(1)).unwrap();
    assert!(matches!(block_on(copy(&from, &to, OPTIONS, &mut |_| {})), Err(CopyError::NotEmpty)));
    let overwrite = Options { overwrite: true, ..OPTIONS };
    block_on(copy(&from, &to, overwrite, &mut |_| {})).unwrap();
    assert!(to.get_blocking(&Key::from(["kept"])).unwrap().is_some());
    assert_eq!(contents(&to).0.len(), contents(&from).0.len() + 1);
}

#[test]
fn commit_to_the_source_fails_the_copy() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (open(&directory.path().join("from")), open(&directory.path().join("to")));
    fill(&from, 10);
    let mut write = |_| drop(from.set(Key::from(["late"]), Value::U64(1)));
    assert!(matches!(block_on(copy(&from, &to, OPTIONS, &mut write)), Err(CopyError::SourceChanged)));
    assert!(matches!(block_on(copy(&from, &to, OPTIONS, &mut |_| {})), Err(CopyError::SourceChanged)));
}

#[test]
fn versions_past_the_greatest_are_rejected() {
    let to = sqlite::open(Location::Memory, sqlite::Options::default()).unwrap();
    let greatest = openkv_engine::Versionstamp::from_version(u64::MAX);
    let raised = block_on(to.transfer().unwrap().raise_version(greatest));
    assert!(matches!(raised, Err(Error::NoVersionLeft)));
}

#[test]
fn contents_are_counted() {
    let database = sqlite::open(Location::Memory, sqlite::Options::default()).unwrap();
    fill(&database, 3000);
    let ready = AtomicWrite::new().enqueue(Enqueue::new(vec![255, 15, 48]));
    database.write_blocking(ready).unwrap().into_result().unwrap();
    let mut last = 0;
    let counted = block_on(count(&database, &mut |progress| last = progress.done)).unwrap().unwrap();
    assert_eq!((counted.entries, counted.messages, counted.ready, last), (3021, 301, 1, 301));
    assert_eq!((counted.encodings.v8, counted.encodings.u64, counted.encodings.bytes), (7, 7, 3007));
    assert_eq!((counted.expiring, counted.problems), (1000, Vec::new()));
    assert_eq!(counted.last_versionstamp.to_version(), last_version(&database));
    database.set_blocking(Key::from_encoded(vec![0xfe]), Value::U64(1)).unwrap();
    let counted = block_on(count(&database, &mut |_| {})).unwrap().unwrap();
    assert!(counted.problems[0].starts_with("the key [fe] cannot be decoded: "), "{:?}", counted.problems);
}

use std::path::Path;

use futures_executor::block_on;

use super::{CopyError, Options, copy};
use crate::sqlite::{self, Location};
use crate::{
    AtomicWrite, Database, Enqueue, Error, Key, KeyPart, Mutation, Page, StoredEntry, StoredMessage, Time, Value,
};

const OPTIONS: Options<'_> = Options { source: "source", overwrite: false };
const FAR: u64 = 1 << 45;

fn open(path: &Path) -> Database {
    sqlite::open(Location::file(path), sqlite::Options::default()).unwrap()
}

/// Stores entries of every type of key and value, some that expire, and messages.
fn fill(database: &Database, count: u64) {
    let parts: [KeyPart; 7] = [
        KeyPart::Bytes(vec![0, 255, 0].into()),
        "a\0b".into(),
        KeyPart::bigint(-5),
        (-0.0).into(),
        f64::NAN.into(),
        false.into(),
        true.into(),
    ];
    let values = [Value::V8(b"\xff\x0f\"\x05hello".to_vec()), Value::U64(u64::MAX), Value::Bytes(vec![])];
    for part in parts {
        for (i, value) in values.iter().enumerate() {
            let key = Key::from_parts(&[part.clone(), KeyPart::from(i as f64)]).unwrap();
            database.set_blocking(key, value.clone()).unwrap();
        }
    }
    for first in (0..count).step_by(500) {
        let sets = (first..count.min(first + 500)).map(|i| {
            let key = Key::from_parts(&["n".into(), KeyPart::from(i as f64)]).unwrap();
            let mut set = Mutation::set(key, Value::Bytes(vec![7; (i % 1000) as usize]));
            if let (crate::MutationKind::Set { expire_at, .. }, true) = (&mut set.kind, i % 3 == 0) {
                *expire_at = Some(Time::At(FAR + i));
            }
            set
        });
        database.write_blocking(sets.fold(AtomicWrite::new(), AtomicWrite::mutate)).unwrap().into_result().unwrap();
    }
    for i in 0..count / 10 {
        let enqueue = Enqueue {
            deliver_at: Time::At(FAR + i),
            backoff_schedule: (i % 2 == 0).then(|| vec![1, i as u32]),
            ..Enqueue::new(b"\xff\x0f\"\x05hello".to_vec()).undelivered(Key::from(["undelivered"]))
        };
        database.write_blocking(AtomicWrite::new().enqueue(enqueue)).unwrap().into_result().unwrap();
    }
}

type Contents = (Vec<(Key, Value, Option<u64>)>, Vec<Enqueue>);

/// Returns all entries without their versions, and all messages without their positions.
fn contents(database: &Database) -> Contents {
    let transfer = database.transfer().unwrap();
    let page = Page { items: 100, bytes: 10_000 };
    let (mut entries, mut messages, mut after) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let page = block_on(transfer.entries(&after, page)).unwrap();
        let Some(last) = page.last() else { break };
        after = last.entry.key.as_bytes().to_vec();
        entries.extend(page.into_iter().map(|StoredEntry { entry, expires_at }| (entry.key, entry.value, expires_at)));
    }
    after.clear();
    loop {
        let page = block_on(transfer.messages(&after, page)).unwrap();
        let Some(last) = page.last() else { break };
        after = last.position.clone();
        messages.extend(page.into_iter().map(|StoredMessage { enqueue, .. }| enqueue));
    }
    (entries, messages)
}

fn last_version(database: &Database) -> u64 {
    block_on(database.transfer().unwrap().last_commit()).unwrap().versionstamp.to_version()
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
        let mut on_progress = |progress: crate::maintenance::Progress| {
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
    let greatest = crate::Versionstamp::from_version(u64::MAX);
    let raised = block_on(to.transfer().unwrap().raise_version(greatest));
    assert!(matches!(raised, Err(Error::NoVersionLeft)));
}

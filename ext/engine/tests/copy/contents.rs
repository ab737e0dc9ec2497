//! Databases to copy, and the comparison of copies. Used by the tests of other backends, too.

use futures_executor::block_on;
use openkv_engine::{
    AtomicWrite, Database, Enqueue, Key, KeyPart, Mutation, MutationKind, Page, StoredEntry, StoredMessage, Time, Value,
};

/// A time in the distant future, in milliseconds since the Unix epoch.
pub const FAR: u64 = 1 << 45;

/// Stores entries of every type of key and value, some that expire, and messages.
pub fn fill(database: &Database, count: u64) {
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
            if let (MutationKind::Set { expire_at, .. }, true) = (&mut set.kind, i % 3 == 0) {
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

pub type Contents = (Vec<(Key, Value, Option<u64>)>, Vec<Enqueue>);

/// Returns all entries without their versions, and all messages without their positions.
pub fn contents(database: &Database) -> Contents {
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

/// Returns the version of the last commit.
pub fn last_version(database: &Database) -> u64 {
    block_on(database.transfer().unwrap().last_commit()).unwrap().versionstamp.to_version()
}

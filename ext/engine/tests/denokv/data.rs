//! Reads, writes and errors.

use std::cell::Cell;
use std::sync::Arc;

use denokv_proto::{
    AtomicWrite, Check, Consistency, Database, KvValue, Mutation, MutationKind, SnapshotReadOptions, Versionstamp,
};
use openkv_engine::Error;
use openkv_engine::denokv::DenoKv;
use openkv_engine::sqlite::{self, Location, Options};

use crate::support::*;

/// 1, 2 and 3 in V8's format: integers as V8 writes them, and their sum, a double.
const V8_ONE: &[u8] = &[0xff, 0x0f, b'I', 2];
const V8_TWO: &[u8] = &[0xff, 0x0f, b'I', 4];
const V8_THREE: &[u8] = &[0xff, 0x0f, b'N', 0, 0, 0, 0, 0, 0, 8, 0x40];

#[tokio::test]
async fn ranges_are_read_in_one_snapshot() {
    let database = memory();
    let mut versions = Vec::new();
    for (i, name) in ["b", "d", "a", "c"].into_iter().enumerate() {
        versions.push(commit(&database, set(name, i as u64)).await);
    }
    assert!(versions.is_sorted());

    let ranges = || {
        vec![
            range(key("a"), key("d"), 10, false),
            range(key("a"), vec![0xff], 3, true),
            range(key("x"), key("y"), 1, false),
            range(key("d"), key("a"), 1, false),
        ]
    };
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let outputs = database.snapshot_read(ranges(), SnapshotReadOptions { consistency }).await.unwrap();
        let keys: Vec<Vec<_>> =
            outputs.iter().map(|output| output.entries.iter().map(|entry| entry.key.clone()).collect()).collect();
        let named = |names: &[&str]| names.iter().map(|name| key(name)).collect::<Vec<_>>();
        assert_eq!(keys, [named(&["a", "b", "c"]), named(&["d", "c", "b"]), vec![], vec![]]);
        assert_eq!(outputs[0].entries[0].versionstamp, versions[2]);
        assert_eq!(shown(&outputs[0].entries[0].value), "U64(2)");
    }
    assert!(database.snapshot_read(vec![], SnapshotReadOptions { consistency: Consistency::Strong }).await.is_ok());
}

#[tokio::test]
async fn mutations_are_applied() {
    let database = memory();
    let run = async |kind| {
        commit(&database, mutate("a", kind)).await;
        value(&database, "a").await
    };
    let sum = |value| MutationKind::Sum { value, min_v8: vec![], max_v8: vec![], clamp: false };
    for kind in [KvValue::V8(V8_ONE.into()), KvValue::Bytes(vec![1, 2]), KvValue::U64(u64::MAX)] {
        let expected = shown(&kind);
        assert_eq!(run(MutationKind::Set(kind)).await, Some(expected));
    }
    assert_eq!(run(sum(KvValue::U64(6))).await.unwrap(), "U64(5)", "a sum wraps");
    assert_eq!(run(MutationKind::Min(KvValue::U64(3))).await.unwrap(), "U64(3)");
    assert_eq!(run(MutationKind::Max(KvValue::U64(8))).await.unwrap(), "U64(8)");
    assert_eq!(run(MutationKind::Delete).await, None);
    run(sum(KvValue::V8(V8_ONE.into()))).await;
    assert_eq!(run(sum(KvValue::V8(V8_TWO.into()))).await, Some(shown(&KvValue::V8(V8_THREE.into()))));

    let version = commit(&database, mutate("log", MutationKind::SetSuffixVersionstampedKey(KvValue::U64(1)))).await;
    let entries = read(&database, vec![range(key("log"), vec![0xff], 10, false)]).await.unwrap().remove(0);
    let digits: String = version.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(entries[0].key, [key("log"), key(&digits)].concat());
    assert_eq!(entries[0].versionstamp, version);
}

#[tokio::test]
async fn failed_check_rejects_the_write() {
    let database = memory();
    let first = commit(&database, set("a", 1)).await;
    let checked = |versionstamp: Option<Versionstamp>| AtomicWrite {
        checks: vec![Check { key: key("absent"), versionstamp: None }, Check { key: key("a"), versionstamp }],
        ..set("b", 2)
    };
    let mut later = first;
    later[9] = 1;
    for wrong in [None, Some(later), Some([0xff; 10])] {
        assert!(database.atomic_write(checked(wrong)).await.unwrap().is_none());
    }
    assert_eq!(value(&database, "b").await, None);
    let second = commit(&database, checked(Some(first))).await;
    assert!(second > first);
    assert_eq!(get(&database, "b").await.unwrap().versionstamp, second);
}

#[tokio::test]
async fn expired_value_is_absent() {
    let clock = Arc::new(ManualClock::default());
    let database = open(Location::Memory, &clock);
    let expiring = |name, kind, millis| {
        let expire_at = Some(time(millis));
        AtomicWrite { mutations: vec![Mutation { key: key(name), kind, expire_at }], ..empty() }
    };
    clock.set(10);
    commit(&database, expiring("a", MutationKind::Set(KvValue::U64(1)), 20)).await;
    commit(&database, expiring("log", MutationKind::SetSuffixVersionstampedKey(KvValue::U64(1)), 20)).await;
    commit(&database, expiring("past", MutationKind::Set(KvValue::U64(1)), -5)).await;
    let all = || vec![range(vec![], vec![0xff], 10, false)];
    clock.set(19);
    assert_eq!(read(&database, all()).await.unwrap()[0].len(), 2);
    clock.set(20);
    assert_eq!(read(&database, all()).await.unwrap()[0].len(), 0);
    let check = Check { key: key("a"), versionstamp: None };
    commit(&database, AtomicWrite { checks: vec![check], ..empty() }).await;
}

#[tokio::test]
async fn errors_have_the_messages_and_classes_of_deno_kv() {
    let database = memory();
    commit(&database, mutate("text", MutationKind::Set(KvValue::Bytes(vec![1])))).await;
    let before = get(&database, "text").await.unwrap().versionstamp;
    let write = async |write| rejected(database.atomic_write(write).await);

    // The other mutation of the write is not applied.
    let mut both = set("b", 1);
    both.mutations.extend(mutate("text", MutationKind::Max(KvValue::U64(1))).mutations);
    assert_eq!(write(both).await, type_error("Failed to perform 'max' mutation on a non-U64 value in the database"));
    assert_eq!(value(&database, "b").await, None);

    let min = mutate("n", MutationKind::Min(KvValue::Bytes(vec![])));
    assert_eq!(write(min).await, type_error("Failed to perform 'min' mutation on a non-U64 operand"));
    let sum = |value, max_v8| mutate("n", MutationKind::Sum { value, min_v8: vec![], max_v8, clamp: true });
    let not_numeric = sum(KvValue::Bytes(vec![]), vec![]);
    assert_eq!(write(not_numeric).await, type_error("Some of the parameters are not valid V8 values"));
    let bounded = sum(KvValue::U64(1), V8_TWO.into());
    assert_eq!(write(bounded).await, type_error("Min/max parameters have different types than the operand"));
    let large = mutate("n", MutationKind::Set(KvValue::Bytes(vec![0; 65537])));
    assert_eq!(write(large).await, type_error("Value too large (max 65536 bytes)"));
    let empty_key = AtomicWrite { checks: vec![Check { key: vec![], versionstamp: None }], ..empty() };
    assert_eq!(write(empty_key).await, type_error("key cannot be empty"));
    assert_eq!(get(&database, "text").await.unwrap().versionstamp, before);

    let many = vec![range(vec![], vec![0xff], u32::MAX, false), range(vec![], vec![0xff], u32::MAX, true)];
    assert_eq!(rejected(read(&database, many).await), type_error("Too many entries (max 1000)"));
    let long = vec![range(vec![2; 2050], vec![0xff], 1, false)];
    assert_eq!(rejected(read(&database, long).await), type_error("Key too large for read (max 2049 bytes)"));
}

#[tokio::test]
async fn closed_database_rejects_calls() {
    let database = memory();
    let other = database.clone();
    commit(&database, set("a", 1)).await;
    database.close();
    other.close();
    let closed = type_error("Database is closed.");
    assert_eq!(rejected(read(&other, vec![range(vec![], vec![0xff], 1, false)]).await), closed);
    assert_eq!(rejected(other.atomic_write(set("a", 2)).await), closed);

    let error = other.atomic_write(set("a", 2)).await.unwrap_err();
    let engine: Option<&Error> = error.get_inner_ref().and_then(|error| error.downcast_ref());
    assert!(matches!(engine, Some(Error::Closed)), "a host can downcast to the engine's error");
}

#[tokio::test]
async fn corrupt_value_is_an_error_of_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(file(&directory), &Arc::default());
    commit(&database, set("a", 1)).await;
    let file = rusqlite::Connection::open(directory.path().join("kv.sqlite3")).unwrap();
    file.execute("update kv set v_encoding = 7", []).unwrap();
    let (class, message) = rejected(read(&database, vec![range(vec![], vec![0xff], 1, false)]).await);
    assert_eq!(class, "Error");
    assert!(message.contains("a stored value of 8 bytes has encoding 7"), "{message}");
}

#[tokio::test]
async fn calls_that_complete_immediately_yield_to_other_tasks() {
    let database = memory();
    tokio::task::LocalSet::new()
        .run_until(async {
            let ticks = std::rc::Rc::new(Cell::new(0));
            let counted = ticks.clone();
            tokio::task::spawn_local(async move {
                loop {
                    counted.set(counted.get() + 1);
                    tokio::task::yield_now().await;
                }
            });
            for i in 0..10 {
                let before = ticks.get();
                commit(&database, set("a", i)).await;
                let between = ticks.get();
                assert!(between > before);
                get(&database, "a").await;
                assert!(ticks.get() > between);
            }
        })
        .await;
}

#[test]
fn threads_can_write_concurrently() {
    const WRITES: u64 = 50;
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory);
    let handles = [0; 4].map(|_| {
        let location = path.clone();
        std::thread::spawn(move || {
            let database = DenoKv::new(sqlite::open(location, Options::default()).unwrap());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                for _ in 0..WRITES {
                    let sum = |value| MutationKind::Sum { value, min_v8: vec![], max_v8: vec![], clamp: false };
                    commit(&database, mutate("sum", sum(KvValue::U64(1)))).await;
                    // The same with checks, which fail if another thread has written meanwhile.
                    loop {
                        let entry = get(&database, "checked").await;
                        let (before, versionstamp) = match &entry {
                            Some(entry) => match entry.value {
                                KvValue::U64(number) => (number, Some(entry.versionstamp)),
                                _ => panic!("{entry:?}"),
                            },
                            None => (0, None),
                        };
                        let checks = vec![Check { key: key("checked"), versionstamp }];
                        let write = AtomicWrite { checks, ..set("checked", before + 1) };
                        if database.atomic_write(write).await.unwrap().is_some() {
                            break;
                        }
                    }
                }
            });
        })
    });
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    let database = open(path, &Arc::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let expected = Some(format!("U64({})", 4 * WRITES));
    assert_eq!(runtime.block_on(value(&database, "sum")), expected);
    assert_eq!(runtime.block_on(value(&database, "checked")), expected);
}

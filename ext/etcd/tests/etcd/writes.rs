use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{
    AtomicWrite, Check, Commit, CommitId, Error, Key, Mutation, MutationKind, SystemRandom, Time, Value,
};

use crate::support::{commit, database, fill, get, key, numbers, opened, set, url};

#[test]
fn versionstamps_grow_and_are_those_of_entries() {
    let database = database!();
    let mut last = None;
    for i in 0..5 {
        let versionstamp = commit(&database, AtomicWrite::new().mutate(set(key(0), i))).into_result().unwrap();
        assert!(Some(versionstamp) > last);
        assert_eq!(block_on(database.get(&key(0))).unwrap().unwrap().versionstamp, versionstamp);
        last = Some(versionstamp);
    }
}

#[test]
fn writes_in_flight_have_versionstamps_in_the_order_of_the_calls() {
    let database = database!();
    let commits: Vec<_> = (0..200).map(|i| database.write(AtomicWrite::new().mutate(set(key(i % 7), i)))).collect();
    let commits: Vec<_> = commits.into_iter().map(|commit| block_on(commit).unwrap().into_result().unwrap()).collect();
    assert!(commits.is_sorted_by(|one, other| one < other));
    assert_eq!(get(&database, &key(199 % 7)), Some(199));
}

#[test]
fn failed_checks_are_named_and_nothing_is_written() {
    let database = database!();
    fill(&database, 3);
    let entries: Vec<_> = (0..3).map(|i| block_on(database.get(&key(i))).unwrap().unwrap()).collect();
    commit(&database, AtomicWrite::new().mutate(set(key(1), 10))).into_result().unwrap();
    let checks = entries.iter().map(Check::unchanged);
    let write = AtomicWrite {
        checks: checks.chain([Check::absent(key(2)), Check::absent(key(9))]).collect(),
        ..AtomicWrite::new()
    };
    assert_eq!(commit(&database, write.mutate(set(key(5), 5))), Commit::Conflict { failed: vec![1, 3] });
    assert_eq!(get(&database, &key(5)), None);

    let holding = AtomicWrite::new().check(Check::unchanged(&entries[0])).check(Check::absent(key(9)));
    commit(&database, holding.clone().mutate(set(key(9), 9))).into_result().unwrap();
    assert_eq!(commit(&database, holding), Commit::Conflict { failed: vec![1] });
}

#[test]
fn mutations_apply_in_order_and_expired_values_count_as_missing() {
    let database = database!();
    let write = AtomicWrite::new()
        .mutate(Mutation::sum(key(0), 5))
        .mutate(Mutation::sum(key(0), u64::MAX))
        .mutate(Mutation::max(key(1), 3))
        .mutate(Mutation::min(key(1), 2))
        .mutate(set(key(2), 1))
        .mutate(Mutation::delete(key(2)));
    commit(&database, write).into_result().unwrap();
    assert_eq!([0, 1, 2].map(|i| get(&database, &key(i))), [Some(4), Some(2), None]);

    let mut expired = set(key(0), 100);
    if let MutationKind::Set { expire_at, .. } = &mut expired.kind {
        *expire_at = Some(Time::At(1));
    }
    commit(&database, AtomicWrite::new().mutate(expired)).into_result().unwrap();
    assert_eq!(get(&database, &key(0)), None);
    let write = AtomicWrite::new().check(Check::absent(key(0))).mutate(Mutation::sum(key(0), 7));
    commit(&database, write).into_result().unwrap();
    assert_eq!(get(&database, &key(0)), Some(7));

    let write = AtomicWrite::new().mutate(set(key(3), 1)).mutate(Mutation::sum(key(4), 1));
    commit(&database, write).into_result().unwrap();
    block_on(database.set(key(4), Value::Bytes(vec![1]))).unwrap();
    let failing = AtomicWrite::new().mutate(set(key(3), 2)).mutate(Mutation::sum(key(4), 1));
    assert!(matches!(block_on(database.write(failing)), Err(Error::StoredNotU64 { .. })));
    assert_eq!(get(&database, &key(3)), Some(1));
}

#[test]
fn sums_of_several_clients_are_exact() {
    let Some(url) = url() else { return };
    let clients: Vec<_> = (0..3).map(|_| opened(&url)).collect();
    let sum = |_| clients.iter().map(|client| client.write(AtomicWrite::new().mutate(Mutation::sum(key(0), 1))));
    let commits: Vec<_> = (0..40).flat_map(sum).collect();
    let mut versionstamps: Vec<_> =
        commits.into_iter().map(|commit| block_on(commit).unwrap().into_result().unwrap()).collect();
    assert_eq!(get(&clients[0], &key(0)), Some(120));
    versionstamps.sort();
    versionstamps.dedup();
    assert_eq!(versionstamps.len(), 120);
}

#[test]
fn versionstamped_keys_contain_the_versionstamp_of_their_commit() {
    let Some(url) = url() else { return };
    let clients = [opened(&url), opened(&url)];
    let log = Key::from(["log"]);
    let kind = |i| MutationKind::Set { value: Value::U64(i), expire_at: None, versionstamped: true };
    let write = |i| AtomicWrite::new().mutate(Mutation { key: log.clone(), kind: kind(i) }).mutate(set(key(i), i));
    let commits: Vec<_> = (0..20).map(|i| clients[i as usize % 2].write(write(i))).collect();
    for (i, commit) in (0..).zip(commits) {
        let versionstamp = block_on(commit).unwrap().into_result().unwrap();
        let mut stamped = log.clone();
        stamped.push_string(&versionstamp.to_string());
        let entry = block_on(clients[0].get(&stamped)).unwrap().unwrap();
        assert_eq!((entry.value, entry.versionstamp), (Value::U64(i), versionstamp));
        // All entries of a commit have its versionstamp, and a check of it holds.
        let other = block_on(clients[1].get(&key(i))).unwrap().unwrap();
        assert_eq!(other.versionstamp, versionstamp);
        let later = AtomicWrite::new().check(Check::unchanged(&other)).mutate(set(key(i), 100));
        assert!(crate::support::commit(&clients[1], later).into_result().unwrap() > versionstamp);
    }
}

#[test]
fn write_with_an_id_is_committed_once() {
    let Some(url) = url() else { return };
    let clients = [opened(&url), opened(&url)];
    let write = AtomicWrite::new().mutate(Mutation::sum(key(0), 1)).id(CommitId::new(&SystemRandom));
    let commits: Vec<_> = (0..10).map(|i| clients[i % 2].write(write.clone())).collect();
    let commits: Vec<_> = commits.into_iter().map(|commit| block_on(commit).unwrap()).collect();
    assert!(commits.iter().all(|commit| *commit == commits[0]), "{commits:?}");
    assert_eq!(get(&clients[0], &key(0)), Some(1));
}

#[test]
fn largest_writes_are_committed() {
    let database = database!();
    fill(&database, 1000);
    assert_eq!(block_on(database.count(&numbers())).unwrap(), 1000);
    let entries: Vec<_> = (0..100).map(|i| block_on(database.get(&key(i))).unwrap().unwrap()).collect();
    let checks = entries.iter().map(Check::unchanged);
    let write = AtomicWrite { checks: checks.collect(), ..AtomicWrite::new() };
    let sums = (0..900).map(|i| Mutation::sum(key(i), 1)).fold(write, AtomicWrite::mutate);
    commit(&database, sums).into_result().unwrap();
    assert_eq!([0, 899, 900].map(|i| get(&database, &key(i))), [Some(1), Some(900), Some(900)]);
    let large = (0..12).map(|i| Mutation::set(key(i), Value::Bytes(vec![7; 64 * 1024])));
    commit(&database, large.fold(AtomicWrite::new(), AtomicWrite::mutate)).into_result().unwrap();
}

#[test]
fn ranges_are_counted_and_deleted_without_expired_entries() {
    let database = database!();
    fill(&database, 30);
    let expiring = set(key(3), 3).expire_in(Duration::ZERO);
    commit(&database, AtomicWrite::new().mutate(expiring)).into_result().unwrap();
    assert_eq!(block_on(database.count(&numbers())).unwrap(), 29);
    assert_eq!(block_on(database.delete_first(&numbers(), 5)).unwrap(), 5);
    assert_eq!([5, 6].map(|i| get(&database, &key(i))), [None, Some(6)]);
    assert_eq!(block_on(database.delete_range(&numbers())).unwrap(), 24);
    assert_eq!(block_on(database.delete_range(&numbers())).unwrap(), 0);
}

#[test]
fn closed_database_commits_earlier_writes() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    let written = database.set(key(0), Value::U64(1));
    database.close();
    block_on(written).unwrap();
    assert!(matches!(block_on(database.get(&key(0))), Err(Error::Closed)));
    assert_eq!(get(&opened(&url), &key(0)), Some(1));
}

#[test]
fn concurrent_deletions_of_a_range_count_each_entry_once() {
    let Some(url) = url() else { return };
    let clients = [opened(&url), opened(&url), opened(&url)];
    for limit in [u32::MAX, 150, 40] {
        for _ in 0..5 {
            fill(&clients[0], 200);
            let deletions: Vec<_> = clients.iter().map(|client| client.delete_first(&numbers(), limit)).collect();
            let deleted: u64 = deletions.into_iter().map(|deletion| block_on(deletion).unwrap()).sum();
            assert_eq!(deleted, 200.min(3 * u64::from(limit)), "{limit}");
            let rest = block_on(clients[0].delete_range(&numbers())).unwrap();
            assert_eq!(deleted + rest, 200);
        }
    }
}

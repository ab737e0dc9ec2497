use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{
    AtomicWrite, CommitId, Enqueue, Error, Mutation, MutationKind, Read, ReadOptions, SystemRandom, Value,
};
use openkv_etcd::{Options, open};

use openkv_etcd::cluster::{self, Cluster};

use crate::support::{commit, fill, get, key, numbers, opened, set, url};

#[test]
fn writes_continue_exactly_once_while_nodes_are_killed() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url = cluster.url("faults");
    let [one, other] = [opened(&url), opened(&url)];
    let mut expected = 0;
    for node in [0, 1, 2] {
        let commits: Vec<_> =
            (0..50).map(|i| [&one, &other][i % 2].write(AtomicWrite::new().mutate(Mutation::sum(key(0), 1)))).collect();
        cluster.kill_node(node);
        for commit in commits {
            block_on(commit).unwrap().into_result().unwrap();
            expected += 1;
        }
        assert_eq!(get(&one, &key(0)), Some(expected));
        cluster.start_node(node);
        cluster.ctl(&["--command-timeout=60s", "endpoint", "health"]);
    }
}

#[test]
fn minority_refuses_reads_and_writes() {
    let Some(mut cluster) = Cluster::start() else { return };
    let url = cluster.url("minority");
    let database = block_on(open(&url, Options::default().retry_for(Duration::from_secs(8)))).unwrap();
    block_on(database.set(key(0), Value::U64(1))).unwrap();
    cluster.kill_node(0);
    cluster.kill_node(1);
    let error = block_on(database.get(&key(0))).unwrap_err().to_string();
    assert!(error.contains("no etcd node of ") && error.contains("check that most nodes run"), "{error}");
    let error = block_on(database.set(key(0), Value::U64(2))).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_) | Error::Storage(_)), "{error}");
    cluster.start_node(0);
    cluster.start_node(1);
    let reopened = opened(&url);
    assert!([Some(1), Some(2)].contains(&get(&reopened, &key(0))));
}

#[test]
fn newer_layout_is_refused() {
    let Some(url) = url() else { return };
    drop(opened(&url));
    let name = url.rsplit('/').next().unwrap();
    cluster::shared().unwrap().ctl(&["put", &format!("{name}/m"), "\x08\x02"]);
    let error = block_on(open(&url, Options::default())).unwrap_err().to_string();
    assert!(
        error.ends_with("its layout has version 2, and this program supports versions up to 1: use a newer one"),
        "{error}"
    );
}

#[test]
fn versions_exceed_the_minimum() {
    let Some(url) = url() else { return };
    let min = 1 << 40;
    let database = block_on(open(&url, Options::default().min_version(min))).unwrap();
    let versionstamp = commit(&database, AtomicWrite::new().mutate(set(key(0), 1))).into_result().unwrap();
    assert!(versionstamp > openkv_engine::Versionstamp::from_version(min));
    let entry = block_on(database.get(&key(0))).unwrap().unwrap();
    assert_eq!(entry.versionstamp, versionstamp);
    let check = AtomicWrite::new().check(openkv_engine::Check::unchanged(&entry)).mutate(set(key(0), 2));
    commit(&database, check).into_result().unwrap();
}

/// Ends the leases of the keys of a part of a database.
pub fn revoke_leases(url: &str, part: &str) {
    let name = url.rsplit('/').next().unwrap();
    let cluster = cluster::shared().unwrap();
    let found = cluster.ctl(&["get", "--prefix", &format!("{name}/{part}/"), "-w", "fields"]);
    let leases: Vec<i64> =
        found.lines().filter_map(|line| line.strip_prefix("\"Lease\" : ")?.trim().parse().ok()).collect();
    assert!(!leases.is_empty(), "{found}");
    for lease in leases {
        // Keys may share one.
        let _ = cluster.try_ctl(&["lease", "revoke", &format!("{lease:x}")]);
    }
}

#[test]
fn listener_continues_after_its_lease_has_expired() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    for byte in 0..3 {
        commit(&database, AtomicWrite::new().enqueue(Enqueue::new(vec![byte]))).into_result().unwrap();
        let delivery = block_on(database.dequeue_one()).unwrap().unwrap();
        assert_eq!(delivery.message, [byte]);
        block_on(delivery.done()).unwrap();
        revoke_leases(&url, "l");
    }
    block_on(database.set(key(0), Value::U64(1))).unwrap();
}

#[test]
fn claim_of_an_expired_lease_is_lost() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    commit(&database, AtomicWrite::new().enqueue(Enqueue::new(vec![7]))).into_result().unwrap();
    let first = block_on(database.dequeue_one()).unwrap().unwrap();
    revoke_leases(&url, "l");
    let second = block_on(database.dequeue_one()).unwrap().unwrap();
    let error = block_on(first.done()).unwrap_err().to_string();
    assert!(error.ends_with("the claim of the message has expired: it is delivered again"), "{error}");
    block_on(second.done()).unwrap();
}

#[test]
fn writes_continue_after_the_leases_of_the_session_and_of_commit_ids_have_expired() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    let sum = || AtomicWrite::new().mutate(Mutation::sum(key(0), 1)).id(CommitId::new(&SystemRandom));
    let versionstamped = MutationKind::Set { value: Value::U64(1), expire_at: None, versionstamped: true };
    for expected in 1..4 {
        commit(&database, sum()).into_result().unwrap();
        assert_eq!(get(&database, &key(0)), Some(expected));
        for part in ["s", "i"] {
            revoke_leases(&url, part);
            let write = AtomicWrite::new().mutate(Mutation { key: key(1), kind: versionstamped.clone() });
            commit(&database, write).into_result().unwrap();
        }
    }
}

#[test]
fn messages_of_a_crashed_listener_are_redelivered() {
    let Some(url) = url() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let crashing = block_on(open(&url, Options::default().runtime(runtime.handle().clone()))).unwrap();
    let message = |byte| Enqueue { backoff_schedule: Some(vec![0]), ..Enqueue::new(vec![byte]) };
    commit(&crashing, AtomicWrite::new().enqueue(message(1)).enqueue(message(2))).into_result().unwrap();
    let claimed: Vec<_> = (0..2).map(|_| block_on(crashing.dequeue_one()).unwrap().unwrap()).collect();
    claimed[0].start();
    // Orders the call of the handler before the crash.
    block_on(crashing.set(key(0), Value::U64(1))).unwrap();
    // Its tasks end, and nothing renews the lease or releases the claims.
    runtime.shutdown_background();
    let other = opened(&url);
    let mut messages: Vec<_> = (0..2)
        .map(|_| {
            let delivery = block_on(other.dequeue_one()).unwrap().unwrap();
            let message = delivery.message[0];
            block_on(delivery.done()).unwrap();
            message
        })
        .collect();
    messages.sort_unstable();
    assert_eq!(messages, [1, 2]);
}

#[test]
fn reads_and_writes_continue_while_revisions_are_compacted() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    fill(&database, 3000);
    let expiring = (0..150).map(|i| set(key(i), i).expire_in(Duration::ZERO));
    commit(&database, expiring.fold(AtomicWrite::new(), AtomicWrite::mutate)).into_result().unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let status = cluster::shared().unwrap().ctl(&["get", "none", "-w", "fields"]);
                let revision = status.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).unwrap();
                let _ = cluster::shared().unwrap().try_ctl(&["compaction", revision]);
            }
        });
        let working = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (start, end) = numbers().range(None, false).unwrap();
            let range = Read::Range { start: &start, end: &end, limit: 1000, reverse: false, values: true };
            for _ in 0..20 {
                assert_eq!(block_on(database.read(&[range], ReadOptions::default())).unwrap()[0].len(), 1000);
                assert_eq!(block_on(database.count(&numbers())).unwrap(), 2850);
                let sums = (200..500).map(|i| Mutation::sum(key(i), 1));
                commit(&database, sums.fold(AtomicWrite::new(), AtomicWrite::mutate)).into_result().unwrap();
            }
            assert_eq!(block_on(database.delete_range(&numbers())).unwrap(), 2850);
        }));
        is_done.store(true, Ordering::Relaxed);
        working.unwrap();
    });
}

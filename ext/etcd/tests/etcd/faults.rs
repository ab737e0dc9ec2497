use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Error, Mutation, Value};
use openkv_etcd::{Options, open};

use crate::support::{commit, get, key, opened, set, url};
use openkv_etcd::cluster::{self, Cluster};

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

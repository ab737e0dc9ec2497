use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Mutation, Value, Watch};

use crate::support::{commit, key, opened, set, url};
use openkv_etcd::cluster::{self, Cluster};

fn next(watch: &mut Watch) -> Vec<Option<Value>> {
    let entries = block_on(watch.next()).unwrap().unwrap();
    entries.into_iter().map(|entry| entry.map(|entry| entry.value)).collect()
}

#[test]
fn watch_reports_changes_of_other_clients_as_a_whole() {
    let Some(url) = url() else { return };
    let [one, other] = [opened(&url), opened(&url)];
    let mut watch = one.watch(&[key(0), key(1)]).unwrap();
    assert_eq!(next(&mut watch), [None, None]);
    for i in 0..20 {
        commit(&other, AtomicWrite::new().mutate(set(key(0), i)).mutate(set(key(1), i))).into_result().unwrap();
        assert_eq!(next(&mut watch), [Some(Value::U64(i)), Some(Value::U64(i))]);
    }
    commit(&other, AtomicWrite::new().mutate(Mutation::delete(key(0)))).into_result().unwrap();
    assert_eq!(next(&mut watch), [None, Some(Value::U64(19))]);
    one.close();
    assert!(block_on(watch.next()).is_none());
}

#[test]
fn watch_reports_the_expiry_of_an_entry() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(next(&mut watch), [None]);
    let expiring = set(key(0), 1).expire_in(Duration::from_millis(300));
    commit(&database, AtomicWrite::new().mutate(expiring)).into_result().unwrap();
    while next(&mut watch) != [None] {}
}

#[test]
fn watch_continues_after_a_compaction() {
    let Some(url) = url() else { return };
    let database = opened(&url);
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(next(&mut watch), [None]);
    for i in 0..5 {
        let versionstamp = commit(&database, AtomicWrite::new().mutate(set(key(0), i))).into_result().unwrap();
        let revision = u64::from_be_bytes(*versionstamp.as_bytes().first_chunk().unwrap());
        cluster::shared().unwrap().ctl(&["compaction", &revision.to_string()]);
        while next(&mut watch) != [Some(Value::U64(i))] {}
    }
}

#[test]
fn dropped_watch_ends_on_the_server() {
    let Some(cluster) = Cluster::start() else { return };
    let database = opened(&cluster.url("watched"));
    let watches: Vec<_> = (0..10).map(|_| database.watch(&[key(0)]).unwrap()).collect();
    while watchers(&cluster) < watches.len() as u64 {}
    drop(watches);
    while watchers(&cluster) > 0 {}
}

/// Returns the number of watches on all nodes.
fn watchers(cluster: &Cluster) -> u64 {
    let url = cluster.url("");
    let nodes = url.trim_start_matches("etcd://").trim_end_matches('/').split(',');
    let of_node = |node: &str| {
        let mut metrics = String::new();
        let mut stream = TcpStream::connect(node).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_string(&mut metrics).unwrap();
        let count = metrics.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
        count.unwrap().parse::<u64>().unwrap()
    };
    nodes.map(of_node).sum()
}

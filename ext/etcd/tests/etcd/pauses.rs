//! A process that does nothing for longer than its leases last, as one that is stopped.

use std::sync::mpsc;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Enqueue, Mutation, Value};
use openkv_etcd::cluster::{self, Cluster};
use openkv_etcd::{Options, open};

use crate::support::{commit, get, key, opened};

/// Returns whether a part of a database has keys.
fn has_keys(cluster: &Cluster, part: &str) -> bool {
    !cluster.ctl(&["get", "--prefix", "--keys-only", &format!("paused/{part}/")]).trim().is_empty()
}

#[test]
fn paused_process_continues_after_its_leases_have_expired() {
    let Some(cluster) = cluster::shared() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = cluster.url("paused");
    let paused = block_on(open(&url, Options::default().runtime(runtime.handle().clone()))).unwrap();
    let message =
        |byte| AtomicWrite::new().enqueue(Enqueue { backoff_schedule: Some(vec![0]), ..Enqueue::new(vec![byte]) });
    let sum = || paused.write(AtomicWrite::new().mutate(Mutation::sum(key(0), 1)));
    let mut watch = paused.watch(&[key(1)]).unwrap();
    assert_eq!(block_on(watch.next()).unwrap().unwrap(), [None]);
    commit(&paused, message(7)).into_result().unwrap();
    let claimed = block_on(paused.dequeue_one()).unwrap().unwrap();
    claimed.start();
    block_on(sum()).unwrap().into_result().unwrap();

    // The thread of the client does nothing from now on.
    let (resume, resumed) = mpsc::channel::<()>();
    let (pause, has_paused) = mpsc::channel();
    runtime.spawn(async move {
        pause.send(()).unwrap();
        let _ = resumed.recv();
    });
    has_paused.recv().unwrap();
    let sums: Vec<_> = (0..10).map(|_| sum()).collect();
    while has_keys(cluster, "l") {}
    // The lease of the session is longer.
    crate::faults::revoke_leases(&url, "s");
    let other = opened(&url);
    let delivered = block_on(other.dequeue_one()).unwrap().unwrap();
    assert_eq!(delivered.message, [7]);
    block_on(other.set(key(1), Value::U64(1))).unwrap();

    resume.send(()).unwrap();
    let error = block_on(claimed.done()).unwrap_err().to_string();
    assert!(error.ends_with("the claim of the message has expired: it is delivered again"), "{error}");
    block_on(delivered.done()).unwrap();
    for sum in sums {
        block_on(sum).unwrap().into_result().unwrap();
    }
    assert_eq!(get(&other, &key(0)), Some(11));
    assert_eq!(block_on(watch.next()).unwrap().unwrap()[0].clone().unwrap().value, Value::U64(1));
    drop(other);
    commit(&paused, message(8)).into_result().unwrap();
    let next = block_on(paused.dequeue_one()).unwrap().unwrap();
    assert_eq!(next.message, [8]);
    block_on(next.done()).unwrap();
}

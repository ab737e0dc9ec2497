//! A storage quota that is used up, and compactions.

use std::thread;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Enqueue, Error, Mutation, Value};
use openkv_etcd::cluster::Cluster;

use crate::support::{get, key, numbers, opened, set};

#[test]
fn used_up_quota_rejects_writes_until_space_is_freed() {
    let Some(cluster) = Cluster::start_with(&["--quota-backend-bytes=8388608"]) else { return };
    let database = opened(&cluster.url("full"));
    block_on(database.set(key(100), Value::U64(1))).unwrap();
    let large = || (0..12).map(|i| Mutation::set(key(i), Value::Bytes(vec![7; 64 * 1024])));
    let error =
        std::iter::repeat_with(|| block_on(database.write(large().fold(AtomicWrite::new(), AtomicWrite::mutate))))
            .find_map(Result::err)
            .unwrap();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert!(error.to_string().contains("compact and defragment the nodes, then disarm the alarm"), "{error}");
    // Reads continue.
    assert_eq!(get(&database, &key(100)), Some(1));
    for write in [AtomicWrite::new().mutate(set(key(100), 2)), AtomicWrite::new().enqueue(Enqueue::new(vec![7]))] {
        let error = block_on(database.write(write)).unwrap_err();
        assert!(matches!(error, Error::Full(_)), "{error:?}");
    }
    assert!(matches!(block_on(database.delete_range(&numbers())), Err(Error::Full(_))));

    cluster.compact();
    let write = || AtomicWrite::new().mutate(set(key(100), 2)).enqueue(Enqueue::new(vec![7]));
    // A node may still compact when it is defragmented, and raises the alarm again.
    let free = || {
        cluster.ctl(&["--command-timeout=60s", "defrag"]);
        cluster.ctl(&["alarm", "disarm"]);
        block_on(database.write(write()))
    };
    let written = std::iter::repeat_with(free).find(|written| !matches!(written, Err(Error::Full(_))));
    written.unwrap().unwrap().into_result().unwrap();
    assert_eq!(get(&database, &key(100)), Some(2));
    block_on(block_on(database.dequeue_one()).unwrap().unwrap().done()).unwrap();
}

/// A transaction that is processed while the quota is used up may be rejected although it was committed.
#[test]
fn writes_in_flight_are_reported_as_they_are_while_the_quota_is_used_up() {
    let Some(cluster) = Cluster::start_with(&["--quota-backend-bytes=8388608"]) else { return };
    let url = cluster.url("full");
    let committed: u64 = thread::scope(|scope| {
        let write = |client: u64| {
            let database = opened(&url);
            let write = || {
                let large = (0..5).map(|i| Mutation::set(key(10 * client + i), Value::Bytes(vec![7; 64 * 1024])));
                large.fold(AtomicWrite::new().mutate(Mutation::sum(key(0), 1)), AtomicWrite::mutate)
            };
            let mut committed = 0;
            loop {
                match block_on(database.write(write())) {
                    Ok(commit) => committed += u64::from(commit.into_result().is_ok()),
                    Err(Error::Full(_)) => return committed,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let clients: Vec<_> = (1..=8).map(|client| scope.spawn(move || write(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(get(&opened(&url), &key(0)), Some(committed));
}

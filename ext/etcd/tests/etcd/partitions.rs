//! Nodes that are isolated from the others, and that clients still reach.

use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Consistency, Database, Error, Mutation, Read, ReadOptions, Value};
use openkv_etcd::cluster::Cluster;
use openkv_etcd::{Options, open};

use crate::support::{get, key, opened};

#[test]
fn isolated_node_refuses_and_nothing_is_lost() {
    let Some(cluster) = Cluster::start_in_namespaces() else { return };
    block_on(opened(&cluster.url("split")).set(key(0), Value::U64(0))).unwrap();
    let sum = |database: &Database| block_on(database.write(AtomicWrite::new().mutate(Mutation::sum(key(1), 1))));
    let mut unknown = 0;
    // One of the nodes is the leader.
    for (node, others) in [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])] {
        let before = node as u64;
        let options = Options::default().retry_for(Duration::from_secs(3));
        let open = || block_on(open(&cluster.url_of(&[node], "split"), options.clone()));
        let minority = std::iter::repeat_with(open).find_map(Result::ok).unwrap();
        let majority = opened(&cluster.url_of(&others, "split"));
        let isolated = || std::iter::repeat_with(|| block_on(minority.get(&key(0)))).find_map(Result::ok).flatten();
        assert_eq!(isolated().unwrap().value, Value::U64(before));
        sum(&majority).unwrap().into_result().unwrap();

        cluster.isolate(node, true);
        block_on(majority.set(key(0), Value::U64(before + 1))).unwrap();
        let error = block_on(minority.get(&key(0))).unwrap_err().to_string();
        assert!(error.contains("no etcd node of "), "{error}");
        match sum(&minority).unwrap_err() {
            Error::OutcomeUnknown(_) => unknown += 1,
            error => assert!(matches!(error, Error::Storage(_)), "{error:?}"),
        }
        // The state of the node is from before.
        let first = key(0);
        let eventual = ReadOptions::default().consistency(Consistency::Eventual);
        let found = block_on(minority.read(&[Read::Key(&first)], eventual)).unwrap();
        assert_eq!(found[0][0].value, Some(Value::U64(before)));
        assert_eq!(get(&majority, &key(0)), Some(before + 1));

        cluster.isolate(node, false);
        assert_eq!(isolated().unwrap().value, Value::U64(before + 1));
    }
    let sums = get(&opened(&cluster.url("split")), &key(1)).unwrap();
    assert!((3..=3 + unknown).contains(&sums), "{sums}");
}

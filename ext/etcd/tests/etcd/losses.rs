//! Commits whose responses are lost.

use std::thread;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Check, Database, Enqueue, Key, Mutation, MutationKind, Selector, Time, Value};
use openkv_etcd::cluster;

use crate::relay::Losing;
use crate::support::{commit, get, key, opened, set};

/// The number of lost responses.
const LOSSES: u64 = 2000;

#[test]
fn commits_whose_responses_are_lost_take_effect_once() {
    let Some(cluster) = cluster::shared() else { return };
    let losing = Losing::start(cluster);
    let url = losing.relays.url("losses");
    let rounds: Vec<u64> = thread::scope(|scope| {
        let write = |client: u64| {
            let database = opened(&url);
            let mut rounds = 0;
            while losing.lost() < LOSSES {
                write_round(&database, client, rounds);
                rounds += 1;
            }
            rounds
        };
        let clients: Vec<_> = (1..=3).map(|client| scope.spawn(move || write(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let database = opened(&cluster.url("losses"));
    let total: u64 = rounds.iter().sum();
    assert_eq!(get(&database, &key(0)), Some(5 * total));
    for (client, rounds) in (1..).zip(rounds) {
        assert_eq!(get(&database, &key(client)), Some(rounds));
        assert_eq!(block_on(database.count(&Selector::prefix(&log(client)))).unwrap(), rounds);
    }
    let messages = cluster.ctl(&["get", "--prefix", "losses/q/", "-w", "fields"]);
    assert!(messages.contains(&format!("\"Count\" : {total}\n")), "{messages}");
}

fn log(client: u64) -> Key {
    Key::from_parts(&["log".into(), (client as f64).into()]).unwrap()
}

/// Writes in all ways, some at the same time.
fn write_round(database: &Database, client: u64, round: u64) {
    let sums: Vec<_> = (0..5).map(|_| database.write(AtomicWrite::new().mutate(Mutation::sum(key(0), 1)))).collect();
    for sum in sums {
        block_on(sum).unwrap().into_result().unwrap();
    }

    // A repetition of a write that was committed would find its checks not to hold.
    let check = match block_on(database.get(&key(client))).unwrap() {
        None => Check::absent(key(client)),
        Some(entry) => {
            assert_eq!(entry.value, Value::U64(round));
            Check::unchanged(&entry)
        }
    };
    let checked = AtomicWrite::new().check(check).mutate(set(key(client), round + 1));
    let versionstamp = commit(database, checked).into_result().unwrap();
    assert_eq!(block_on(database.get(&key(client))).unwrap().unwrap().versionstamp, versionstamp);

    let kind = MutationKind::Set { value: Value::U64(round), expire_at: None, versionstamped: true };
    commit(database, AtomicWrite::new().mutate(Mutation { key: log(client), kind })).into_result().unwrap();

    let message = Enqueue { deliver_at: Time::In(std::time::Duration::from_secs(3600)), ..Enqueue::new(vec![7]) };
    commit(database, AtomicWrite::new().enqueue(message)).into_result().unwrap();

    let range = Selector::prefix(&Key::from_parts(&["range".into(), (client as f64).into()]).unwrap());
    let numbered = |i: u32| Key::from_parts(&["range".into(), (client as f64).into(), f64::from(i).into()]).unwrap();
    let fill = (0..3).map(|i| set(numbered(i), 0)).fold(AtomicWrite::new(), AtomicWrite::mutate);
    commit(database, fill).into_result().unwrap();
    assert_eq!(block_on(database.delete_range(&range)).unwrap(), 3);
}

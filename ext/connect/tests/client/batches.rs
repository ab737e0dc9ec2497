//! Writes that wait while others are sent share a request.

use std::collections::HashSet;

use futures_util::future::join_all;
use openkv_connect::wire::write::WriteOutcome;
use openkv_engine::{
    AtomicWrite, Check, Commit, Error, Key, Mutation, MutationKind, Operand, Result, Value, Versionstamp,
};

use crate::support::*;

const WRITES: &str = "/openkv/write";
const WRITE: &str = "/atomic_write";

fn key(name: &str) -> Key {
    Key::from([name])
}

fn sum(name: &str) -> AtomicWrite {
    AtomicWrite::new().mutate(Mutation::sum(key(name), 1))
}

/// Returns the keys that each request writes, in the order of the requests.
fn sent(servers: &Servers) -> Vec<Vec<Key>> {
    let keys =
        |writes: Vec<AtomicWrite>| writes.into_iter().flat_map(|write| write.mutations).map(|set| set.key).collect();
    servers
        .calls()
        .iter()
        .map(|call| {
            if call.path.ends_with(WRITES) {
                return keys(writes_of(call));
            }
            assert!(call.path.ends_with(WRITE), "{}", call.path);
            let message = openkv_connect::wire::Message::decode(call.body.clone()).unwrap();
            keys(vec![openkv_connect::wire::write::decode(message).unwrap()])
        })
        .collect()
}

/// Makes writes without waiting for any, and waits for all.
async fn written(servers: &Servers, writes: impl IntoIterator<Item = AtomicWrite>) -> Vec<Result<Commit>> {
    let database = servers.opened().await;
    join_all(writes.into_iter().map(|write| database.write(write)).collect::<Vec<_>>()).await
}

fn names(keys: &[&[&str]]) -> Vec<Vec<Key>> {
    keys.iter().map(|keys| keys.iter().map(|name| key(name)).collect()).collect()
}

#[tokio::test(start_paused = true)]
async fn writes_in_flight_share_a_request_in_their_order() {
    let servers = Servers::openkv(|_| None);
    let results = written(&servers, ["a", "b", "a", "c"].map(set)).await;
    let versions: Vec<_> = results.into_iter().map(|result| result.unwrap().into_result().unwrap()).collect();
    assert_eq!(versions, [1000, 1001, 1002, 1003].map(Versionstamp::from_version));
    assert_eq!(sent(&servers), names(&[&["a", "b", "a", "c"]]));
}

#[tokio::test(start_paused = true)]
async fn each_write_has_its_outcome() {
    let servers = Servers::openkv(|call| {
        let conflict = Ok(WriteOutcome::Commit(Commit::Conflict { failed: vec![0] }));
        let refused = Err(Error::StoredNotU64 { operation: "sum" });
        call.path.ends_with(WRITES).then(|| outcomes([committed(7), conflict, refused, Ok(WriteOutcome::Disabled)]))
    });
    let checked = set("b").check(Check::absent(key("b")));
    let results = written(&servers, [set("a"), checked, sum("c"), set("d")]).await;
    let [one, two, three, four] = &results[..] else { panic!("{results:?}") };
    assert!(matches!(one, Ok(Commit::Done(version)) if *version == Versionstamp::from_version(7)), "{one:?}");
    assert!(matches!(two, Ok(Commit::Conflict { failed }) if *failed == [0]), "{two:?}");
    assert!(matches!(three, Err(Error::StoredNotU64 { .. })), "{three:?}");
    assert!(matches!(four, Err(Error::ReadOnly)), "{four:?}");
}

#[tokio::test(start_paused = true)]
async fn rejected_writes_share_no_request_with_later_ones_that_matter_to_them() {
    let servers = Servers::openkv(|_| None);
    let checked = set("x").check(Check::absent(key("b")));
    // A versionstamped key is the key that it is given, and a string.
    let kind = MutationKind::Set { value: Value::U64(1), expire_at: None, versionstamped: true };
    let versionstamped = AtomicWrite::new().mutate(Mutation { key: key("d"), kind });
    let below = AtomicWrite::new().mutate(Mutation::sum(Key::from(["d", "e"]), 1));
    let writes = [sum("a"), set("b"), set("a"), checked, set("c"), set("b"), below, set("d"), versionstamped];
    for result in written(&servers, writes).await {
        result.unwrap().into_result().unwrap();
    }
    let mut expected = names(&[&["a", "b"], &["a", "x", "c"], &["b", "d", "d"], &["d"]]);
    expected[2][1] = Key::from(["d", "e"]);
    assert_eq!(sent(&servers), expected);
}

#[tokio::test(start_paused = true)]
async fn writes_that_may_be_in_any_order_share_a_request() {
    let checked = |name| set(name).check(Check::absent(key(name)));
    let min = AtomicWrite::new().mutate(Mutation {
        key: key("n"),
        kind: MutationKind::Combine { operand: Operand::Min, value: Value::U64(1) },
    });
    let requests: [(Vec<AtomicWrite>, &[&[&str]]); 7] = [
        (["n", "n", "m", "n"].map(sum).to_vec(), &[&["n", "n", "m", "n"]]),
        (["a", "b", "c"].map(checked).to_vec(), &[&["a", "b", "c"]]),
        (vec![checked("a"), set("a")], &[&["a"], &["a"]]),
        (vec![sum("n").check(Check::absent(key("a"))), checked("a")], &[&["n"], &["a"]]),
        (vec![sum("n"), set("a").check(Check::absent(key("n")))], &[&["n"], &["a"]]),
        (vec![set("a").check(Check::absent(key("n"))), sum("n")], &[&["a"], &["n"]]),
        (vec![sum("n"), min, sum("n")], &[&["n"], &["n"], &["n"]]),
    ];
    for (writes, expected) in requests {
        let servers = Servers::openkv(|_| None);
        for result in written(&servers, writes).await {
            result.unwrap().into_result().unwrap();
        }
        assert_eq!(sent(&servers), names(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn lost_response_is_asked_for_again_with_the_same_ids() {
    for failure in [|| Reply::Cut, || Reply::status(500, "boom"), || Reply::status(503, "")] {
        let servers = Servers::openkv(move |call| (call.path.ends_with(WRITES) && call.count < 2).then(failure));
        for result in written(&servers, ["a", "b", "c"].map(set)).await {
            result.unwrap().into_result().unwrap();
        }
        let calls = servers.calls_of(WRITES);
        let ids: Vec<Vec<_>> =
            calls.iter().map(|call| writes_of(call).into_iter().map(|write| write.id.unwrap()).collect()).collect();
        assert_eq!(ids.len(), 3);
        assert!(ids.iter().all(|sent| *sent == ids[0]));
        assert_eq!(ids[0].iter().collect::<HashSet<_>>().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_unknown_without_a_response() {
    let replies: [fn() -> Reply; 4] =
        [|| Reply::Cut, || Reply::ok("<html>"), || outcomes([committed(1)]), || outcomes([])];
    for reply in replies {
        let servers = Servers::openkv(move |call| call.path.ends_with(WRITES).then(reply));
        for result in written(&servers, ["a", "b"].map(set)).await {
            assert!(matches!(result, Err(Error::OutcomeUnknown(_))), "{result:?}");
        }
    }
    let servers = Servers::openkv(|call| {
        call.path.ends_with(WRITES).then(|| Reply::status(403, "no").with("x-openkv-error", "read_only"))
    });
    for result in written(&servers, ["a", "b"].map(set)).await {
        assert!(matches!(result, Err(Error::ReadOnly)), "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded() {
    let servers = Servers::openkv(|_| None);
    let large = |_| AtomicWrite::new().mutate(Mutation::set(key("a"), Value::Bytes(vec![0; 60_000])));
    let many = |_| (0..60).fold(AtomicWrite::new(), |write, _| write.mutate(Mutation::delete(key("a"))));
    let small = std::iter::repeat_n(set("a"), 150);
    for result in written(&servers, small.chain((0..40).map(large)).chain((0..3).map(many))).await {
        result.unwrap().into_result().unwrap();
    }
    assert!(servers.calls().iter().all(|call| call.body.len() < 1_100_000));
    // 17 large writes have a megabyte.
    let writes: Vec<_> = sent(&servers).iter().map(Vec::len).collect();
    assert_eq!(writes, [100, 50 + 17, 17, 6 + 60, 60, 60]);
}

#[tokio::test(start_paused = true)]
async fn read_between_writes_keeps_its_place() {
    let servers = Servers::openkv(|_| None);
    let database = servers.opened().await;
    let first = database.write(set("a"));
    let read = database.get(&key("a"));
    let (second, third) = (database.write(set("b")), database.write(set("a")));
    let commits = join_all([first, second, third]);
    let (commits, found) = futures_util::future::join(commits, read).await;
    for commit in commits {
        commit.unwrap().into_result().unwrap();
    }
    assert_eq!(found.unwrap(), None);
    let calls: Vec<_> = servers.calls().iter().map(|call| call.path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(calls, ["write", "snapshot_read", "atomic_write"]);
}

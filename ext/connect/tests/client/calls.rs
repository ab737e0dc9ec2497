//! Reads when the server fails.

use std::time::Duration;

use openkv_connect::wire::metadata::{Endpoint, EndpointConsistency};
use openkv_connect::wire::{Message, datapath, openkv, read};
use openkv_engine::{Consistency, Error, Key, Read, ReadEntry, ReadOptions, Result, Selector, Value, Versionstamp};
use tokio::time::Instant;

use crate::support::*;

fn key() -> Key {
    Key::from(["a"])
}

/// Reads a key from a server with scripted replies. Returns the result and the number of attempts.
async fn read_of(reply: impl Fn(usize) -> Option<Reply> + Send + Sync + 'static) -> (Result<bool>, usize) {
    let servers =
        Servers::openkv(move |call| if call.path.ends_with("/snapshot_read") { reply(call.count) } else { None });
    let database = servers.opened().await;
    let result = database.get(&key()).await.map(|entry| entry.is_some());
    (result, servers.calls_of("/snapshot_read").len())
}

#[tokio::test(start_paused = true)]
async fn read_is_retried_until_it_succeeds() {
    let failures: [fn() -> Reply; 7] = [
        || Reply::status(500, "boom"),
        || Reply::status(502, ""),
        || Reply::status(503, "later").with("retry-after", "1"),
        || Reply::status(429, ""),
        || Reply::Cut,
        || Reply::CutAfter(vec![8, 1].into()),
        || Reply::Stall,
    ];
    for failure in failures {
        let (found, calls) = read_of(move |count| (count < 2).then(failure)).await;
        assert_eq!((found.unwrap(), calls), (false, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn refused_connections_are_retried() {
    let servers = Servers::openkv(|_| None);
    let database = servers.opened().await;
    servers.cut();
    servers.refuse(3);
    assert_eq!(database.get(&key()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn read_fails_when_retries_time_out() {
    let start = Instant::now();
    let (result, calls) = read_of(|_| Some(Reply::status(500, "boom"))).await;
    let expected = "the database failed: KV Connect failed to call 'http://kv.test/v3/snapshot_read' (status=500 Internal \
                    Server Error): boom";
    assert_eq!(message(result), expected);
    assert!((10..30).contains(&calls), "{calls}");
    assert!(start.elapsed() <= Duration::from_secs(61), "{:?}", start.elapsed());

    let servers = Servers::openkv(|_| None);
    let database = servers.opened().await;
    servers.cut();
    servers.refuse(usize::MAX);
    let expected = "the database failed: KV Connect failed to call 'http://kv.test/v3/snapshot_read': client error (Connect): \
                    tcp connect error: Connection refused (os error 111)";
    assert_eq!(message(database.get(&key()).await), expected);
}

#[tokio::test(start_paused = true)]
async fn servers_that_cannot_tell_the_expiry_are_reported() {
    let error = message(Servers::other(|_| None).opened().await.expiries(&[key()]).await);
    assert_eq!(error, "the server of this database cannot tell when entries expire");
}

#[tokio::test(start_paused = true)]
async fn permanent_failure_is_not_retried() {
    let (result, calls) = read_of(|_| Some(Reply::status(400, "bad thing"))).await;
    let expected = "the database failed: KV Connect failed to call 'http://kv.test/v3/snapshot_read' (status=400 Bad \
                    Request): bad thing";
    assert_eq!((message(result).as_str(), calls), (expected, 1));
}

#[tokio::test(start_paused = true)]
async fn malformed_response_is_an_error() {
    let entry = |value: &[u8], encoding, versionstamp: &[u8]| {
        let entry = datapath::KvEntry {
            key: key().into_bytes(),
            value: value.to_vec(),
            encoding,
            versionstamp: versionstamp.to_vec(),
        };
        let ranges = vec![datapath::ReadRangeOutput { values: vec![entry] }];
        datapath::SnapshotReadOutput { ranges, read_is_strongly_consistent: true, status: 1, ..Default::default() }
    };
    let bodies = [
        entry(b"1234567", 2, &[0; 10]).encode_to_vec(),
        entry(b"", 9, &[0; 10]).encode_to_vec(),
        entry(b"", 3, &[0; 9]).encode_to_vec(),
        b"<html>".to_vec(),
        read::encode_output(vec![]).encode_to_vec(),
        read::encode_output(vec![vec![], vec![]]).encode_to_vec(),
    ];
    for body in bodies {
        let (result, calls) = read_of(move |_| Some(Reply::ok(body.clone()).with("content-type", "text/html"))).await;
        let message = message(result);
        assert!(message.contains("failed to decode the response of 'http://kv.test/v3/snapshot_read'"), "{message}");
        assert_eq!(calls, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn endpoint_that_cannot_read_is_resolved_again() {
    let output = |read_disabled, read_is_strongly_consistent, status| datapath::SnapshotReadOutput {
        ranges: vec![datapath::ReadRangeOutput::default()],
        read_disabled,
        read_is_strongly_consistent,
        status,
    };
    let outputs = [
        (output(false, false, 1), "Strong consistency reads are not available for this database"),
        (output(true, true, 0), "Reads are disabled for this database"),
        (output(false, true, 2), "Reads are disabled for this database"),
    ];
    for (output, expected) in outputs {
        let again = output.clone();
        let (result, calls) = read_of(move |count| (count == 0).then(|| Reply::message(&output))).await;
        assert_eq!((result.unwrap(), calls), (false, 2));
        let (result, _) = read_of(move |_| Some(Reply::message(&again))).await;
        assert_eq!(message(result), format!("the database failed: {expected}"));
    }
}

#[tokio::test(start_paused = true)]
async fn endpoint_is_chosen_by_consistency() {
    for has_eventual in [true, false] {
        let servers = Servers::openkv(move |call| {
            (call.path == "/db").then(|| {
                let mut metadata = metadata(3, HOUR);
                let other = Endpoint { url: "/other".into(), consistency: EndpointConsistency::Unknown };
                metadata.endpoints.insert(0, other);
                if has_eventual {
                    let eventual = Endpoint { url: "/near".into(), consistency: EndpointConsistency::Eventual };
                    metadata.endpoints.insert(0, eventual);
                }
                metadata_reply(&metadata, true)
            })
        });
        let database = servers.opened().await;
        let key = key();
        let reads = [Read::Key(&key)];
        let eventual = ReadOptions::default().consistency(Consistency::Eventual);
        let _ = database.read(&reads, eventual).await;
        let _ = database.read(&reads, ReadOptions::default()).await;
        let paths: Vec<_> = servers.calls().into_iter().map(|call| call.path).collect();
        let near = if has_eventual { "/near/snapshot_read" } else { "/v3/snapshot_read" };
        assert_eq!(paths, [near, "/v3/snapshot_read"]);
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_without_a_strong_endpoint_fail_calls() {
    let servers = Servers::openkv(|call| {
        (call.path == "/db").then(|| {
            let mut metadata = metadata(3, HOUR);
            metadata.endpoints[0].consistency = EndpointConsistency::Eventual;
            metadata_reply(&metadata, true)
        })
    });
    let database = servers.opened().await;
    assert!(
        message(database.get(&key()).await)
            .ends_with("found no endpoint with strong consistency in the metadata of the database")
    );
    assert!(matches!(database.write(set("a")).await, Err(Error::Storage(_))));
}

#[tokio::test(start_paused = true)]
async fn headers_depend_on_the_version() {
    let id = "0190a0b0-c0d0-7000-8000-00000000000a";
    for version in 1..=3 {
        let servers = Servers::other(move |call| {
            (call.path == "/db").then(|| {
                let mut metadata = metadata(version, HOUR);
                metadata.endpoints[0].url = "http://kv.test/v3/".into();
                metadata_reply(&metadata, false)
            })
        });
        let database = servers.opened().await;
        database.get(&key()).await.unwrap();
        let [call] = &servers.calls()[..] else { panic!("{:?}", servers.calls()) };
        assert_eq!(call.path, "/v3/snapshot_read");
        assert_eq!(call.header("authorization"), Some("Bearer token"));
        assert_eq!(call.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(call.header("x-transaction-domain-id"), (version == 1).then_some(id));
        assert_eq!(call.header("x-denokv-database-id"), (version > 1).then_some(id));
        assert_eq!(call.header("x-denokv-version"), (version > 1).then_some(if version == 2 { "2" } else { "3" }));
        assert_eq!(database.watch(&[key()]).is_ok(), version == 3);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_remote_database_are_preserved() {
    let error = |code: &'static str| read_of(move |_| Some(Reply::status(400, "no").with("x-openkv-error", code)));
    let (result, calls) = error("too_many_entries 7").await;
    assert!(matches!(result, Err(Error::TooManyEntries { max: 7 })), "{result:?}");
    assert_eq!(calls, 1);
    assert!(matches!(error("busy").await.0, Err(Error::Busy)));
    assert!(matches!(error("unknown_code 7").await.0, Err(Error::Storage(_))));

    // The header is ignored without the extension.
    let servers = Servers::other(|call| {
        call.path.ends_with("_read").then(|| Reply::status(400, "no").with("x-openkv-error", "busy"))
    });
    let result = servers.opened().await.get(&key()).await;
    assert!(matches!(result, Err(Error::Storage(_))), "{result:?}");
}

fn values(len: usize) -> Vec<Vec<ReadEntry>> {
    let entry = |i: usize| ReadEntry {
        key: Key::from([i.to_string().as_str()]),
        value: Some(Value::Bytes(vec![0; 10])),
        versionstamp: Versionstamp::from_version(1),
    };
    vec![(0..len).map(entry).collect()]
}

#[tokio::test(start_paused = true)]
async fn limits_of_bytes_and_values_apply_with_any_server() {
    for has_extension in [true, false] {
        let script = |call: &Call| call.path.ends_with("read").then(|| Reply::message(&read::encode_output(values(5))));
        let servers = if has_extension { Servers::openkv(script) } else { Servers::other(script) };
        let database = servers.opened().await;
        let range = |values| Read::Range { start: &[], end: &[255], limit: 5, reverse: false, values };
        let options = ReadOptions::default().max_bytes(25);
        let found = database.read(&[range(true)], options).await.unwrap();
        assert_eq!(found[0].len(), 3);
        let found = database.read(&[range(false)], ReadOptions::default()).await.unwrap();
        assert!(found[0].len() == 5 && found[0].iter().all(|entry| entry.value.is_none()));
        for call in servers.calls() {
            assert_eq!(call.path, if has_extension { "/v3/openkv/read" } else { "/v3/snapshot_read" });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn extension_counts_and_deletes_on_the_server() {
    let servers = Servers::openkv(|call| match &*call.path {
        "/v3/openkv/count" => Some(Reply::message(&openkv::CountOutput { count: 7 })),
        "/v3/openkv/delete_range" => Some(Reply::message(&openkv::DeleteRangeOutput { deleted: 3 })),
        _ => None,
    });
    let database = servers.opened().await;
    let all = Selector::prefix(&Key::new());
    assert_eq!(database.count(&all).await.unwrap(), 7);
    assert_eq!(database.delete_range(&all).await.unwrap(), 3);
    assert_eq!(servers.calls().len(), 2);

    let servers = Servers::other(|call| {
        let read = || Reply::message(&read::encode_output(values(5)));
        (call.path.ends_with("_read") && call.count % 2 == 0).then(read)
    });
    let database = servers.opened().await;
    assert_eq!(database.delete_range(&all).await.unwrap(), 5);
    let [call] = &servers.calls_of("/atomic_write")[..] else { panic!("{:?}", servers.calls()) };
    let write = datapath::AtomicWrite::decode(call.body.clone()).unwrap();
    assert_eq!((write.checks.len(), write.mutations.len()), (5, 5));
    assert!(database.limits().deletions <= 10, "other servers accept no more checks in a write");
}

#[tokio::test(start_paused = true)]
async fn deletion_ends_if_the_server_does_not_report_failed_checks() {
    for (changed, deleted) in [("4", 2), ("0", 4), ("none", 5)] {
        let changed = Key::from([changed]).into_bytes();
        let servers = Servers::other(move |call| {
            if call.path.ends_with("_read") {
                return (call.count == 0).then(|| Reply::message(&read::encode_output(values(5))));
            }
            if !call.path.ends_with("/atomic_write") {
                return None;
            }
            let write = datapath::AtomicWrite::decode(call.body.clone()).unwrap();
            let conflict = datapath::AtomicWriteOutput { status: 2, ..Default::default() };
            match call.count {
                20.. => Some(Reply::status(400, "too many writes")),
                _ => write.checks.iter().any(|check| check.key == changed).then(|| Reply::message(&conflict)),
            }
        });
        let database = servers.opened().await;
        let all = Selector::prefix(&Key::new());
        assert_eq!(database.delete_range(&all).await.unwrap(), deleted);
    }
}

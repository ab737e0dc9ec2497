//! Writes when the server fails: none is committed twice.

use std::collections::HashSet;
use std::time::Duration;

use openkv_connect::client::connect;
use openkv_connect::wire::{datapath, openkv};
use openkv_engine::{AtomicWrite, Commit, Enqueue, Error, Key, Selector, Versionstamp};

use crate::support::*;

const WRITE: &str = "/atomic_write";

/// Failures after which the outcome of the write is unknown.
const UNKNOWN: [fn() -> Reply; 6] = [
    || Reply::Cut,
    || Reply::CutAfter(vec![8].into()),
    || Reply::Stall,
    || Reply::status(500, "boom"),
    || Reply::status(502, ""),
    || Reply::status(504, ""),
];

#[tokio::test(start_paused = true)]
async fn write_with_an_id_is_retried_until_its_outcome_is_known() {
    for failure in UNKNOWN {
        let servers = Servers::openkv(move |call| (call.path.ends_with(WRITE) && call.count < 2).then(failure));
        let database = servers.opened().await;
        let commit = database.write(set("a")).await.unwrap();
        assert_eq!(commit, Commit::Done(Versionstamp::from_version(3)));
        database.write(set("a")).await.unwrap().into_result().unwrap();
        let calls = servers.calls_of(WRITE);
        let ids: Vec<_> = calls.iter().map(|call| call.header("x-openkv-commit-id").unwrap()).collect();
        assert_eq!(ids[..3], [ids[0]; 3]);
        assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (4, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn write_without_an_id_is_not_retried() {
    for failure in UNKNOWN {
        let servers = Servers::other(move |call| call.path.ends_with(WRITE).then(failure));
        let database = servers.opened().await;
        let result = database.write(set("a")).await;
        assert!(matches!(result, Err(Error::OutcomeUnknown(_))), "{result:?}");
        let [call] = &servers.calls_of(WRITE)[..] else { panic!("{:?}", servers.calls()) };
        assert_eq!(call.header("x-openkv-commit-id"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn unprocessed_write_is_retried() {
    for status in [429, 503] {
        let servers = Servers::other(move |call| {
            (call.path.ends_with(WRITE) && call.count < 3).then(|| Reply::status(status, ""))
        });
        let database = servers.opened().await;
        database.write(set("a")).await.unwrap().into_result().unwrap();
        assert_eq!(servers.calls_of(WRITE).len(), 4);
    }
    let servers = Servers::other(|_| None);
    let database = servers.opened().await;
    servers.cut();
    servers.refuse(3);
    database.write(set("a")).await.unwrap().into_result().unwrap();
    servers.cut();
    servers.refuse(usize::MAX);
    let result = database.write(set("a")).await;
    assert!(matches!(result, Err(Error::Storage(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn extreme_retry_after_fails_the_write_only() {
    let servers = Servers::other(|call| {
        let extreme = || Reply::status(503, "busy").with("retry-after", &u64::MAX.to_string());
        (call.path.ends_with(WRITE) && call.count == 0).then(extreme)
    });
    let database = servers.opened().await;
    let message = message(database.write(set("a")).await);
    assert!(message.ends_with("(status=503 Service Unavailable): busy"), "{message}");
    database.write(set("a")).await.unwrap().into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_http2_stream_is_retried() {
    use openkv_connect::wire::Message;

    // The server refuses the first write with RST_STREAM or GOAWAY.
    for with_goaway in [false, true] {
        let (network, mut connections) = tokio::sync::mpsc::unbounded_channel();
        let writes = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = writes.clone();
        tokio::spawn(async move {
            while let Some(stream) = connections.recv().await {
                let writes = counted.clone();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake::<tokio::io::DuplexStream>(stream).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let body = if request.uri().path() == "/db" {
                            metadata(3, HOUR).encode().into_bytes()
                        } else if writes.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                            if with_goaway {
                                connection.abrupt_shutdown(h2::Reason::NO_ERROR);
                            } else {
                                respond.send_reset(h2::Reason::REFUSED_STREAM);
                            }
                            continue;
                        } else {
                            let version = Versionstamp::from_version(1).as_bytes().to_vec();
                            datapath::AtomicWriteOutput { status: 1, versionstamp: version, failed_checks: vec![] }
                                .encode_to_vec()
                        };
                        let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                        stream.send_data(body.into(), true).unwrap();
                    }
                });
            }
        });
        let servers = Servers::other(|_| None);
        let database = connect(URL, servers.options().network(Raw(network))).await.unwrap();
        let result = database.write(set("a")).await;
        if with_goaway {
            // GOAWAY reports the accepted request as possibly processed.
            assert!(matches!(result, Err(Error::OutcomeUnknown(_))), "{result:?}");
        } else {
            result.unwrap().into_result().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn outcome_is_unknown_when_retries_time_out() {
    for failure in UNKNOWN {
        let servers = Servers::openkv(move |call| call.path.ends_with(WRITE).then(failure));
        let database = connect(URL, servers.options().retry_for(Duration::from_secs(25))).await.unwrap();
        let result = database.write(set("a")).await;
        assert!(matches!(result, Err(Error::OutcomeUnknown(_))), "{result:?}");
    }
    // A later response does not settle the first attempt, unless it is an error of the database.
    let later: [(fn() -> Reply, bool); 3] = [
        (|| Reply::status(400, "no"), true),
        (|| Reply::ok("<html>"), true),
        (|| Reply::status(400, "no").with("x-openkv-error", "stored_not_u64 sum"), false),
    ];
    for (reply, is_unknown) in later {
        let servers = Servers::openkv(move |call| {
            call.path.ends_with(WRITE).then(|| if call.count == 0 { Reply::Cut } else { reply() })
        });
        let result = servers.opened().await.write(set("a")).await;
        assert_eq!(matches!(result, Err(Error::OutcomeUnknown(_))), is_unknown, "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn write_is_not_retried_after_the_extension_is_lost() {
    let servers = Servers::new(|call| match (&*call.path, call.count) {
        ("/db", 0) => metadata_reply(&metadata(3, Duration::from_secs(15)), true),
        ("/db", _) => metadata_reply(&metadata(3, HOUR), false),
        (_, _) => Reply::Stall,
    });
    let result = servers.open().await.unwrap().write(set("a")).await;
    assert!(matches!(result, Err(Error::OutcomeUnknown(_))), "{result:?}");
    // The metadata expired meanwhile.
    assert_eq!((servers.calls_of("/db").len(), servers.calls_of(WRITE).len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn response_has_the_outcome_of_the_write() {
    let reply = |output: datapath::AtomicWriteOutput| {
        let servers = Servers::other(move |call| call.path.ends_with(WRITE).then(|| Reply::message(&output)));
        async move { servers.opened().await.write(set("a")).await }
    };
    let output = |status| datapath::AtomicWriteOutput { status, ..Default::default() };
    let conflict = datapath::AtomicWriteOutput { failed_checks: vec![0, 7], ..output(2) };
    assert_eq!(reply(conflict).await.unwrap(), Commit::Conflict { failed: vec![0, 7] });
    assert!(matches!(reply(output(5)).await, Err(Error::ReadOnly)));
    for output in [output(0), output(1), output(99)] {
        let result = reply(output).await;
        assert!(matches!(result, Err(Error::OutcomeUnknown(_))), "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn range_deletion_is_retried_with_its_id() {
    let servers = Servers::openkv(|call| match (&*call.path, call.count) {
        ("/v3/openkv/delete_range", 0) => Some(Reply::status(503, "")),
        ("/v3/openkv/delete_range", 1) => Some(Reply::Cut),
        ("/v3/openkv/delete_range", _) => Some(Reply::message(&openkv::DeleteRangeOutput { deleted: 3 })),
        _ => None,
    });
    let database = servers.opened().await;
    let all = Selector::prefix(&Key::from(["a"]));
    assert_eq!(database.delete_range(&all).await.unwrap(), 3);
    assert_eq!(database.delete_range(&all).await.unwrap(), 3);
    let calls = servers.calls();
    let ids: Vec<_> = calls.iter().map(|call| call.header("x-openkv-commit-id").unwrap()).collect();
    assert_eq!((ids.len(), ids[0], ids[1]), (4, ids[2], ids[2]));
    assert_ne!(ids[3], ids[0]);
    let retries: Vec<_> = calls.iter().map(|call| call.header("x-openkv-retry")).collect();
    assert_eq!(retries, [None, None, Some("1"), None], "the server has not processed the first");
}

#[tokio::test(start_paused = true)]
async fn queue_of_writes_is_bounded() {
    let is_away = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let returned = is_away.clone();
    let servers = Servers::openkv(move |call| {
        let is_away = is_away.load(std::sync::atomic::Ordering::SeqCst);
        (call.path.ends_with("write") && is_away).then(|| Reply::status(503, ""))
    });
    let database = connect(URL, servers.options().queue_size(10_000)).await.unwrap();
    let large = || {
        let value = openkv_engine::Value::Bytes(vec![0; 1000]);
        database.write(AtomicWrite::new().mutate(openkv_engine::Mutation::set(Key::from(["a"]), value)))
    };
    let mut writes: Vec<_> = (0..20).map(|_| large()).collect();
    let rejected = writes.split_off(5);
    let mut full = Vec::new();
    for write in rejected.into_iter().rev().take(8) {
        full.push(message(write.await));
    }
    for message in full {
        let expected = "(max 10000 bytes): wait for earlier writes before making more";
        assert!(message.contains("too many writes wait for 'http://kv.test/v3/"), "{message}");
        assert!(message.ends_with(expected), "{message}");
    }
    returned.store(false, std::sync::atomic::Ordering::SeqCst);
    for write in writes {
        write.await.unwrap().into_result().unwrap();
    }
    large().await.unwrap().into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_writes_fail_together_with_an_unreachable_server() {
    let servers = Servers::other(|_| None);
    let database = servers.opened().await;
    servers.cut();
    servers.refuse(usize::MAX);
    let start = tokio::time::Instant::now();
    let writes: Vec<_> = (0..50).map(|_| database.write(set("a"))).collect();
    for write in writes {
        let message = message(write.await);
        assert!(message.contains("failed to call 'http://kv.test/v3/atomic_write'"), "{message}");
    }
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(70), "{waited:?}");
    // Later calls try again.
    servers.refuse(0);
    database.write(set("a")).await.unwrap().into_result().unwrap();
    database.get(&Key::from(["a"])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rejections_of_other_servers_are_those_of_deno() {
    let text = "Failed to perform 'sum' mutation on a non-U64 value in the database";
    let servers = Servers::other(move |call| call.path.ends_with(WRITE).then(|| Reply::status(400, text)));
    let result = servers.opened().await.write(set("a")).await;
    assert!(matches!(result, Err(Error::StoredNotU64 { operation: "sum" })), "{result:?}");
    let servers = Servers::other(move |call| call.path.ends_with(WRITE).then(|| Reply::status(500, text)));
    let result = servers.opened().await.write(set("a")).await;
    assert!(matches!(result, Err(Error::OutcomeUnknown(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_are_enqueued_without_the_extension() {
    let servers = Servers::other(|_| None);
    let database = servers.opened().await;
    let enqueue = Enqueue::new(b"message".to_vec()).delay(Duration::from_secs(1));
    database.write(AtomicWrite::new().enqueue(enqueue)).await.unwrap().into_result().unwrap();
    let [call] = &servers.calls()[..] else { panic!("{:?}", servers.calls()) };
    let write = <datapath::AtomicWrite as openkv_connect::wire::Message>::decode(call.body.clone()).unwrap();
    assert_eq!(write.enqueues[0].payload, b"message");
}

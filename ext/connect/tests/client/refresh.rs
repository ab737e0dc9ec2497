//! The refresh of metadata.

use std::time::Duration;

use futures_util::future::join_all;
use openkv_engine::{Error, Key};

use crate::support::*;

fn key() -> Key {
    Key::from(["a"])
}

/// Returns the number of metadata exchanges.
fn exchanges(servers: &Servers) -> usize {
    servers.calls_of("/db").len()
}

#[tokio::test(start_paused = true)]
async fn metadata_are_refreshed_before_they_expire() {
    let servers = Servers::new(|call| {
        let mut metadata = metadata(3, Duration::from_secs(100));
        metadata.token = format!("token {}", call.count);
        if call.path == "/db" { metadata_reply(&metadata, true) } else { found([None]) }
    });
    let database = servers.open().await.unwrap();
    for _ in 0..1000 {
        database.get(&key()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Each was used for 70 to 90 seconds.
    assert!((11..=15).contains(&exchanges(&servers)), "{}", exchanges(&servers));
    let tokens: std::collections::BTreeSet<_> =
        servers.calls_of("_read").iter().map(|call| call.header("authorization").unwrap().to_owned()).collect();
    assert!(tokens.len() >= 11, "{tokens:?}");
    // An idle client does not refresh them.
    let before = exchanges(&servers);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(exchanges(&servers), before);
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_share_an_exchange() {
    let servers = Servers::openkv(|call| {
        (call.path == "/db").then(|| metadata_reply(&metadata(3, Duration::from_secs(100)), true))
    });
    let database = servers.open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(101)).await;
    for result in join_all((0..100).map(|_| database.get(&key()))).await {
        result.unwrap();
    }
    assert_eq!(exchanges(&servers), 2);
}

#[tokio::test(start_paused = true)]
async fn metadata_of_a_skewed_clock_are_used_for_a_minimum_time() {
    let servers =
        Servers::openkv(|call| (call.path == "/db").then(|| metadata_reply(&metadata(3, Duration::ZERO), true)));
    let database = servers.open().await.unwrap();
    for _ in 0..100 {
        database.get(&key()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(exchanges(&servers) <= 2);
}

#[tokio::test(start_paused = true)]
async fn rejected_token_is_refreshed_once() {
    for (status, body) in [(401, ""), (403, ""), (400, "invalidAuthorizationHeader")] {
        let servers = Servers::openkv(move |call| {
            let is_old = |call: &Call| call.header("authorization") == Some("Bearer token");
            match &*call.path {
                "/db" if call.count > 0 => {
                    let mut metadata = metadata(3, HOUR);
                    metadata.token = "refreshed".into();
                    Some(metadata_reply(&metadata, true))
                }
                path if path != "/db" && is_old(call) => Some(Reply::status(status, body)),
                _ => None,
            }
        });
        let database = servers.open().await.unwrap();
        database.get(&key()).await.unwrap();
        // The rejected write was not processed, so it is sent again.
        database.write(set("a")).await.unwrap().into_result().unwrap();
        assert_eq!((exchanges(&servers), servers.calls_of("_read").len()), (2, 2));

        let servers = Servers::other(move |call| (call.path != "/db").then(|| Reply::status(status, body)));
        let database = servers.open().await.unwrap();
        assert!(matches!(database.get(&key()).await, Err(Error::Storage(_))));
        assert!(matches!(database.write(set("a")).await, Err(Error::Storage(_))));
        assert_eq!((servers.calls_of("_read").len(), servers.calls_of("_write").len()), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn failed_exchange_is_retried() {
    let servers = Servers::openkv(|call| match (&*call.path, call.count) {
        ("/db", 0) => Some(metadata_reply(&metadata(3, Duration::from_secs(100)), true)),
        ("/db", 1..=3) => Some(Reply::status(500, "boom")),
        ("/db", 4) => Some(Reply::Cut),
        _ => None,
    });
    let database = servers.open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(95)).await;
    // The metadata have not expired yet.
    database.get(&key()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    database.get(&key()).await.unwrap();
    assert_eq!(exchanges(&servers), 6);
}

#[tokio::test(start_paused = true)]
async fn permanent_failure_of_the_exchange_fails_the_call() {
    let servers = Servers::openkv(|call| match (&*call.path, call.count) {
        ("/db", 0) => Some(metadata_reply(&metadata(3, Duration::from_secs(100)), true)),
        ("/db", _) => Some(Reply::status(401, "revoked")),
        _ => None,
    });
    let database = servers.open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(101)).await;
    let expected = "the database failed: KV Connect failed to refresh the metadata: the metadata endpoint at \
                    'http://kv.test/db' responded with status 401 Unauthorized: revoked";
    assert_eq!(message(database.get(&key()).await), expected);
    assert_eq!(message(database.write(set("a")).await), expected);
    assert!(servers.calls_of("_write").is_empty());
}

use http::{HeaderMap, Method};
use openkv_connect::wire;
use openkv_engine::{AtomicWrite, Check, Mutation, Value};

use crate::support::{Client, Connection, READER, WRITER, key, operator, options, start};

#[tokio::test]
async fn health_is_public_and_metrics_are_for_operators() {
    let running = start(options()).await;
    let mut operator = operator(&running).await;
    let mut client = Connection::http2(running.address).await;
    for connection in [&mut operator, &mut client] {
        for path in ["/healthz", "/readyz"] {
            let reply = connection.get(path).await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, "ok\n"), "{path}");
            assert_eq!(connection.send(Method::HEAD, path, &HeaderMap::new(), "").await.status, 200);
        }
    }
    assert_eq!(client.get("/metrics").await.status, 404);
    assert_eq!(operator.get("/metrics").await.status, 200);
    assert_eq!(operator.get("/v3/watch").await.status, 404);
}

#[tokio::test]
async fn public_metrics_are_served_to_clients() {
    let mut options = options();
    options.public_metrics = true;
    let running = start(options).await;
    let reply = Connection::http1(running.address).await.get("/metrics").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}

#[tokio::test]
async fn metrics_count_requests_and_outcomes() {
    let running = start(options()).await;
    let mut operator = operator(&running).await;
    let mut client = Client::open(&running, WRITER).await;
    let write = AtomicWrite::new().check(Check::absent(key("a"))).mutate(Mutation::set(key("a"), Value::U64(1)));
    for _ in 0..3 {
        client.call("atomic_write", &wire::write::encode(&write, 0)).await;
    }
    client.headers.insert("authorization", "Bearer none".parse().unwrap());
    client.call("snapshot_read", &wire::read::encode(&[])).await;
    let _frames =
        Client::with(client.connection, READER).await.stream("watch", &wire::watch::encode(&[key("a")])).await;
    let text = operator.get("/metrics").await.text().to_owned();
    for line in [
        "openkv_commits_total 1",
        "openkv_conflicts_total 2",
        "openkv_denied_total 1",
        "openkv_requests_total{call=\"atomic_write\",status=\"2xx\"} 3",
        "openkv_requests_total{call=\"snapshot_read\",status=\"4xx\"} 1",
        "openkv_requests_total{call=\"metadata_exchange\",status=\"2xx\"} 2",
        "openkv_request_seconds_count{call=\"atomic_write\"} 3",
        "openkv_connections 1",
        "openkv_streams 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn server_with_a_closed_database_is_not_ready() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    running.database.close();
    let reply = client.connection.get("/readyz").await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("main"), "{}", reply.text());
    assert_eq!(client.connection.get("/healthz").await.status, 200);
    // The server is stopping: clients retry with its successor.
    let reply = client.call("atomic_write", &wire::write::encode(&AtomicWrite::new(), 0)).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-openkv-error")), (503, None));
}

use std::time::Duration;

use http::{HeaderMap, Method};
use openkv_connect::wire;
use openkv_connect::wire::datapath::{AtomicWriteOutput, WatchOutput};
use openkv_connect::wire::openkv::{Batch, Dequeue, Finish, Start};
use openkv_engine::{AtomicWrite, Enqueue, Mutation, Value};
use openkv_fake::open;
use tokio::net::TcpStream;

use crate::support::{Client, WRITER, key, options, received, serve, start};

#[tokio::test]
async fn shutdown_closes_watches_and_rejects_connections() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let mut frames = client.stream("watch", &wire::watch::encode(&[key("a")])).await;
    assert!(frames.message::<WatchOutput>().await.is_some());
    running.server.shutdown().await;
    assert_eq!(frames.next().await, None);
    assert!(client.connection.try_send(Method::GET, "/healthz", &HeaderMap::new(), "").await.is_err());
    assert!(TcpStream::connect(running.address).await.is_err());
    // The database stays open. Stopping twice is allowed.
    running.database.set(key("a"), Value::U64(1)).await.unwrap();
    running.server.shutdown().await;
}

#[tokio::test]
async fn writes_in_flight_get_their_response() {
    // The server is stopped between the commit and its response.
    let database = open(":memory:", openkv_fake::Options::default().delay(50..=50)).await.unwrap();
    let running = serve(database, options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let write = wire::write::encode(&AtomicWrite::new().mutate(Mutation::set(key("b"), Value::U64(1))), 0);
    let begun = tokio::spawn(async move { received(client.begin("atomic_write", &write).await).await });
    let mut watch = running.database.watch(&[key("b")]).unwrap();
    while watch.next().await.unwrap().unwrap()[0].is_none() {}
    running.server.shutdown().await;
    assert_eq!(begun.await.unwrap().message::<AtomicWriteOutput>().status, 1);
}

#[tokio::test]
async fn messages_being_handled_can_be_finished_during_shutdown() {
    let running = start(options()).await;
    for message in [b"a", b"b"] {
        let enqueue = AtomicWrite::new().enqueue(Enqueue::new(message.to_vec()));
        running.database.write(enqueue).await.unwrap().into_result().unwrap();
    }
    let mut client = Client::open(&running, WRITER).await;
    let mut frames = client.stream("openkv/dequeue", &Dequeue { limit: 10 }).await;
    let Batch { batch, messages } = frames.message().await.unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(client.call("openkv/start", &Start { batch: batch.clone(), index: 0 }).await.status, 200);

    let server = running.server.clone();
    let stopped = tokio::spawn(async move { server.shutdown().await });
    // The other message is requeued.
    let delivery = running.database.dequeue_one().await.unwrap().unwrap();
    assert_eq!(delivery.message, b"b");
    delivery.done().await.unwrap();
    assert_eq!(client.call("openkv/dequeue", &Dequeue { limit: 1 }).await.status, 503);
    assert_eq!(client.call("openkv/finish", &Finish { batch, index: 0, success: true }).await.status, 200);
    assert_eq!(frames.next().await, None);
    stopped.await.unwrap();
}

#[tokio::test]
async fn shutdown_timeout_closes_remaining_connections() {
    let mut options = options();
    options.shutdown_timeout = Duration::from_millis(10);
    let running = start(options).await;
    let enqueue = AtomicWrite::new().enqueue(Enqueue::new(b"a".to_vec()));
    running.database.write(enqueue).await.unwrap().into_result().unwrap();
    let mut client = Client::open(&running, WRITER).await;
    let mut frames = client.stream("openkv/dequeue", &Dequeue { limit: 10 }).await;
    let Batch { batch, .. } = frames.message().await.unwrap();
    assert_eq!(client.call("openkv/start", &Start { batch, index: 0 }).await.status, 200);
    running.server.shutdown().await;
    assert_eq!(frames.next().await, None);
}

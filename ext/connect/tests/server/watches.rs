use std::time::Duration;

use openkv_connect::wire;
use openkv_connect::wire::datapath::WatchOutput;
use openkv_connect::wire::frame::Frame;
use openkv_engine::{Entry, Value};

use crate::support::{Client, Connection, Frames, READER, key, options, start};

/// Returns the values of the next output, each of which must be sent as changed.
async fn next(frames: &mut Frames, keys: usize) -> Option<Vec<Option<Value>>> {
    let output: WatchOutput = frames.message().await?;
    assert!(output.keys.iter().all(|key| key.changed), "{output:?}");
    let entries = wire::watch::Watched::new(keys).apply(output).unwrap().unwrap().to_vec();
    Some(entries.into_iter().map(|entry: Option<Entry>| entry.map(|entry| entry.value)).collect())
}

#[tokio::test]
async fn watch_sends_all_keys_at_first_and_after_each_change() {
    let running = start(options()).await;
    running.database.set(key("a"), Value::U64(1)).await.unwrap();
    let http1 = Client::with(Connection::http1(running.address).await, READER).await;
    for (i, mut client) in (2..).zip([http1, Client::open(&running, READER).await]) {
        let mut frames = client.stream("watch", &wire::watch::encode(&[key("a"), key("none")])).await;
        assert_eq!(next(&mut frames, 2).await, Some(vec![Some(Value::U64(i - 1)), None]));
        running.database.set(key("a"), Value::U64(i)).await.unwrap();
        assert_eq!(next(&mut frames, 2).await, Some(vec![Some(Value::U64(i)), None]));
    }
}

#[tokio::test]
async fn watch_without_keys_is_rejected() {
    let running = start(options()).await;
    let mut client = Client::open(&running, READER).await;
    let reply = client.call("watch", &wire::watch::encode(&[])).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (400, "a watch needs at least one key"));
}

#[tokio::test]
async fn idle_watch_sends_pings() {
    let mut options = options();
    options.ping_interval = Duration::from_millis(1);
    let running = start(options).await;
    let mut client = Client::open(&running, READER).await;
    let mut frames = client.stream("watch", &wire::watch::encode(&[key("a")])).await;
    assert_eq!(next(&mut frames, 1).await, Some(vec![None]));
    for _ in 0..3 {
        assert_eq!(frames.next().await, Some(Frame::Ping));
    }
}

#[tokio::test]
async fn slow_client_gets_the_latest_state() {
    let running = start(options()).await;
    for connection in [Connection::http2(running.address).await, Connection::http1(running.address).await] {
        let mut client = Client::with(connection, READER).await;
        let mut frames = client.stream("watch", &wire::watch::encode(&[key("a")])).await;
        // Far more than the buffers of both sides hold.
        let value = |i: u32| Value::Bytes([&i.to_le_bytes()[..], &[0; 60_000]].concat());
        let count = 1000;
        for i in 0..count {
            running.database.set(key("a"), value(i)).await.unwrap();
        }
        let mut received = 0;
        loop {
            received += 1;
            if next(&mut frames, 1).await == Some(vec![Some(value(count - 1))]) {
                break;
            }
        }
        assert!(received < count, "{received} of {count} states were sent");
    }
}

#[tokio::test]
async fn watch_of_too_many_keys_is_rejected() {
    let running = start(options()).await;
    let mut client = Client::open(&running, READER).await;
    let reply = client.call("watch", &wire::watch::encode(&vec![key("a"); 11])).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-openkv-error")), (422, Some("too_many_keys 10")));
}

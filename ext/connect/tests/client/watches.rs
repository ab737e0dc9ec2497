//! Watches, and their reconnection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use openkv_connect::wire::{datapath, frame, watch};
use openkv_engine::{Database, Entry, Error, Key, Value, Watch, WatchEvent};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::*;

const WATCH: &str = "/watch";

/// Servers whose watches are fed by the test.
struct Fed {
    servers: Servers,
    streams: Arc<Mutex<VecDeque<mpsc::UnboundedSender<Bytes>>>>,
}

impl Fed {
    fn new() -> Self {
        let streams: Arc<Mutex<VecDeque<_>>> = Arc::default();
        let senders = streams.clone();
        let servers = Servers::other(move |call| {
            call.path.ends_with(WATCH).then(|| {
                let (sender, parts) = mpsc::unbounded_channel();
                senders.lock().push_back(sender);
                Reply::Stream(parts)
            })
        });
        Self { servers, streams }
    }

    /// Waits for the next connection of a watch.
    async fn stream(&self) -> mpsc::UnboundedSender<Bytes> {
        until(|| !self.streams.lock().is_empty()).await;
        self.streams.lock().pop_front().unwrap()
    }
}

fn output(entries: &[Option<Entry>]) -> Bytes {
    frame_of(&watch::encode_output(entries.to_vec()))
}

fn watched(database: &Database) -> Watch {
    database.watch(&[Key::from(["a"]), Key::from(["b"])]).unwrap()
}

async fn next(watch: &mut Watch) -> Vec<Option<Entry>> {
    watch.next().await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn watch_yields_the_initial_state_and_changes() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut watch = watched(&database);
    let stream = fed.stream().await;
    let both = [entry("a", 1).into(), None];
    let bytes = [&output(&both)[..], &frame::PING].concat();
    // Byte by byte.
    for byte in bytes {
        stream.send(vec![byte].into()).unwrap();
    }
    assert_eq!(next(&mut watch).await, both);
    let mut unchanged = watch::encode_output(vec![None, Some(entry("b", 2))]);
    unchanged.keys[0] = datapath::WatchKeyOutput::default();
    stream.send(frame_of(&unchanged)).unwrap();
    assert_eq!(next(&mut watch).await, [Some(entry("a", 1)), Some(entry("b", 2))]);
    assert!(watch.next().now_or_never().is_none());
    database.close();
    assert!(watch.next().await.is_none());
    stream.closed().await;
    assert!(fed.servers.calls_of("_read").is_empty());
}

#[tokio::test(start_paused = true)]
async fn slow_receiver_gets_the_initial_and_the_latest_state() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut watch = watched(&database);
    let stream = fed.stream().await;
    for number in 1..=20 {
        stream.send(output(&[Some(entry("a", number)), None])).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&Value::U64(20)) {
        seen.push(next(&mut watch).await[0].clone().unwrap().value);
    }
    assert_eq!(seen, [1, 20].map(Value::U64));
}

#[tokio::test(start_paused = true)]
async fn reconnected_watch_does_not_repeat_the_state() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut watch = watched(&database);
    let state = [Some(entry("a", 1)), None];
    let stream = fed.stream().await;
    stream.send(output(&state)).unwrap();
    assert_eq!(next(&mut watch).await, state);
    for _ in 0..3 {
        // The server closes the connection, and ends the response.
        fed.servers.cut();
        fed.stream().await.send(output(&state)).unwrap();
        drop(fed.stream().await);
    }
    let stream = fed.stream().await;
    stream.send(output(&state)).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(watch.next().now_or_never().is_none());
    stream.send(output(&[Some(entry("a", 2)), None])).unwrap();
    assert_eq!(next(&mut watch).await, [Some(entry("a", 2)), None]);
}

#[tokio::test(start_paused = true)]
async fn silent_watch_is_reconnected() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut watch = watched(&database);
    let stream = fed.stream().await;
    stream.send(output(&[None, None])).unwrap();
    assert_eq!(next(&mut watch).await, [None, None]);
    // Pings keep it open.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stream.send(frame::PING.to_vec().into()).unwrap();
    }
    assert_eq!(fed.servers.calls_of(WATCH).len(), 1);
    let start = Instant::now();
    let again = fed.stream().await;
    let silence = start.elapsed();
    assert!((15..17).contains(&silence.as_secs()), "{silence:?}");
    again.send(output(&[Some(entry("a", 7)), None])).unwrap();
    assert_eq!(next(&mut watch).await, [Some(entry("a", 7)), None]);
    assert!(stream.is_closed());
}

#[tokio::test(start_paused = true)]
async fn malformed_output_ends_the_watch() {
    let huge = (1_u32 << 30).to_le_bytes().to_vec();
    let garbage = [&4_u32.to_le_bytes()[..], b"\xff\xff\xff\xff"].concat();
    let unknown = frame_of(&datapath::WatchOutput { status: 9, keys: vec![] }).to_vec();
    let short = output(&[None]).to_vec();
    for bytes in [huge, garbage, unknown, short] {
        let fed = Fed::new();
        let database = fed.servers.opened().await;
        let mut watch = watched(&database);
        let stream = fed.stream().await;
        stream.send(output(&[None, None])).unwrap();
        stream.send(bytes.into()).unwrap();
        assert_eq!(next(&mut watch).await, [None, None]);
        let error = watch.next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("failed to decode the response of 'http://kv.test/v3/watch'"), "{error}");
        assert!(watch.next().await.is_none());
        assert_eq!(fed.servers.calls_of(WATCH).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn server_without_watches_ends_the_watch() {
    let servers = Servers::other(|_| None);
    let database = servers.opened().await;
    let mut watch = watched(&database);
    let message = message(watch.next().await.unwrap());
    assert!(
        message.ends_with("failed to call 'http://kv.test/v3/watch' (status=404 Not Found): not found"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn unreachable_server_ends_the_watch() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut watch = watched(&database);
    fed.stream().await.send(output(&[None, None])).unwrap();
    assert_eq!(next(&mut watch).await, [None, None]);
    fed.servers.cut();
    fed.servers.refuse(usize::MAX);
    let start = Instant::now();
    assert!(matches!(watch.next().await, Some(Err(Error::Storage(_)))));
    assert!((50..=61).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn write_waits_for_the_initial_state_of_its_keys() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut watch = watched(&database);
    let mut write = database.write(set("a"));
    let stream = fed.stream().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!((&mut write).now_or_never().is_none() && fed.servers.calls_of("_write").is_empty());
    stream.send(output(&[None, None])).unwrap();
    write.await.unwrap().into_result().unwrap();
    stream.send(output(&[Some(entry("a", 1)), None])).unwrap();
    assert!(matches!(watch.event().await, Some(Ok(WatchEvent::Entries(entries))) if entries == [None, None]));
    assert_eq!(next(&mut watch).await, [Some(entry("a", 1)), None]);

    // A watch that cannot connect does not block writes for long.
    fed.servers.cut();
    fed.servers.refuse(usize::MAX);
    let _watch = watched(&database);
    tokio::time::sleep(Duration::from_secs(1)).await;
    fed.servers.refuse(0);
    database.write(set("a")).await.unwrap().into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn watch_without_an_initial_state_is_reconnected() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut watch = watched(&database);
    let write = database.write(set("a"));
    let stream = fed.stream().await;
    // Pings keep the stream open.
    tokio::spawn(async move {
        while stream.send(frame::PING.to_vec().into()).is_ok() {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    });
    let commit = tokio::time::timeout(Duration::from_secs(600), write).await;
    commit.expect("the write does not wait forever").unwrap().into_result().unwrap();
    fed.stream().await.send(output(&[None, None])).unwrap();
    assert_eq!(next(&mut watch).await, [None, None]);
}

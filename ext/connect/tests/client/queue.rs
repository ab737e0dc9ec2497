//! The queue of a server with the extension.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openkv_connect::wire::openkv::{Batch, Dequeue, Finish, Start};
use openkv_connect::wire::{Message, frame};
use openkv_engine::Error;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::support::*;

const ID: [u8; 16] = [7; 16];

struct Fed {
    servers: Servers,
    streams: Arc<Mutex<VecDeque<mpsc::UnboundedSender<Bytes>>>>,
}

impl Fed {
    fn new() -> Self {
        let streams: Arc<Mutex<VecDeque<_>>> = Arc::default();
        let senders = streams.clone();
        let servers = Servers::openkv(move |call| match &*call.path {
            "/v3/openkv/dequeue" => {
                let (sender, parts) = mpsc::unbounded_channel();
                senders.lock().push_back(sender);
                Some(Reply::Stream(parts))
            }
            "/v3/openkv/start" | "/v3/openkv/finish" => Some(Reply::ok("")),
            _ => None,
        });
        Self { servers, streams }
    }

    async fn stream(&self) -> mpsc::UnboundedSender<Bytes> {
        until(|| !self.streams.lock().is_empty()).await;
        self.streams.lock().pop_front().unwrap()
    }

    fn finished(&self) -> Vec<(u32, bool)> {
        let finish = |call: &Call| Finish::decode(call.body.clone()).unwrap();
        self.servers.calls_of("/finish").iter().map(finish).map(|finish| (finish.index, finish.success)).collect()
    }
}

fn batch(messages: &[&[u8]]) -> Bytes {
    frame_of(&Batch { batch: ID.to_vec(), messages: messages.iter().map(|message| message.to_vec()).collect() })
}

#[tokio::test(start_paused = true)]
async fn messages_are_claimed_started_and_finished() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let claiming = database.dequeue();
    let stream = fed.stream().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    stream.send(frame::PING.to_vec().into()).unwrap();
    stream.send(batch(&[b"one", b"two", b"three"])).unwrap();
    let claimed = claiming.await.unwrap();
    let [one, two, three] = <[_; 3]>::try_from(claimed).unwrap();
    assert_eq!((&*one.message, &*two.message), (&b"one"[..], &b"two"[..]));
    let dequeue = Dequeue::decode(fed.servers.calls_of("/dequeue")[0].body.clone()).unwrap();
    assert!(dequeue.limit > 1);

    two.start();
    two.start();
    until(|| !fed.servers.calls_of("/start").is_empty()).await;
    let start = Start::decode(fed.servers.calls_of("/start")[0].body.clone()).unwrap();
    assert_eq!((start.batch, start.index), (ID.to_vec(), 1));
    two.done().await.unwrap();
    three.retry().await.unwrap();
    assert_eq!(fed.finished(), [(1, true), (2, false)]);
    assert!(!stream.is_closed(), "one message is still claimed");
    // It is requeued when the stream closes.
    drop(one);
    stream.closed().await;
    assert_eq!((fed.finished().len(), fed.servers.calls_of("/start").len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn started_message_that_is_dropped_is_retried() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let claiming = database.dequeue_one();
    fed.stream().await.send(batch(&[b"one"])).unwrap();
    let one = claiming.await.unwrap().unwrap();
    one.start();
    database.close();
    drop(one);
    until(|| !fed.finished().is_empty()).await;
    assert_eq!(fed.finished(), [(0, false)]);
}

#[tokio::test(start_paused = true)]
async fn lost_stream_is_reopened() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let claiming = database.dequeue_one();
    drop(fed.stream().await);
    fed.servers.cut();
    // A silent stream is reopened as well.
    let silent = fed.stream().await;
    let stream = fed.stream().await;
    assert!(silent.is_closed());
    stream.send(batch(&[b"one"])).unwrap();
    claiming.await.unwrap().unwrap().done().await.unwrap();
    assert_eq!(fed.finished(), [(0, true)]);
}

#[tokio::test(start_paused = true)]
async fn claiming_stops_when_closed_or_dropped() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let claiming = database.dequeue();
    let stream = fed.stream().await;
    drop(claiming);
    stream.closed().await;
    let claiming = database.dequeue();
    let stream = fed.stream().await;
    database.close();
    assert!(claiming.await.unwrap().is_empty());
    stream.closed().await;
    assert!(database.dequeue().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn malformed_batches_and_failures_are_errors() {
    let malformed = [
        frame_of(&Batch { batch: vec![1], messages: vec![vec![1]] }),
        vec![255; 8].into(),
        batch(&[]),
        batch(&[b"one".as_slice(); 1000]),
    ];
    for bytes in malformed {
        let fed = Fed::new();
        let database = fed.servers.opened().await;
        let claiming = database.dequeue();
        fed.stream().await.send(bytes).unwrap();
        let result = claiming.await;
        assert!(matches!(result, Err(Error::Storage(_))), "{result:?}");
    }
    let servers = Servers::openkv(|call| call.path.ends_with("/dequeue").then(|| Reply::status(500, "")));
    assert!(matches!(servers.opened().await.dequeue().await, Err(Error::Storage(_))));
    let result = Servers::other(|_| None).opened().await.dequeue().await;
    assert_eq!(message(result), "the server of this database cannot deliver the messages of the queue");
}

#[tokio::test(start_paused = true)]
async fn finish_of_a_requeued_message_is_an_error_that_says_so() {
    let fed = Fed::new();
    let streams = fed.streams.clone();
    let servers = Servers::openkv(move |call| match &*call.path {
        "/v3/openkv/dequeue" => {
            let (sender, parts) = mpsc::unbounded_channel();
            streams.lock().push_back(sender);
            Some(Reply::Stream(parts))
        }
        "/v3/openkv/finish" => Some(Reply::status(410, "not claimed")),
        _ => None,
    });
    let database = servers.opened().await;
    let claiming = database.dequeue_one();
    fed.stream().await.send(batch(&[b"one"])).unwrap();
    let message = message(claiming.await.unwrap().unwrap().done().await);
    let expected = "'http://kv.test/v3/openkv/finish' no longer holds the message for this process, as the connection was lost \
                    for too long: the message is delivered again";
    assert!(message.ends_with(expected), "{message}");
    assert_eq!(servers.calls_of("/finish").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_are_sent_while_many_batches_are_held() {
    let fed = Fed::new();
    let database = fed.servers.opened().await;
    let mut held = Vec::new();
    for _ in 0..500 {
        let claiming = database.dequeue();
        let stream = fed.stream().await;
        stream.send(batch(&[b"one"])).unwrap();
        held.push((claiming.await.unwrap(), stream));
    }
    database.write(set("a")).await.unwrap().into_result().unwrap();
    for (claimed, _stream) in held {
        for delivery in claimed {
            delivery.done().await.unwrap();
        }
    }
    assert_eq!(fed.finished().len(), 500);
}

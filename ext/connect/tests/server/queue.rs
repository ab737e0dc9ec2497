use std::time::Duration;

use http::StatusCode;
use openkv_connect::wire::frame::Frame;
use openkv_connect::wire::openkv::{Batch, Dequeue, Finish, Start};
use openkv_engine::{AtomicWrite, Database, Enqueue, Value};

use crate::support::{Client, Connection, Frames, Running, WRITER, key, options, start};

async fn enqueue(database: &Database, messages: &[&[u8]]) {
    let enqueues = messages.iter().map(|message| Enqueue::new(message.to_vec()).backoff([]).undelivered(key("failed")));
    let write = enqueues.fold(AtomicWrite::new(), AtomicWrite::enqueue);
    database.write(write).await.unwrap().into_result().unwrap();
}

async fn dequeue(client: &mut Client) -> (Frames, Batch) {
    let mut frames = client.stream("openkv/dequeue", &Dequeue { limit: 10 }).await;
    let batch = frames.message().await.unwrap();
    (frames, batch)
}

async fn started(client: &mut Client, batch: &Batch, index: u32) -> StatusCode {
    client.call("openkv/start", &Start { batch: batch.batch.clone(), index }).await.status
}

async fn finished(client: &mut Client, batch: &Batch, index: u32, success: bool) -> StatusCode {
    client.call("openkv/finish", &Finish { batch: batch.batch.clone(), index, success }).await.status
}

async fn clients(running: &Running) -> [Client; 2] {
    // One connection for the stream, which the test closes, and one for the other calls.
    [Client::open(running, WRITER).await, Client::open(running, WRITER).await]
}

#[tokio::test]
async fn stream_closes_once_all_messages_are_finished() {
    let running = start(options()).await;
    enqueue(&running.database, &[b"a", b"b"]).await;
    let mut client = Client::open(&running, WRITER).await;
    let (mut frames, batch) = dequeue(&mut client).await;
    assert_eq!((batch.batch.len(), &batch.messages), (16, &vec![b"a".to_vec(), b"b".to_vec()]));
    for index in [0, 1] {
        assert_eq!(started(&mut client, &batch, index).await, 200);
        assert_eq!(started(&mut client, &batch, index).await, 200);
        // A retry has no effect.
        assert_eq!(finished(&mut client, &batch, index, true).await, 200);
        assert_eq!(finished(&mut client, &batch, index, false).await, 200);
    }
    assert_eq!(frames.next().await, None);
    assert_eq!(finished(&mut client, &batch, 1, true).await, 200, "the batch is still known");
    assert_eq!(started(&mut client, &batch, 1).await, 410);
    assert_eq!(running.database.get(&key("failed")).await.unwrap(), None);
}

#[tokio::test]
async fn failed_message_is_stored_under_its_keys() {
    let running = start(options()).await;
    enqueue(&running.database, &[b"a"]).await;
    let mut client = Client::open(&running, WRITER).await;
    let (mut frames, batch) = dequeue(&mut client).await;
    // The start request may have been lost.
    assert_eq!(finished(&mut client, &batch, 0, false).await, 200);
    assert_eq!(frames.next().await, None);
    assert_eq!(running.database.get(&key("failed")).await.unwrap().unwrap().value, Value::V8(b"a".to_vec()));
}

#[tokio::test]
async fn waiting_client_gets_pings_and_messages() {
    let mut options = options();
    options.ping_interval = Duration::from_millis(1);
    let running = start(options).await;
    let mut client = Client::with(Connection::http1(running.address).await, WRITER).await;
    let mut frames = client.stream("openkv/dequeue", &Dequeue { limit: 1 }).await;
    assert_eq!(frames.next().await, Some(Frame::Ping));
    enqueue(&running.database, &[b"a"]).await;
    assert_eq!(frames.message::<Batch>().await.unwrap().messages, [b"a"]);
    assert_eq!(frames.next().await, Some(Frame::Ping));
}

#[tokio::test]
async fn lost_stream_requeues_unstarted_messages() {
    let mut options = options();
    options.grace = Duration::from_secs(3600);
    let running = start(options).await;
    enqueue(&running.database, &[b"a", b"b"]).await;
    let [mut client, mut other] = clients(&running).await;
    let (frames, batch) = dequeue(&mut client).await;
    assert_eq!(started(&mut other, &batch, 0).await, 200);
    drop((frames, client));
    let (mut frames, again) = dequeue(&mut other).await;
    assert_eq!(again.messages, [b"b"]);
    assert_eq!(finished(&mut other, &batch, 1, true).await, 410);
    // The started message can still be finished.
    assert_eq!(finished(&mut other, &batch, 0, true).await, 200);
    assert_eq!(finished(&mut other, &again, 0, true).await, 200);
    assert_eq!(frames.next().await, None);
    assert_eq!(running.database.get(&key("failed")).await.unwrap(), None);
}

#[tokio::test]
async fn started_message_of_a_lost_stream_fails_after_the_grace() {
    let mut options = options();
    options.grace = Duration::from_millis(1);
    let running = start(options).await;
    enqueue(&running.database, &[b"a"]).await;
    let [mut client, mut other] = clients(&running).await;
    let (frames, batch) = dequeue(&mut client).await;
    assert_eq!(started(&mut other, &batch, 0).await, 200);
    let mut watch = running.database.watch(&[key("failed")]).unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap(), [None]);
    drop((frames, client));
    let entries = watch.next().await.unwrap().unwrap();
    assert_eq!(entries[0].as_ref().unwrap().value, Value::V8(b"a".to_vec()));
    assert_eq!(finished(&mut other, &batch, 0, true).await, 200, "a retry returns the first result");
}

#[tokio::test]
async fn unknown_batches_are_rejected_as_gone() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let batch = Batch { batch: vec![7; 16], messages: vec![] };
    assert_eq!(started(&mut client, &batch, 0).await, 410);
    assert_eq!(finished(&mut client, &batch, 0, true).await, 410);
    let batch = Batch { batch: vec![7; 15], messages: vec![] };
    assert_eq!(finished(&mut client, &batch, 0, true).await, 400);

    enqueue(&running.database, &[b"a"]).await;
    let (_frames, batch) = dequeue(&mut client).await;
    assert_eq!(started(&mut client, &batch, 1).await, 410);
    assert_eq!(finished(&mut client, &batch, u32::MAX, true).await, 410);
}

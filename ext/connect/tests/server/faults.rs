use openkv_connect::wire;
use openkv_connect::wire::datapath::{SnapshotReadOutput, WatchOutput};
use openkv_connect::wire::openkv::{Batch, CountOutput, Dequeue, Finish};
use openkv_engine::{AtomicWrite, Enqueue, Mutation, Read, Value};
use openkv_fake::{Events, Fault, Options, open};

use crate::support::{Client, Reply, Running, WRITER, key, options, serve};

async fn start(fake: Options) -> (Running, Client) {
    let running = serve(open(":memory:", fake).await.unwrap(), options()).await;
    let client = Client::open(&running, WRITER).await;
    (running, client)
}

async fn sum(client: &mut Client) -> Reply {
    let write = AtomicWrite::new().mutate(Mutation::sum(key("n"), 1));
    client.call("atomic_write", &wire::write::encode(&write, 0)).await
}

async fn stored(running: &Running) -> Option<Value> {
    running.database.get(&key("n")).await.unwrap().map(|entry| entry.value)
}

#[tokio::test]
async fn transient_failure_is_reported_as_retryable() {
    let (running, mut client) = start(Options::default().fault(0, Fault::Fail).fault(1, Fault::Fail)).await;
    let read = wire::read::encode(&[Read::Key(&key("n"))]);
    for reply in [client.call("snapshot_read", &read).await, sum(&mut client).await] {
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("1")));
        assert!(reply.header("x-openkv-error").unwrap().starts_with("storage "));
    }
    assert_eq!(stored(&running).await, None);
    assert_eq!(sum(&mut client).await.status, 200);
    assert_eq!(stored(&running).await, Some(Value::U64(1)));
}

#[tokio::test]
async fn unknown_outcome_is_reported_as_not_retryable() {
    let (running, mut client) = start(Options::default().fault(0, Fault::Lose)).await;
    let reply = sum(&mut client).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (409, None));
    assert!(reply.header("x-openkv-error").unwrap().starts_with("outcome_unknown "));
    assert_eq!(stored(&running).await, Some(Value::U64(1)));
}

#[tokio::test]
async fn write_with_an_id_can_be_retried() {
    let (running, mut client) = start(Options::default().fault(0, Fault::Lose)).await;
    client.headers.insert("x-openkv-commit-id", "0".repeat(32).parse().unwrap());
    assert_eq!(sum(&mut client).await.status, 409);
    assert_eq!(sum(&mut client).await.status, 200);
    assert_eq!(stored(&running).await, Some(Value::U64(1)));
}

#[tokio::test]
async fn slow_backend_is_served() {
    for events in [Events::Changed, Events::Entries] {
        let (running, mut client) = start(Options::default().delay(0..=3).events(events)).await;
        let mut frames = client.stream("watch", &wire::watch::encode(&[key("n")])).await;
        let first: WatchOutput = frames.message().await.unwrap();
        assert_eq!(first.keys[0].entry_if_changed, None);
        for _ in 0..10 {
            assert_eq!(sum(&mut client).await.status, 200);
        }
        let read = wire::read::encode(&[Read::Key(&key("n"))]);
        let output: SnapshotReadOutput = client.call("snapshot_read", &read).await.message();
        assert_eq!(output.ranges[0].values[0].value, 10_u64.to_le_bytes());
        loop {
            let output: WatchOutput = frames.message().await.unwrap();
            if output.keys[0].entry_if_changed.as_ref().unwrap().value == 10_u64.to_le_bytes() {
                break;
            }
        }
        let count = wire::openkv::Count { start: vec![0], end: vec![0xff] };
        assert_eq!(client.call("openkv/count", &count).await.message::<CountOutput>().count, 1);

        let enqueue = AtomicWrite::new().enqueue(Enqueue::new(b"a".to_vec()));
        running.database.write(enqueue).await.unwrap().into_result().unwrap();
        let mut frames = client.stream("openkv/dequeue", &Dequeue { limit: 1 }).await;
        let Batch { batch, messages } = frames.message().await.unwrap();
        assert_eq!(messages, [b"a"]);
        assert_eq!(client.call("openkv/finish", &Finish { batch, index: 0, success: true }).await.status, 200);
        assert_eq!(frames.next().await, None);
    }
}

#[tokio::test]
async fn failure_of_the_storage_ends_streams() {
    let (_running, mut client) = start(Options::default().fault(0, Fault::Fail).fault(2, Fault::Fail)).await;
    let mut frames = client.stream("openkv/dequeue", &Dequeue { limit: 1 }).await;
    assert_eq!(frames.next().await, None);
    let mut frames = client.stream("watch", &wire::watch::encode(&[key("n")])).await;
    // The watch or its first read fails.
    while frames.next().await.is_some() {}
}

//! Servers that respond with what was not requested: an error that names the server and what is wrong.

use openkv_connect::wire::datapath;
use openkv_engine::{Key, Read, ReadOptions, Selector};
use tokio::sync::mpsc;

use crate::support::*;

/// Returns a reply of a number of MiB, which is sent for as long as it is received.
fn long(mebibytes: usize) -> Reply {
    let (sender, parts) = mpsc::unbounded_channel();
    let part = bytes::Bytes::from(vec![0; 1 << 20]);
    for _ in 0..mebibytes {
        sender.send(part.clone()).unwrap();
    }
    Reply::Stream(parts)
}

/// Returns the error of a call to a server that gives the reply to it. Asserts that the call is sent once.
async fn rejection<T>(
    path: &'static str,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
    call: impl AsyncFnOnce(openkv_engine::Database) -> openkv_engine::Result<T>,
) -> String {
    let servers = Servers::openkv(move |call| call.path.ends_with(path).then(&reply));
    let database = servers.opened().await;
    let message = message(call(database).await);
    assert!(message.contains(&format!("failed to decode the response of 'http://kv.test/v3/{path}': ")), "{message}");
    assert_eq!(servers.calls_of(path).len(), 1, "{message}");
    message
}

#[tokio::test(start_paused = true)]
async fn entries_that_were_not_requested_are_errors() {
    let key = |name: &str| Key::from([name]).into_bytes();
    let entry = move |name: &str| datapath::KvEntry {
        key: key(name),
        value: vec![0; 8],
        encoding: 2,
        versionstamp: vec![0; 10],
    };
    let of = |names: &[&str]| datapath::ReadRangeOutput { values: names.iter().copied().map(entry).collect() };
    let short = datapath::KvEntry { versionstamp: vec![0; 9], ..entry("a") };
    let cases = [
        (vec![of(&["b", "a"])], "a response has entries that are not in order, or repeated"),
        (vec![of(&["a", "a"])], "a response has entries that are not in order, or repeated"),
        (vec![of(&["z"])], "a response has an entry outside of the requested range"),
        (vec![of(&["a", "b", "c", "d"])], "a response has 4 entries in a range with a limit of 3"),
        (vec![], "a response has 0 parts instead of 1"),
        (vec![of(&[]), of(&[])], "a response has 2 parts instead of 1"),
        (vec![datapath::ReadRangeOutput { values: vec![short] }], "a versionstamp has 9 bytes instead of 10"),
    ];
    for (ranges, expected) in cases {
        let output =
            datapath::SnapshotReadOutput { ranges, read_is_strongly_consistent: true, status: 1, ..Default::default() };
        let read = async move |database: openkv_engine::Database| {
            let (start, end) = (key("a"), key("n"));
            let range = Read::Range { start: &start, end: &end, limit: 3, reverse: false, values: true };
            database.read(&[range], ReadOptions::default()).await
        };
        let message = rejection("snapshot_read", move || Reply::message(&output), read).await;
        assert!(message.ends_with(expected), "{message}");
    }
    let other = datapath::ReadRangeOutput { values: vec![entry("b")] };
    let output = datapath::SnapshotReadOutput {
        ranges: vec![other],
        read_is_strongly_consistent: true,
        status: 1,
        ..Default::default()
    };
    let get = async |database: openkv_engine::Database| database.get(&Key::from(["a"])).await;
    let message = rejection("snapshot_read", move || Reply::message(&output), get).await;
    assert!(message.ends_with("outside of the requested range"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn long_responses_are_errors() {
    let get = async |database: openkv_engine::Database| database.get(&Key::from(["a"])).await;
    let message = rejection("snapshot_read", || long(20), get).await;
    assert!(message.ends_with("the message has more than 16777216 bytes"), "{message}");
    let commit = async |database: openkv_engine::Database| database.write(set("a")).await;
    let message = rejection("atomic_write", || long(20), commit).await;
    assert!(message.starts_with("the outcome of the write is unknown: "), "{message}");
}

#[tokio::test(start_paused = true)]
async fn responses_of_many_parts_are_not_decoded() {
    // Each pair of bytes is an empty part that takes a hundred bytes in memory.
    let parts = |tag: u8| move || Reply::ok([tag << 3 | 2, 0].repeat(1 << 20));
    let get = async |database: openkv_engine::Database| database.get(&Key::from(["a"])).await;
    let message = rejection("snapshot_read", parts(1), get).await;
    assert!(message.ends_with("the message has more than 10001 parts"), "{message}");
    let commit = async |database: openkv_engine::Database| database.write(set("a")).await;
    let message = rejection("atomic_write", || Reply::message(&failed(1 << 20)), commit).await;
    assert!(message.contains("the message has more than 10000 parts"), "{message}");
    let count = async |database: openkv_engine::Database| database.count(&Selector::prefix(&Key::new())).await;
    let message = rejection("openkv/count", parts(9), count).await;
    assert!(message.ends_with("the message has more than 10000 parts"), "{message}");
}

fn failed(checks: usize) -> datapath::AtomicWriteOutput {
    datapath::AtomicWriteOutput { status: 2, failed_checks: vec![0; checks], ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_too_long_are_errors() {
    let frames: [(Vec<u8>, &str); 2] = [
        (0x8000_0000_u32.to_le_bytes().to_vec(), "a frame of 2147483648 bytes exceeds 16777216 bytes"),
        (
            [&(2_u32 << 20).to_le_bytes()[..], &[0x0a, 0].repeat(1 << 20)].concat(),
            "the message has more than 10000 parts",
        ),
    ];
    for (bytes, expected) in frames {
        for path in ["watch", "openkv/dequeue"] {
            let bytes = bytes.clone();
            let reply = move || {
                let (sender, parts) = mpsc::unbounded_channel();
                sender.send(bytes.clone().into()).unwrap();
                Reply::Stream(parts)
            };
            let receive = async |database: openkv_engine::Database| match path {
                "watch" => database.watch(&[Key::from(["a"])]).unwrap().next().await.unwrap().map(drop),
                _ => database.dequeue().await.map(drop),
            };
            let message = rejection(path, reply, receive).await;
            assert!(message.ends_with(expected), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn long_metadata_are_an_error() {
    let servers = Servers::openkv(|call| (call.path == "/db").then(|| long(2)));
    let message = message(servers.open().await);
    let expected = "'http://kv.test/db' is not a valid KV Connect endpoint (its metadata exceed 1048576 bytes)";
    assert!(message.ends_with(expected), "{message}");
}

use http::Method;
use openkv_connect::wire::datapath::{
    AtomicWrite, AtomicWriteOutput, AtomicWriteStatus, Check, SnapshotReadOutput, SnapshotReadStatus,
};
use openkv_connect::wire::openkv::{
    Count, CountOutput, DeleteRange, DeleteRangeOutput, NamedWrite, Writes, WritesOutput,
};
use openkv_connect::wire::read::{ReadOutcome, Shape};
use openkv_connect::wire::write::WriteOutcome;
use openkv_connect::wire::{self, Message};
use openkv_engine::{
    AtomicWrite as Write, Commit, CommitId, Error, Mutation, MutationKind, Operand, Read, ReadEntry, SumBounds, Value,
    Versionstamp,
};

use crate::support::{Client, Connection, READER, Reply, WRITER, key, options, start};

async fn write(client: &mut Client, write: &Write) -> Reply {
    client.call("atomic_write", &wire::write::encode(write, 0)).await
}

async fn committed(client: &mut Client, operations: &Write) -> Versionstamp {
    let output: AtomicWriteOutput = write(client, operations).await.message();
    assert_eq!(output.status, AtomicWriteStatus::AwSuccess as i32);
    wire::entry::decode_versionstamp(&output.versionstamp).unwrap()
}

async fn read(client: &mut Client, reads: &[Read<'_>]) -> Vec<Vec<ReadEntry>> {
    let output: SnapshotReadOutput = client.call("snapshot_read", &wire::read::encode(reads)).await.message();
    assert!(output.read_is_strongly_consistent && !output.read_disabled);
    assert_eq!(output.status, SnapshotReadStatus::SrSuccess as i32);
    entries(output, reads)
}

fn entries(output: SnapshotReadOutput, reads: &[Read<'_>]) -> Vec<Vec<ReadEntry>> {
    let shapes: Vec<_> = reads.iter().map(Shape::from).collect();
    match wire::read::decode_output(output, &shapes).unwrap() {
        ReadOutcome::Entries { lists, .. } => lists,
        ReadOutcome::Disabled => panic!("reads are disabled"),
    }
}

fn set(name: &str, value: Value) -> Write {
    Write::new().mutate(Mutation::set(key(name), value))
}

#[tokio::test]
async fn values_of_every_kind_round_trip_over_http1_and_http2() {
    let running = start(options()).await;
    let http1 = Client::with(Connection::http1(running.address).await, WRITER).await;
    let mut clients = [http1, Client::open(&running, WRITER).await];
    let values = [Value::V8(b"\xff\x0fT".to_vec()), Value::U64(7), Value::Bytes(b"raw".to_vec())];
    for client in &mut clients {
        for value in &values {
            let versionstamp = committed(client, &set("a", value.clone())).await;
            let expected = ReadEntry { key: key("a"), value: Some(value.clone()), versionstamp };
            assert_eq!(read(client, &[Read::Key(&key("a")), Read::Key(&key("b"))]).await, [vec![expected], vec![]]);
        }
    }
}

#[tokio::test]
async fn responses_have_the_content_type_of_messages() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let replies = [
        client.call("snapshot_read", &wire::read::encode(&[])).await,
        client.call("atomic_write", &AtomicWrite::default()).await,
        client.call("openkv/count", &Count { start: vec![], end: vec![0xff] }).await,
    ];
    for reply in replies {
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("application/x-protobuf")));
    }
}

#[tokio::test]
async fn failed_checks_are_reported() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let versionstamp = committed(&mut client, &set("a", Value::U64(1))).await;
    let check = |name: &str, versionstamp: Vec<u8>| Check { key: key(name).into_bytes(), versionstamp };
    let mut message = wire::write::encode(&set("b", Value::U64(2)), 0);
    message.checks = vec![
        check("a", versionstamp.as_bytes().to_vec()),
        check("a", vec![]),
        check("b", vec![]),
        check("b", vec![7; 10]),
    ];
    let output: AtomicWriteOutput = client.call("atomic_write", &message).await.message();
    assert_eq!(output.status, AtomicWriteStatus::AwCheckFailure as i32);
    assert_eq!(output.failed_checks, [1, 3]);
    assert_eq!(running.database.get(&key("b")).await.unwrap(), None);

    // The limit of Deno.
    message.checks = vec![check("b", vec![]); 100];
    let output: AtomicWriteOutput = client.call("atomic_write", &message).await.message();
    assert_eq!(output.status, AtomicWriteStatus::AwSuccess as i32);
    message.checks.push(check("b", vec![]));
    let reply = client.call("atomic_write", &message).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (422, "Too many checks (max 100)"));
    assert_eq!(reply.header("x-openkv-error"), Some("too_many_checks 100"));
}

#[tokio::test]
async fn sums_are_bounded() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    // 5 and 7 in V8's format.
    let [five, seven] = [10, 14].map(|zigzag| Value::V8(vec![0xff, 15, b'I', zigzag]));
    committed(&mut client, &set("n", five)).await;
    let sum = |clamp| {
        let bounds = SumBounds { min: None, max: Some(seven.clone()), clamp };
        let kind = MutationKind::BoundedSum { value: seven.clone(), bounds };
        Write::new().mutate(Mutation { key: key("n"), kind })
    };
    let reply = write(&mut client, &sum(false)).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-openkv-error")), (422, Some("sum_out_of_range")));
    committed(&mut client, &sum(true)).await;
    let stored = running.database.get(&key("n")).await.unwrap().unwrap().value;
    let number = [&[0xff, 15, b'N'][..], &7_f64.to_le_bytes()].concat();
    assert_eq!(stored, Value::V8(number));
}

#[tokio::test]
async fn rejected_write_writes_nothing() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    committed(&mut client, &set("text", Value::Bytes(vec![]))).await;
    for (rejected, error) in [
        (set("a", Value::U64(1)).mutate(Mutation::sum(key("text"), 1)), "stored_not_u64 sum"),
        (
            set("a", Value::U64(1)).mutate(Mutation::set(key("b"), Value::Bytes(vec![0; 65_537]))),
            "value_too_large 65536",
        ),
        (set("a", Value::U64(1)).mutate(Mutation::delete(openkv_engine::Key::new())), "empty_key"),
    ] {
        let reply = write(&mut client, &rejected).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-openkv-error")), (422, Some(error)), "{}", reply.text());
    }
    assert_eq!(running.database.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn write_with_an_id_is_committed_once() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let sum = Write::new().mutate(Mutation {
        key: key("n"),
        kind: MutationKind::Combine { operand: Operand::Sum, value: Value::U64(1) },
    });
    client.headers.insert("x-openkv-commit-id", "00112233445566778899aabbccddeeff".parse().unwrap());
    let first = committed(&mut client, &sum).await;
    assert_eq!(committed(&mut client, &sum).await, first);
    assert_eq!(running.database.get(&key("n")).await.unwrap().unwrap().value, Value::U64(1));
    client.headers.insert("x-openkv-commit-id", "1".parse().unwrap());
    assert_eq!(write(&mut client, &sum).await.status, 400);
}

#[tokio::test]
async fn several_writes_have_outcomes_of_their_own() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    committed(&mut client, &set("text", Value::Bytes(vec![]))).await;
    let sum = |name| Write::new().mutate(Mutation::sum(key(name), 1));
    let checked = |name| set(name, Value::U64(5)).check(openkv_engine::Check::absent(key("text")));
    let writes = [sum("n"), checked("never"), sum("text"), set("n", Value::U64(7)), sum("n")];
    let named = (0..)
        .zip(&writes)
        .map(|(i, write)| wire::writes::encode(CommitId([i; 16]), wire::write::encode(write, 0).encode_to_vec()));
    let request = Writes { writes: named.collect() };
    // The second time, each is recognized, or refused again.
    let mut versions = Vec::new();
    for _ in 0..2 {
        let output: WritesOutput = client.call("openkv/write", &request).await.message();
        let results = wire::writes::decode_results(&output, writes.len()).unwrap();
        let [one, conflict, refused, two, three] = &results[..] else { panic!("{results:?}") };
        assert!(
            matches!(conflict, Ok(WriteOutcome::Commit(Commit::Conflict { failed })) if *failed == [0]),
            "{conflict:?}"
        );
        assert!(matches!(refused, Err(Error::StoredNotU64 { .. })), "{refused:?}");
        versions.push([one, two, three].map(|result| match result {
            Ok(WriteOutcome::Commit(Commit::Done(versionstamp))) => *versionstamp,
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(versions[0], versions[1]);
    assert!(versions[0].is_sorted());
    assert_eq!(running.database.get(&key("n")).await.unwrap().unwrap().value, Value::U64(8));
    assert_eq!(running.database.get(&key("never")).await.unwrap(), None);
}

#[tokio::test]
async fn malformed_one_of_several_writes_refuses_all() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let good =
        || NamedWrite { id: vec![1; 16], write: wire::write::encode(&set("a", Value::U64(1)), 0).encode_to_vec() };
    let many = [0x0a, 0].repeat(40_000);
    let bad = [
        NamedWrite { id: vec![1; 15], ..good() },
        NamedWrite { write: vec![0xff], ..good() },
        NamedWrite { write: many, ..good() },
    ];
    for bad in bad {
        let reply = client.call("openkv/write", &Writes { writes: vec![good(), bad] }).await;
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    assert_eq!(running.database.get(&key("a")).await.unwrap(), None);
}

#[tokio::test]
async fn read_only_token_writes_nothing() {
    let running = start(options()).await;
    let mut client = Client::open(&running, READER).await;
    let output: AtomicWriteOutput = write(&mut client, &set("a", Value::U64(1))).await.message();
    assert_eq!(output.status, AtomicWriteStatus::AwWriteDisabled as i32);
    for call in ["openkv/write", "openkv/delete_range", "openkv/dequeue", "openkv/start", "openkv/finish"] {
        let reply = client.call(call, &AtomicWrite::default()).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-openkv-error")), (403, Some("read_only")), "{call}");
    }
    assert_eq!(read(&mut client, &[Read::Key(&key("a"))]).await, [vec![]]);
}

#[tokio::test]
async fn extension_reads_counts_and_deletes() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    for name in ["a", "b", "c"] {
        committed(&mut client, &set(name, Value::Bytes(vec![1; 10]))).await;
    }
    let (start, end) = (vec![0], vec![0xff]);
    let range = |values| Read::Range { start: &start, end: &end, limit: 10, reverse: true, values };
    for (reads, max_bytes, names) in [
        ([range(false)], usize::MAX, &["c", "b", "a"][..]),
        ([range(true)], usize::MAX, &["c", "b", "a"]),
        ([range(true)], 15, &["c", "b"]),
    ] {
        let reply = client.call("openkv/read", &wire::read::encode_openkv(&reads, max_bytes)).await;
        let lists = entries(reply.message(), &reads);
        let found: Vec<_> = lists[0].iter().map(|entry| entry.key.clone()).collect();
        assert_eq!(found, names.iter().map(|name| key(name)).collect::<Vec<_>>());
    }
    let count = Count { start: start.clone(), end: end.clone() };
    assert_eq!(client.call("openkv/count", &count).await.message::<CountOutput>().count, 3);
    let delete = DeleteRange { start: start.clone(), end: end.clone(), limit: 2 };
    for deleted in [2, 1, 0] {
        let output: DeleteRangeOutput = client.call("openkv/delete_range", &delete).await.message();
        assert_eq!(output.deleted, deleted);
    }
    let reply = client.call("openkv/count", &Count { start: end, end: start }).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-openkv-error")), (422, Some("start_after_end")));
}

#[tokio::test]
async fn deletion_is_not_repeated_by_a_retry() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    committed(&mut client, &set("a", Value::U64(1))).await;
    let delete = DeleteRange { start: vec![0], end: vec![0xff], limit: 10 };
    client.headers.insert("x-openkv-commit-id", "07".repeat(16).parse().unwrap());
    let deleted = async |client: &mut Client| client.call("openkv/delete_range", &delete).await;
    assert_eq!(deleted(&mut client).await.message::<DeleteRangeOutput>().deleted, 1);
    running.database.set(key("b"), Value::U64(1)).await.unwrap();
    client.headers.insert("x-openkv-retry", "1".parse().unwrap());
    assert_eq!(deleted(&mut client).await.message::<DeleteRangeOutput>().deleted, 1);
    // The id of a retry that the server does not know, as after a restart.
    client.headers.insert("x-openkv-commit-id", "08".repeat(16).parse().unwrap());
    let reply = deleted(&mut client).await;
    let error = reply.header("x-openkv-error").unwrap();
    assert!(reply.status == 409 && error.starts_with("outcome_unknown "), "{reply:?}");
    assert!(running.database.get(&key("b")).await.unwrap().is_some());
}

#[tokio::test]
async fn endpoints_of_older_versions_are_served() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let id = client.headers.remove("x-denokv-database-id").unwrap();
    client.headers.remove("x-denokv-version");
    client.headers.insert("x-transaction-domain-id", id.clone());
    let body = wire::write::encode(&set("a", Value::U64(1)), 0).encode_to_vec();
    let reply = client.connection.send(Method::POST, "/v1/atomic_write", &client.headers, body.clone()).await;
    assert_eq!(reply.message::<AtomicWriteOutput>().status, 1);
    client.headers.insert("x-denokv-version", "2".parse().unwrap());
    client.headers.insert("x-denokv-database-id", id);
    let reply = client.connection.send(Method::POST, "/v2/atomic_write", &client.headers, body.clone()).await;
    assert_eq!(reply.message::<AtomicWriteOutput>().status, 1);
    assert_eq!(client.connection.send(Method::POST, "/v3/atomic_write", &client.headers, body).await.status, 400);
}

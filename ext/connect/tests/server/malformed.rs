use http::{HeaderMap, Method};
use openkv_connect::wire::Message;
use openkv_connect::wire::datapath::{AtomicWrite, KvValue, Mutation, ReadRange, SnapshotRead};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Client, Connection, WRITER, bearer, key, options, start};

const CALLS: [&str; 9] = [
    "snapshot_read",
    "atomic_write",
    "watch",
    "openkv/read",
    "openkv/count",
    "openkv/delete_range",
    "openkv/dequeue",
    "openkv/start",
    "openkv/finish",
];

#[tokio::test]
async fn random_bodies_do_not_fail_the_server() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let mut random = StdRng::seed_from_u64(1);
    for i in 0..300 {
        let mut body: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
        if i % 2 == 0 {
            // A valid field tag and length let the decoder get further.
            body.splice(0..0, [random.random_range(1..8) << 3 | 2, body.len().min(127) as u8]);
        }
        for call in CALLS {
            let path = format!("/v3/{call}");
            let response = client.connection.try_send(Method::POST, &path, &client.headers, body.clone()).await;
            // The body may be an endless stream.
            let status = response.unwrap().status().as_u16();
            assert!(status < 500, "{call} responded {status} to {body:?}");
        }
        let reply = client.connection.send(Method::POST, "/", &bearer(WRITER), body.clone()).await;
        assert!([200, 400].contains(&reply.status.as_u16()), "{body:?}");
    }
    assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 200);
}

#[tokio::test]
async fn malformed_messages_are_bad_requests() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let range = ReadRange { start: vec![], end: vec![0xff], limit: -1, reverse: false };
    let mut malformed = vec![("snapshot_read", SnapshotRead { ranges: vec![range] }.encode_to_vec())];
    let value = KvValue { data: vec![0; 7], encoding: 2 };
    let mutation = Mutation { key: key("a").into_bytes(), value: Some(value), mutation_type: 1, ..Mutation::default() };
    for mutation in [
        Mutation { key: vec![0xfe], mutation_type: 2, ..Mutation::default() },
        Mutation { mutation_type: 99, ..mutation.clone() },
        Mutation { value: None, ..mutation.clone() },
        mutation,
    ] {
        let message = AtomicWrite { mutations: vec![mutation], ..AtomicWrite::default() };
        malformed.push(("atomic_write", message.encode_to_vec()));
    }
    malformed.push(("watch", vec![0x0a, 0x03, 0x0a, 0x01, 0xfe]));
    for (call, body) in malformed {
        let path = format!("/v3/{call}");
        let reply = client.connection.send(Method::POST, &path, &client.headers, body.clone()).await;
        assert_eq!(reply.status, 400, "{call}: {body:?}");
        // Deno would refresh its token.
        assert!(!reply.text().to_lowercase().contains("authorization"), "{}", reply.text());
    }
}

#[tokio::test]
async fn message_with_too_many_parts_is_rejected() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    for call in CALLS {
        let body = [0x12, 0x00].repeat(1 << 19);
        let reply = client.connection.send(Method::POST, &format!("/v3/{call}"), &client.headers, body).await;
        assert_eq!(reply.status, 400, "{call}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_rejected() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    for path in ["/other", "/v3", "/v3/", "/v4/watch", "/main/v3/none", "/%00", "//"] {
        assert_eq!(client.connection.send(Method::POST, path, &client.headers, "").await.status, 404, "{path}");
        assert_eq!(client.connection.get(path).await.status, 404, "{path}");
    }
    for method in [Method::PUT, Method::DELETE, Method::OPTIONS] {
        assert_eq!(client.connection.send(method, "/v3/watch", &client.headers, "").await.status, 405);
    }
    for version in ["4", "x", ""] {
        client.headers.insert("x-denokv-version", version.parse().unwrap());
        assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 400, "{version}");
    }
    client.headers.remove("x-denokv-version");
    client.headers.insert("authorization", http::HeaderValue::from_bytes(b"Bearer \xff").unwrap());
    assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 401);
    let mut connection = Connection::http1(running.address).await;
    assert_eq!(connection.send(Method::POST, "/v3/watch", &HeaderMap::new(), "").await.status, 400);
}

use std::time::Duration;

use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use openkv_connect::server::Options;
use openkv_connect::wire;
use openkv_connect::wire::datapath::{self, SnapshotRead};
use openkv_engine::{AtomicWrite, Mutation, Read, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, Connection, READER, Running, WRITER, key, memory, operator, options, start};

async fn fill(running: &Running) {
    for i in 0..100 {
        let set = Mutation::set(key(&format!("{i:03}")), Value::Bytes(vec![0; 60_000]));
        running.database.write(AtomicWrite::new().mutate(set)).await.unwrap().into_result().unwrap();
    }
}

fn all() -> SnapshotRead {
    wire::read::encode(&[Read::Range { start: &[0], end: &[0xff], limit: 1000, reverse: false, values: true }])
}

#[tokio::test]
async fn long_bodies_are_rejected() {
    let mut options = options();
    options.body_size = 1000;
    let running = start(options).await;
    for connection in [Connection::http2(running.address).await, Connection::http1(running.address).await] {
        let mut client = Client::with(connection, WRITER).await;
        let path = "/v3/atomic_write";
        let reply = client.connection.send(Method::POST, path, &client.headers, vec![0; 1001]).await;
        assert_eq!(reply.status, 413);
    }
    let mut client = Client::open(&running, WRITER).await;
    let reply = client.connection.send(Method::POST, "/v3/atomic_write", &client.headers, vec![0; 1000]).await;
    assert_eq!(reply.status, 400, "a body of that length is read");
}

#[tokio::test]
async fn long_heads_are_rejected() {
    let running = start(options()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head =
        format!("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(128 * 1024));
    // The server may close the connection before it has received everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    assert!(!response.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&response));
}

#[tokio::test]
async fn requests_beyond_the_memory_are_rejected() {
    let mut options = options();
    options.memory = 1 << 20;
    let running = start(options).await;
    fill(&running).await;
    let mut client = Client::open(&running, WRITER).await;
    let reply = client.call("snapshot_read", &all()).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("1")));
    let body = vec![0; (1 << 20) + 1];
    let reply = client.connection.send(Method::POST, "/v3/atomic_write", &client.headers, body).await;
    assert_eq!(reply.status, 503);
    let mut one = all();
    one.ranges[0].limit = 1;
    assert_eq!(client.call("snapshot_read", &one).await.status, 200);
}

#[tokio::test]
async fn memory_is_released_when_a_response_was_received() {
    let mut options = options();
    // With two tokens, each may take a half of it.
    options.memory = 14 << 20;
    let running = start(options).await;
    fill(&running).await;
    let mut client = Client::open(&running, READER).await;
    for _ in 0..5 {
        let reply = client.call("snapshot_read", &all()).await;
        assert_eq!(reply.status, 200);
        assert!(reply.body.len() > 100 * 60_000);
    }
}

#[tokio::test]
async fn client_that_does_not_receive_is_disconnected() {
    let mut options = options();
    options.write_timeout = Duration::ZERO;
    let running = start(options).await;
    running.database.set(key("a"), Value::Bytes(vec![0; 60_000])).await.unwrap();
    let mut operator = operator(&running).await;
    for is_http2 in [true, false] {
        let address = running.address;
        let connection = if is_http2 { Connection::http2(address).await } else { Connection::http1(address).await };
        let mut client = Client::with(connection, READER).await;
        let response = client.begin("watch", &wire::watch::encode(&[key("a")])).await;
        let mut i = 0_u64;
        // Until the buffers of both sides are full, and the server has closed the connection.
        while !operator.get("/metrics").await.text().contains("openkv_connections 0\n") {
            let value = Value::Bytes([&i.to_le_bytes()[..], &[0; 60_000]].concat());
            running.database.set(key("a"), value).await.unwrap();
            i += 1;
        }
        drop((client, response));
    }
}

#[tokio::test]
async fn streams_are_limited() {
    let mut options = options();
    options.streams = 1;
    let running = start(options).await;
    let mut client = Client::open(&running, WRITER).await;
    let watch = wire::watch::encode(&[key("a")]);
    let frames = client.stream("watch", &watch).await;
    assert_eq!(client.call("watch", &watch).await.status, 503);
    assert_eq!(client.call("openkv/dequeue", &wire::openkv::Dequeue { limit: 1 }).await.status, 503);
    drop(frames);
    // The server notices the end of the stream eventually.
    while client.begin("watch", &watch).await.status() != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_are_limited() {
    let mut options = options();
    options.connections = 1;
    let running = start(options).await;
    let mut first = Client::open(&running, READER).await.connection;
    let mut second = TcpStream::connect(running.address).await.unwrap();
    // Closed, or reset if bytes had arrived.
    assert!(matches!(second.read(&mut [0]).await, Ok(0) | Err(_)));
    assert_eq!(first.get("/healthz").await.status, 200);
    drop(first);
    loop {
        let stream = TcpStream::connect(running.address).await.unwrap();
        let mut connection = Connection::http1_over(stream, "localhost".into()).await;
        if connection.try_send(Method::GET, "/healthz", &HeaderMap::new(), "").await.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn connections_without_a_token_make_way_for_others() {
    let mut options = options();
    options.connections = 3;
    options.header_timeout = Duration::from_secs(3600);
    let running = start(options).await;
    let mut first = Client::open(&running, WRITER).await;
    let mut strangers =
        vec![TcpStream::connect(running.address).await.unwrap(), TcpStream::connect(running.address).await.unwrap()];
    // Liveness is public.
    strangers[1].write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    strangers[1].read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    let mut second = Client::open(&running, READER).await;
    let mut third = Client::open(&running, READER).await;
    for mut stranger in strangers {
        // Closed, or reset if bytes had arrived.
        let _ = stranger.read_to_end(&mut Vec::new()).await;
    }
    for client in [&mut first, &mut second, &mut third] {
        assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 200);
    }
    let mut fourth = TcpStream::connect(running.address).await.unwrap();
    assert!(matches!(fourth.read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn token_cannot_take_all_streams() {
    let mut options = options();
    options.streams = 4;
    let running = start(options).await;
    let watch = wire::watch::encode(&[key("a")]);
    let (mut writer, mut reader) = (Client::open(&running, WRITER).await, Client::open(&running, READER).await);
    let _taken = [writer.stream("watch", &watch).await, writer.stream("watch", &watch).await];
    assert_eq!(Client::open(&running, WRITER).await.call("watch", &watch).await.status, 503);
    let _left = reader.stream("watch", &watch).await;
}

#[tokio::test]
async fn connection_cannot_take_all_streams() {
    let mut options = options();
    options.streams_per_connection = 1;
    let running = start(options).await;
    let watch = wire::watch::encode(&[key("a")]);
    let mut client = Client::open(&running, WRITER).await;
    let _taken = client.stream("watch", &watch).await;
    let reply = client.call("watch", &watch).await;
    assert_eq!((reply.status.as_u16(), reply.text().contains("of this connection")), (503, true), "{reply:?}");
    let _other = Client::open(&running, WRITER).await.stream("watch", &watch).await;
}

#[tokio::test]
async fn memory_of_a_message_is_reserved_before_it_is_decoded() {
    let mut options = options();
    options.memory = 4 << 20;
    let running = start(options).await;
    let mut client = Client::open(&running, WRITER).await;
    // Each key takes two bytes here, and about fifty in memory.
    let enqueue = |keys| datapath::Enqueue { keys_if_undelivered: vec![Vec::new(); keys], ..Default::default() };
    let write = |keys| datapath::AtomicWrite { enqueues: vec![enqueue(keys)], ..Default::default() };
    assert_eq!(client.call("atomic_write", &write(20_000)).await.status, 503);
    let reply = client.call("atomic_write", &write(100_000)).await;
    assert_eq!((reply.status.as_u16(), reply.text().ends_with("parts")), (400, true), "{reply:?}");
    let schedule = datapath::Enqueue { backoff_schedule: vec![1; 1 << 20], ..Default::default() };
    let write = datapath::AtomicWrite { enqueues: vec![schedule], ..Default::default() };
    assert_eq!(client.call("atomic_write", &write).await.status, 400);
}

#[tokio::test]
async fn impossible_options_are_rejected() {
    let error = async |change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        let served = vec![openkv_connect::server::Served::new("main", memory())];
        openkv_connect::server::Server::new(served, options).await.unwrap_err().to_string()
    };
    let expected = "the option \"connections\" cannot be 18446744073709551615: it must be from 1 to 4294967295";
    assert_eq!(error(|options| options.connections = usize::MAX).await, expected);
    assert!(error(|options| options.connections = 0).await.contains("\"connections\" cannot be 0"));
    assert!(error(|options| options.requests_per_connection = 0).await.contains("\"requests_per_connection\""));
    let mut options = options();
    options.streams = usize::MAX;
    options.memory = usize::MAX;
    for timeout in [&mut options.write_timeout, &mut options.idle_timeout, &mut options.header_timeout] {
        *timeout = Duration::MAX;
    }
    for timeout in [&mut options.body_timeout, &mut options.grace, &mut options.shutdown_timeout] {
        *timeout = Duration::MAX;
    }
    let running = start(options).await;
    let mut client = Client::open(&running, WRITER).await;
    assert_eq!(client.call("snapshot_read", &all()).await.status, 200);
}

#[tokio::test]
async fn connections_without_requests_are_closed() {
    let mut options = options();
    options.header_timeout = Duration::from_millis(10);
    let running = start(options).await;
    for first in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST / HTTP/1.1\r\nhost: a\r\n"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(first).await.unwrap();
        // The server may send a response first.
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let mut options = options();
    options.header_timeout = Duration::from_secs(3600);
    options.idle_timeout = Duration::from_millis(10);
    let running = start(options).await;
    for connection in [Connection::http2(running.address).await, Connection::http1(running.address).await] {
        Client::with(connection, READER).await.connection.closed().await;
    }
}

#[tokio::test]
async fn incomplete_body_times_out() {
    let mut options = options();
    options.body_timeout = Duration::from_millis(10);
    let running = start(options).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {WRITER}\r\ncontent-length: 5\r\n\r\n12");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = [0; 12];
    stream.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 408");
}

#[tokio::test]
async fn broken_connections_release_their_memory() {
    let mut options = options();
    // With two tokens, each may take a half of it.
    options.memory = 16 << 20;
    let running = start(options).await;
    fill(&running).await;
    for _ in 0..10 {
        let mut client = Client::open(&running, READER).await;
        let response = client.begin("snapshot_read", &all()).await;
        if response.status() == 200 {
            let mut body = response.into_body();
            let _ = body.frame().await;
        }
    }
    let mut client = Client::open(&running, READER).await;
    while client.call("snapshot_read", &all()).await.status != 200 {
        tokio::task::yield_now().await;
    }
}

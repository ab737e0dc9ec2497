//! Floods of HTTP/2 frames: the server closes the connection, and other clients are served.

use openkv_connect::wire::datapath::SnapshotRead;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, READER, options, start};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

const END_STREAM_AND_HEADERS: u8 = 5;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns the header block of a request: fields without an index, of fewer than 127 bytes each.
fn request() -> Vec<u8> {
    let field = |(name, value): (&str, &str)| {
        [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")].map(field).concat()
}

#[tokio::test]
async fn floods_close_their_connections_only() {
    let running = start(options()).await;
    let mut client = Client::open(&running, READER).await;
    let reset = |i: u32| {
        let stream = 2 * i + 1;
        [frame(HEADERS, END_STREAM_AND_HEADERS, stream, &request()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
            .concat()
    };
    let continuation = |payload: Vec<u8>| {
        move |i: u32| match i {
            0 => frame(HEADERS, 0, 1, &request()),
            _ => frame(CONTINUATION, 0, 1, &payload),
        }
    };
    let field = [&[0, 3][..], b"x-a", &[100], &[b'x'; 100]].concat();
    let floods: [Box<dyn Fn(u32) -> Vec<u8>>; 3] =
        [Box::new(reset), Box::new(continuation(Vec::new())), Box::new(continuation(field.repeat(100)))];
    for next in floods {
        let (mut received, mut sent) = TcpStream::connect(running.address).await.unwrap().into_split();
        // The responses must not block the server.
        let receiving = tokio::spawn(async move { received.read_to_end(&mut Vec::new()).await });
        sent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        sent.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        let mut frames = (0..).map(next);
        while sent.write_all(&frames.next().unwrap()).await.is_ok() {}
        // The connection may be reset.
        let _ = receiving.await.unwrap();
        assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 200);
    }
}

//! Tests the client against the server, over connections that fail.
#![cfg(all(feature = "client", feature = "server"))]

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::future::{join_all, try_join_all};
use openkv_connect::client::{self, Connecting, Network, Stream, Tcp, connect};
use openkv_connect::server::{self, Served, Server};
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{AtomicWrite, Check, Commit, Database, Enqueue, Key, Mutation, Selector, Value};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;

/// A network whose connections fail after a number of bytes in both directions.
#[derive(Clone)]
struct Cutting {
    /// The range to draw the number of bytes from; `None` for connections that do not fail.
    bytes: Option<(u64, u64)>,
    seed: Arc<AtomicU64>,
}

struct Cut {
    stream: Box<dyn Stream>,
    left: u64,
}

impl Cut {
    fn pass(&mut self, bytes: usize) -> io::Result<()> {
        self.left = self.left.saturating_sub(bytes as u64);
        if self.left == 0 { Err(io::Error::from(io::ErrorKind::ConnectionReset)) } else { Ok(()) }
    }
}

impl Network for Cutting {
    fn connect(&self, host: &str, port: u16) -> Connecting {
        let connecting = Tcp.connect(host, port);
        let mut random = StdRng::seed_from_u64(self.seed.fetch_add(1, Ordering::Relaxed));
        let left = self.bytes.map_or(u64::MAX, |(least, most)| random.random_range(least..=most));
        Box::pin(async move { Ok(Box::new(Cut { stream: connecting.await?, left }) as Box<dyn Stream>) })
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        Poll::Ready(self.pass(buffer.filled().len() - before))
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        Poll::Ready(self.pass(written).map(|()| written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Serves a database in memory.
async fn serve() -> SocketAddr {
    let database = sqlite::open(Location::Memory, sqlite::Options::default()).unwrap();
    let server = Server::new(vec![Served::new("main", database)], server::Options::default()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    server.listen(listener).unwrap();
    address
}

/// Opens the database of a server. The exchange may fail, too.
async fn open(address: SocketAddr, bytes: Option<(u64, u64)>, seed: u64) -> Database {
    let network = Cutting { bytes, seed: Arc::new(seed.into()) };
    loop {
        let options = client::Options::new("token").network(network.clone());
        if let Ok(database) = connect(&format!("http://{address}/main"), options).await {
            return database;
        }
    }
}

/// Enough for the exchange and a few calls.
const SOME: Option<(u64, u64)> = Some((1_000, 20_000));

fn key(name: &str) -> Key {
    Key::from([name])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_committed_exactly_once() {
    let address = serve().await;
    let mut databases = Vec::new();
    for client in 0..3 {
        databases.push(open(address, SOME, 1_000 * client).await);
    }
    let writes = databases
        .iter()
        .flat_map(|database| (0..200).map(|_| database.write(AtomicWrite::new().mutate(Mutation::sum(key("sum"), 1)))));
    for commit in try_join_all(writes.collect::<Vec<_>>()).await.unwrap() {
        commit.into_result().unwrap();
    }
    let sum = open(address, None, 0).await.get(&key("sum")).await.unwrap().unwrap();
    assert_eq!(sum.value, Value::U64(600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_take_effect_in_their_order() {
    for seed in 0..5 {
        let database = open(serve().await, SOME, 1_000 * seed).await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut model: [Option<Value>; 4] = Default::default();
        let mut reads = Vec::new();
        let mut writes = Vec::new();
        for number in 0..300 {
            let i = random.random_range(0..model.len());
            let key = key(&i.to_string());
            match random.random_range(0..4) {
                0 => {
                    model[i] = None;
                    writes.push(database.write(AtomicWrite::new().mutate(Mutation::delete(key))));
                }
                1 | 2 => {
                    model[i] = Some(Value::U64(number));
                    writes.push(database.write(AtomicWrite::new().mutate(Mutation::set(key, Value::U64(number)))));
                }
                _ => {
                    let read = database.get(&key);
                    let expected = model[i].clone();
                    reads.push(async move {
                        assert_eq!(read.await.unwrap().map(|entry| entry.value), expected);
                    });
                }
            }
        }
        let counted = database.count(&Selector::prefix(&Key::new()));
        join_all(reads).await;
        let commits = try_join_all(writes).await.unwrap();
        let versions: Vec<_> = commits.into_iter().map(|commit| commit.into_result().unwrap()).collect();
        assert!(versions.is_sorted(), "versions are in the order of the writes");
        assert_eq!(counted.await.unwrap(), model.iter().flatten().count() as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_and_counter_survive_lost_connections() {
    let address = serve().await;
    let watching = open(address, SOME, 7).await;
    let mut watch = watching.watch(&[key("n")]).unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap(), [None]);
    let writing = open(address, SOME, 70).await;
    let task = tokio::spawn(async move {
        for _ in 0..100 {
            loop {
                let entry = writing.get(&key("n")).await.unwrap();
                let value = match entry.as_ref().map(|entry| &entry.value) {
                    Some(Value::U64(number)) => *number,
                    _ => 0,
                };
                let check = entry.as_ref().map_or_else(|| Check::absent(key("n")), Check::unchanged);
                let write = AtomicWrite::new().check(check).mutate(Mutation::set(key("n"), Value::U64(value + 1)));
                if let Commit::Done(_) = writing.write(write).await.unwrap() {
                    break;
                }
            }
        }
    });
    let mut last = 0;
    while last < 100 {
        let entry = watch.next().await.unwrap().unwrap().remove(0).unwrap();
        let Value::U64(number) = entry.value else { panic!("{entry:?}") };
        assert!(number > last, "{number} after {last}");
        last = number;
    }
    assert_eq!(last, 100);
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_handled_at_least_once() {
    let address = serve().await;
    let sending = open(address, None, 0).await;
    let enqueue = |number: u8| sending.write(AtomicWrite::new().enqueue(Enqueue::new(vec![number])));
    try_join_all((0..50).map(enqueue).collect::<Vec<_>>()).await.unwrap();
    let receiving = open(address, SOME, 3).await;
    let mut handled = std::collections::BTreeSet::new();
    while handled.len() < 50 {
        for delivery in receiving.dequeue().await.unwrap() {
            delivery.start();
            handled.insert(delivery.message[0]);
            // The claim may be lost, in which case the message is redelivered.
            let _ = delivery.done().await;
        }
    }
}

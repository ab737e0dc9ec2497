//! The `tracing` events of a database, in a single test, because a process has only one global subscriber.

use std::fmt::{Debug, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{AtomicWrite, Clock, Enqueue, Key, Mutation, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Sends the level, the message and the fields of each event of the engine.
struct Events(Sender<String>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("openkv_engine") && *metadata.level() <= Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        let _ = self.0.send(fields.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A clock that advances by a step with each read.
#[derive(Default)]
struct Stepping {
    step: AtomicU64,
    time: AtomicU64,
}

impl Clock for Stepping {
    fn now(&self) -> u64 {
        1
    }

    fn monotonic(&self) -> u64 {
        self.time.fetch_add(self.step.load(Ordering::Relaxed), Ordering::Relaxed)
    }
}

/// Waits for an event that contains the words.
fn expect(events: &Receiver<String>, words: &[&str]) {
    let mut seen = Vec::new();
    loop {
        match events.recv_timeout(Duration::from_secs(60)) {
            Ok(event) if words.iter().all(|word| event.contains(word)) => return,
            Ok(event) => seen.push(event),
            Err(error) => panic!("{error}: no event with {words:?}, but {seen:#?}"),
        }
    }
}

#[test]
fn database_emits_events_for_operators() {
    let (sender, events) = channel();
    tracing::subscriber::set_global_default(Events(sender)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kv.sqlite3");
    let clock = Arc::new(Stepping::default());
    let database = sqlite::open(Location::file(&path), Options::default().clock(clock.clone())).unwrap();
    expect(&events, &["DEBUG", "opened a database", "kv.sqlite3"]);

    for i in 0..100 {
        let set = |j: u64| Mutation::set(Key::from(["a", &(100 * i + j).to_string()]), Value::Bytes(vec![1; 4000]));
        let write = (0..100).map(set).fold(AtomicWrite::new(), AtomicWrite::mutate);
        database.write_blocking(write).unwrap().into_result().unwrap();
    }
    expect(&events, &["DEBUG", "checkpointed the WAL", "pages="]);

    clock.step.store(1000, Ordering::Relaxed);
    database.set_blocking(Key::from(["b"]), Value::U64(1)).unwrap();
    expect(&events, &["WARN", "a commit was slow", "kv.sqlite3", "millis=1000"]);
    clock.step.store(0, Ordering::Relaxed);

    let enqueue = Enqueue::new(b"\xff\x0fT".to_vec()).backoff([]).undelivered(Key::from(["lost"]));
    database.write_blocking(AtomicWrite::new().enqueue(enqueue)).unwrap().into_result().unwrap();
    let delivery = block_on(database.deliveries().next()).unwrap().unwrap();
    block_on(delivery.retry()).unwrap();
    expect(&events, &["WARN", "gave up on a message"]);

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let write = database.set(Key::from(["b"]), Value::U64(2));
    expect(&events, &["WARN", "waiting for a lock that another process holds"]);
    other.execute_batch("rollback").unwrap();
    block_on(write).unwrap();
    drop(other);

    database.close();
    expect(&events, &["DEBUG", "closed a database", "kv.sqlite3"]);
}

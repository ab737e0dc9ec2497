//! The same random operations, through the trait and through the engine's API, have the same results and leave the same data.

use std::sync::Arc;

use deno_error::JsErrorBox;
use denokv_proto::{Database as _, QueueMessageHandle};
use futures_executor::block_on;
use openkv_engine::denokv::DenoKv;
use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{
    AtomicWrite, Check, Database, Enqueue, Key, Mutation, MutationKind, Operand, Read, Time, Value, Versionstamp,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A write, independent of both APIs.
#[derive(Clone, Debug)]
struct Write {
    checks: Vec<(usize, Expected)>,
    mutations: Vec<(usize, Kind, Data, Option<i64>)>,
    messages: Vec<Message>,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    Absent,
    Present,
    Other,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Set,
    SetVersionstamped,
    Delete,
    Sum,
    Min,
    Max,
}

#[derive(Clone, Debug)]
enum Data {
    V8(Vec<u8>),
    U64(u64),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Message {
    payload: Vec<u8>,
    at: i64,
    schedule: Option<Vec<u32>>,
    keys: Vec<usize>,
}

fn data() -> impl Strategy<Value = Data> {
    // Including numbers in V8's format, which can be summed.
    let v8 =
        prop_oneof![Just(vec![0xff, 0x0f, b'I', 6]), Just(vec![0xff, 0x0f, b'"', 1, b'x']), vec(any::<u8>(), 0..4)];
    prop_oneof![v8.prop_map(Data::V8), any::<u64>().prop_map(Data::U64), vec(any::<u8>(), 0..4).prop_map(Data::Bytes)]
}

fn write() -> impl Strategy<Value = Write> {
    let name = || 0..NAMES.len();
    let expected = prop_oneof![1 => Just(Expected::Absent), 3 => Just(Expected::Present), 1 => Just(Expected::Other)];
    let kind = prop_oneof![
        3 => Just(Kind::Set),
        1 => Just(Kind::SetVersionstamped),
        1 => Just(Kind::Delete),
        1 => Just(Kind::Sum),
        1 => Just(Kind::Min),
        1 => Just(Kind::Max)
    ];
    let mutation = (name(), kind, data(), proptest::option::of(-10..100i64));
    let message = (vec(any::<u8>(), 0..4), -10..100i64, proptest::option::of(vec(0..10u32, 0..3)), vec(name(), 0..3))
        .prop_map(|(payload, at, schedule, keys)| Message { payload, at, schedule, keys });
    (vec((name(), expected), 0..2), vec(mutation, 0..4), vec(message, 0..2))
        .prop_map(|(checks, mutations, messages)| Write { checks, mutations, messages })
}

/// Two databases with the same operations.
struct Pair {
    clock: Arc<ManualClock>,
    engine: Database,
    proto: DenoKv,
}

impl Pair {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let options = Options::default().clock(clock.clone());
        let engine = sqlite::open(Location::Memory, options).unwrap();
        Self { proto: open(Location::Memory, &clock), engine, clock }
    }

    /// Returns the version for a check.
    fn version(&self, name: usize, expected: Expected) -> Option<Versionstamp> {
        let key = engine_key(name);
        match expected {
            Expected::Absent => None,
            Expected::Present => {
                let entries = self.engine.read_blocking(&[Read::Key(&key)]).unwrap().remove(0);
                entries.first().map(|entry| entry.versionstamp)
            }
            Expected::Other => Some(Versionstamp::from_version(u64::MAX)),
        }
    }

    fn versions(&self, write: &Write) -> Vec<Option<Versionstamp>> {
        write.checks.iter().map(|(name, expected)| self.version(*name, *expected)).collect()
    }

    fn write_engine(&self, write: &Write, versions: &[Option<Versionstamp>]) -> Result<Option<[u8; 10]>, String> {
        let mut atomic = AtomicWrite::new();
        for ((name, _), versionstamp) in write.checks.iter().zip(versions) {
            atomic = atomic.check(Check { key: engine_key(*name), versionstamp: *versionstamp });
        }
        for (name, kind, data, expiry) in &write.mutations {
            let value = match data.clone() {
                Data::V8(bytes) => Value::V8(bytes),
                Data::U64(number) => Value::U64(number),
                Data::Bytes(bytes) => Value::Bytes(bytes),
            };
            let expire_at = expiry.map(|time| Time::At(time.max(0) as u64));
            let kind = match kind {
                Kind::Set => MutationKind::Set { value, expire_at, versionstamped: false },
                Kind::SetVersionstamped => MutationKind::Set { value, expire_at, versionstamped: true },
                Kind::Delete => MutationKind::Delete,
                Kind::Sum => MutationKind::Combine { operand: Operand::Sum, value },
                Kind::Min => MutationKind::Combine { operand: Operand::Min, value },
                Kind::Max => MutationKind::Combine { operand: Operand::Max, value },
            };
            atomic = atomic.mutate(Mutation { key: engine_key(*name), kind });
        }
        for message in &write.messages {
            atomic = atomic.enqueue(Enqueue {
                message: message.payload.clone(),
                deliver_at: Time::At(message.at.max(0) as u64),
                backoff_schedule: message.schedule.clone(),
                keys_if_undelivered: message.keys.iter().copied().map(engine_key).collect(),
            });
        }
        let commit = self.engine.write_blocking(atomic).map_err(|error| error.to_string())?;
        Ok(commit.versionstamp().map(|versionstamp| *versionstamp.as_bytes()))
    }

    fn write_proto(&self, write: &Write, versions: &[Option<Versionstamp>]) -> Result<Option<[u8; 10]>, String> {
        use denokv_proto::{Check, Enqueue, KvValue, Mutation, MutationKind};
        let checks = write.checks.iter().zip(versions).map(|((name, _), versionstamp)| Check {
            key: key(NAMES[*name]),
            versionstamp: versionstamp.map(|versionstamp| *versionstamp.as_bytes()),
        });
        let mutations = write.mutations.iter().map(|(name, kind, data, expiry)| {
            let value = match data.clone() {
                Data::V8(bytes) => KvValue::V8(bytes),
                Data::U64(number) => KvValue::U64(number),
                Data::Bytes(bytes) => KvValue::Bytes(bytes),
            };
            let kind = match kind {
                Kind::Set => MutationKind::Set(value),
                Kind::SetVersionstamped => MutationKind::SetSuffixVersionstampedKey(value),
                Kind::Delete => MutationKind::Delete,
                Kind::Sum => MutationKind::Sum { value, min_v8: vec![], max_v8: vec![], clamp: false },
                Kind::Min => MutationKind::Min(value),
                Kind::Max => MutationKind::Max(value),
            };
            Mutation { key: key(NAMES[*name]), kind, expire_at: expiry.map(time) }
        });
        let enqueues = write.messages.iter().map(|message| Enqueue {
            payload: message.payload.clone(),
            deadline: time(message.at),
            keys_if_undelivered: message.keys.iter().map(|name| key(NAMES[*name])).collect(),
            backoff_schedule: message.schedule.clone(),
        });
        let atomic = denokv_proto::AtomicWrite {
            checks: checks.collect(),
            mutations: mutations.collect(),
            enqueues: enqueues.collect(),
        };
        let commit = block_on(self.proto.atomic_write(atomic)).map_err(|error: JsErrorBox| error.to_string())?;
        Ok(commit.map(|commit| commit.versionstamp))
    }

    /// Returns the entries of both databases, each read through its own API.
    fn dumps(&self, reverse: bool) -> [Vec<String>; 2] {
        let all = Read::Range { start: &[], end: &[0xff], limit: 500, reverse, values: true };
        let engine = self.engine.read_blocking(&[all]).unwrap().remove(0).into_iter().map(|entry| {
            let value = entry.value.unwrap();
            format!("{:?} {value:?} {:?}", entry.key.as_bytes(), entry.versionstamp.as_bytes())
        });
        let proto = block_on(read(&self.proto, vec![range(vec![], vec![0xff], 500, reverse)])).unwrap().remove(0);
        let proto =
            proto.into_iter().map(|entry| format!("{:?} {} {:?}", entry.key, shown(&entry.value), entry.versionstamp));
        [engine.collect(), proto.collect()]
    }

    /// Delivers the given number of messages, once, with failing handlers.
    fn deliver(&self, messages: usize) -> [Vec<Vec<u8>>; 2] {
        let mut engine = Vec::new();
        let mut deliveries = Vec::new();
        while deliveries.len() < messages {
            deliveries.extend(block_on(self.engine.dequeue()).unwrap());
        }
        for mut delivery in deliveries {
            engine.push(std::mem::take(&mut delivery.message));
            block_on(delivery.retry()).unwrap();
        }
        let mut proto = Vec::new();
        let handles: Vec<_> =
            (0..messages).map(|_| block_on(self.proto.dequeue_next_message()).unwrap().unwrap()).collect();
        for mut handle in handles {
            proto.push(block_on(handle.take_payload()).unwrap());
            block_on(handle.finish(false)).unwrap();
        }
        [engine, proto]
    }
}

fn engine_key(name: usize) -> Key {
    Key::from_encoded(key(NAMES[name]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_apis_have_the_same_results(steps in vec((write(), 0..5u64), 1..30)) {
        let pair = Pair::new();
        let (mut now, mut messages) = (0, 0);
        for (write, pause) in &steps {
            now += pause;
            pair.clock.set(now);
            let versions = pair.versions(write);
            let engine = pair.write_engine(write, &versions);
            prop_assert_eq!(&engine, &pair.write_proto(write, &versions));
            if let Ok(Some(_)) = engine {
                messages += write.messages.len();
            }
            let [engine, proto] = pair.dumps(pause % 2 == 1);
            prop_assert_eq!(engine, proto);
        }
        pair.clock.set(now + 1000);
        let [engine, proto] = pair.deliver(messages);
        prop_assert_eq!(engine, proto);
        let [engine, proto] = pair.dumps(false);
        prop_assert_eq!(engine, proto);
    }
}

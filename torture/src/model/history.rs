//! Histories: sequences of operations, as plain data that can be generated and shrunk.

use std::borrow::Cow;

use openkv_engine::{Key, KeyPart, Operand, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A part of a key. Its derived order is that of the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Bytes(Vec<u8>),
    Text(Cow<'static, str>),
    Int(i64),
    /// In halves.
    Number(i32),
    Bool(bool),
}

/// A key. Its derived order is that of the database.
pub type Parts = Vec<Part>;

/// An operation on one of the open handles.
#[derive(Clone, Debug)]
pub struct Step {
    /// The handle, modulo their number.
    pub handle: usize,
    pub op: Op,
}

impl Step {
    /// Returns the step for a database whose clock cannot be set: without delays, and without expiry but that of expired entries.
    pub fn without_time(&self) -> Self {
        let mut step = self.clone();
        let Op::Write(writes) = &mut step.op else { return step };
        for (_, change) in writes.iter_mut().flat_map(|write| &mut write.mutations) {
            if let Change::Set { expire_in, .. } = change {
                *expire_in = expire_in.filter(|time| *time <= 0);
            }
        }
        for message in writes.iter_mut().flat_map(|write| &mut write.messages) {
            message.delay = 0;
            message.backoff = Some(vec![0; message.backoff.as_ref().map_or(0, Vec::len)]);
        }
        step
    }
}

#[derive(Clone, Debug)]
pub enum Op {
    /// Concurrent writes.
    Write(Vec<Write>),
    DeleteRange(Selection),
    /// The parts of one read.
    Read(Vec<Portion>),
    /// A listing in pages of this size, each from the cursor of the previous one.
    Pages {
        selection: Selection,
        page: u32,
        reverse: bool,
    },
    Count(Selection),
    /// Receives messages. If none is ready, enqueues one while the listener waits.
    Receive,
    /// Finishes a message in flight.
    Finish {
        which: usize,
        success: bool,
    },
    /// Finishes all messages in flight but one, and drops that one.
    Drop {
        reopen: bool,
    },
    /// Advances the clock, in milliseconds.
    Wait(u64),
    /// Opens another handle on the file.
    Open,
    /// Closes one of several handles.
    Close,
    /// Closes all handles, and opens one.
    Reopen,
}

#[derive(Clone, Debug)]
pub struct Write {
    pub checks: Vec<(Parts, Stamp)>,
    pub mutations: Vec<(Parts, Change)>,
    pub messages: Vec<Message>,
}

/// The versionstamp of a check.
#[derive(Clone, Debug)]
pub enum Stamp {
    /// The current one.
    Current,
    Absent,
    /// That of an earlier commit, counted back from the last one.
    Before(u64),
}

#[derive(Clone, Debug)]
pub enum Change {
    Set {
        value: Value,
        /// In milliseconds. Negative if it is already expired.
        expire_in: Option<i64>,
        versionstamped: bool,
    },
    Delete,
    Combine {
        operand: Operand,
        value: Value,
    },
}

#[derive(Clone, Debug)]
pub struct Message {
    pub delay: u64,
    pub backoff: Option<Vec<u32>>,
    pub undelivered: Vec<Parts>,
}

/// A selector.
#[derive(Clone, Debug)]
pub struct Selection {
    pub prefix: Option<Parts>,
    pub start: Option<Parts>,
    pub end: Option<Parts>,
}

/// One part of a read.
#[derive(Clone, Debug)]
pub enum Portion {
    Key(Parts),
    Range { selection: Selection, limit: u32, reverse: bool, values: bool },
}

/// Returns a number in V8's format.
pub fn number(number: f64) -> Value {
    Value::V8([&[0xff, 0x0f, b'N'], &number.to_le_bytes()[..]].concat())
}

/// Encodes a key.
pub fn key(parts: &Parts) -> Key {
    let parts = parts.iter().map(|part| match part {
        Part::Bytes(bytes) => KeyPart::from(&bytes[..]),
        Part::Text(text) => KeyPart::from(&**text),
        Part::Int(int) => KeyPart::bigint(*int),
        Part::Number(halves) => KeyPart::from(f64::from(*halves) / 2.0),
        Part::Bool(bool) => KeyPart::from(*bool),
    });
    Key::from_parts(&parts.collect::<Vec<_>>()).expect("the integers of these keys are short")
}

/// Generates histories of up to `steps` steps.
pub fn histories(steps: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3usize, op()).prop_map(|(handle, op)| Step { handle, op });
    vec(step, 1..=steps)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => vec(write(), 1..=3).prop_map(Op::Write),
        2 => selection().prop_map(Op::DeleteRange),
        5 => vec(portion(), 1..=4).prop_map(Op::Read),
        3 => (selection(), 1..5u32, any::<bool>())
            .prop_map(|(selection, page, reverse)| Op::Pages { selection, page, reverse }),
        2 => selection().prop_map(Op::Count),
        4 => Just(Op::Receive),
        5 => (0..8usize, prop::bool::weighted(0.3)).prop_map(|(which, success)| Op::Finish { which, success }),
        1 => any::<bool>().prop_map(|reopen| Op::Drop { reopen }),
        4 => select(vec![1, 49, 50, 100, 950, 1000, 7000, 70_000]).prop_map(Op::Wait),
        1 => Just(Op::Open),
        1 => Just(Op::Close),
        1 => Just(Op::Reopen),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let checks = prop_oneof![3 => Just(vec![]), 2 => vec((any_key(), stamp()), 1..=3)];
    let messages = prop_oneof![3 => Just(vec![]), 1 => vec(message(), 1..=3)];
    (checks, vec((any_key(), change()), 0..=4), messages).prop_map(|(checks, mutations, messages)| Write {
        checks,
        mutations,
        messages,
    })
}

fn stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![4 => Just(Stamp::Current), 1 => Just(Stamp::Absent), 1 => (0..4u64).prop_map(Stamp::Before)]
}

fn change() -> impl Strategy<Value = Change> {
    let expire_in = option::of(select(vec![-5, 0, 1, 50, 1000, 8000]));
    let operand = select(vec![Operand::Sum, Operand::Min, Operand::Max]);
    prop_oneof![
        4 => (value(), expire_in, prop::bool::weighted(0.1))
            .prop_map(|(value, expire_in, versionstamped)| Change::Set { value, expire_in, versionstamped }),
        1 => Just(Change::Delete),
        3 => (operand, combined()).prop_map(|(operand, value)| Change::Combine { operand, value }),
    ]
}

/// Generates stored values: mostly numbers, so that most sums succeed.
fn value() -> impl Strategy<Value = Value> {
    // The string "a", in V8's format.
    let text = Value::V8(vec![0xff, 0x0f, b'"', 1, b'a']);
    prop_oneof![
        8 => integer(),
        1 => (-4..4i32).prop_map(|halves| number(f64::from(halves) / 2.0)),
        1 => select(vec![text, Value::Bytes(vec![]), Value::Bytes(vec![0, 255])]),
    ]
}

/// Generates operands.
fn combined() -> impl Strategy<Value = Value> {
    prop_oneof![20 => integer(), 1 => value()]
}

fn integer() -> impl Strategy<Value = Value> {
    select(vec![0, 1, 2, 7, u64::MAX]).prop_map(Value::U64)
}

fn message() -> impl Strategy<Value = Message> {
    let backoff = option::of(select(vec![vec![], vec![0], vec![50, 1000]]));
    (select(vec![0, 0, 1, 50, 1000]), backoff, vec(any_key(), 0..=2))
        .prop_map(|(delay, backoff, undelivered)| Message { delay, backoff, undelivered })
}

fn portion() -> impl Strategy<Value = Portion> {
    prop_oneof![
        any_key().prop_map(Portion::Key),
        (selection(), prop_oneof![1..4u32, Just(200)], any::<bool>(), any::<bool>())
            .prop_map(|(selection, limit, reverse, values)| Portion::Range { selection, limit, reverse, values }),
    ]
}

/// Generates selectors. Some are invalid: most bounds are outside of the prefix.
fn selection() -> impl Strategy<Value = Selection> {
    let all = Selection { prefix: Some(vec![]), start: None, end: None };
    let prefix = || prop_oneof![Just(vec![]), Just(vec![Part::Text("a".into())]), any_key()];
    let between = (option::weighted(0.3, prefix()), any_key(), any_key(), prop::bool::weighted(0.1)).prop_map(
        |(prefix, one, other, swapped)| {
            let (low, high) = if one <= other { (one, other) } else { (other, one) };
            let (start, end) = if swapped { (high, low) } else { (low, high) };
            Selection { prefix, start: Some(start), end: Some(end) }
        },
    );
    prop_oneof![
        2 => Just(all),
        2 => prefix().prop_map(|prefix| Selection { prefix: Some(prefix), start: None, end: None }),
        4 => between,
        1 => (option::of(prefix()), option::of(any_key()), option::of(any_key()))
            .prop_map(|(prefix, start, end)| Selection { prefix, start, end }),
    ]
}

/// Generates keys of all types of parts and of several depths. Half of them are one of four.
fn any_key() -> impl Strategy<Value = Parts> {
    let leaves = [
        Part::Bytes(vec![]),
        Part::Bytes(vec![0]),
        Part::Bytes(vec![0, 255]),
        Part::Text("".into()),
        Part::Text("a".into()),
        Part::Text("a\0".into()),
        Part::Text("\u{e9}".into()),
        Part::Text("\u{1f600}".into()),
        Part::Int(i64::MIN),
        Part::Int(-1),
        Part::Int(0),
        Part::Int(300),
        Part::Number(-3),
        Part::Number(0),
        Part::Number(3),
        Part::Bool(false),
        Part::Bool(true),
    ];
    let a = || Part::Text("a".into());
    let mut keys: Vec<Parts> = leaves.iter().map(|leaf| vec![leaf.clone()]).collect();
    keys.extend(leaves.iter().map(|leaf| vec![a(), leaf.clone()]));
    keys.extend(leaves.iter().step_by(4).map(|leaf| vec![a(), a(), leaf.clone()]));
    let hot = vec![vec![a()], vec![a(), a()], vec![a(), Part::Int(0)], vec![Part::Text("b".into())]];
    prop_oneof![select(hot), select(keys)]
}

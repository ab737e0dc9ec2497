//! Reads. Each op answers at once, or `undefined` where the event loop must go round first: see [`crate::turn`].

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use deno_core::{FromV8, OpState, ResourceId, op2, v8};
use deno_error::JsErrorBox;
use openkv_engine::{EntryRef, Key, KeyError, Read, Selector, ValueRef, Versionstamp};

use crate::error::KvError;
use crate::key;
use crate::open::database;
use crate::turn::database_and_turn;
use crate::value::Decoder;

/// Reads the entry of a key: `[key, value, versionstamp]`, or `null`.
#[op2(reentrant)]
pub(crate) fn op_kv_get<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    key: v8::Local<'s, v8::Value>,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let key = key_to_read(scope, key)?;
    let Some(Found { entries, .. }) = read(scope, &state, rid, &[Read::Key(&key)], usize::MAX)? else {
        return Ok(v8::undefined(scope).into());
    };
    Ok(match entries.into_iter().next() {
        Some((_, entry)) => v8::Array::new_with_elements(scope, &entry).into(),
        None => v8::null(scope).into(),
    })
}

/// Reads the entries of several keys in one snapshot: for each key what [`op_kv_get`] answers.
#[op2(reentrant)]
pub(crate) fn op_kv_get_many<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    keys: v8::Local<'s, v8::Value>,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let keys = key::array(keys)?;
    let keys = (0..keys.length()).map(|i| {
        let key = keys.get_index(scope, i).ok_or(KvError::NotAKeyPart)?;
        key_to_read(scope, key)
    });
    let keys: Vec<_> = keys.collect::<Result<_, KvError>>()?;
    let reads: Vec<_> = keys.iter().map(Read::Key).collect();
    let Some(Found { entries, .. }) = read(scope, &state, rid, &reads, usize::MAX)? else {
        return Ok(v8::undefined(scope).into());
    };
    let mut answers = vec![v8::null(scope).into(); reads.len()];
    for (i, entry) in entries {
        answers[i] = v8::Array::new_with_elements(scope, &entry).into();
    }
    Ok(v8::Array::new_with_elements(scope, &answers).into())
}

fn key_to_read<'s>(scope: &mut v8::PinScope<'s, '_>, key: v8::Local<'s, v8::Value>) -> Result<Key, KvError> {
    match key.is_null_or_undefined() {
        // The reference reads a missing key as a selector without bounds.
        true => Err(openkv_engine::Error::IncompleteSelector.into()),
        false => key::from_v8(scope, key),
    }
}

/// Which entries [`op_kv_list`] reads.
#[derive(FromV8)]
pub(crate) struct Batch {
    limit: u32,
    reverse: bool,
    values: bool,
    cursor: Option<StringArgument>,
}

/// How many bytes of values a batch of a listing has at most, but for the last value.
const BATCH_BYTES: usize = 1024 * 1024;

/// Reads a batch of a listing: key, value and versionstamp of each entry, one after the other, and at last whether there
/// may be more. A batch of large values ends early, so that the event loop can go round before the next one.
#[op2(reentrant)]
pub(crate) fn op_kv_list<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] selector: SelectorArgument,
    #[scoped] batch: Batch,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let (start, end) = selector.parse()?.range(batch.cursor.as_ref().map(|cursor| &*cursor.0), batch.reverse)?;
    let range =
        Read::Range { start: &start, end: &end, limit: batch.limit, reverse: batch.reverse, values: batch.values };
    let Some(Found { entries, is_cut }) = read(scope, &state, rid, &[range], BATCH_BYTES)? else {
        return Ok(v8::undefined(scope).into());
    };
    let may_be_more = is_cut || entries.len() == batch.limit as usize;
    let mut elements = Vec::with_capacity(entries.len() * 3 + 1);
    elements.extend(entries.into_iter().flat_map(|(_, entry)| entry));
    elements.push(v8::Boolean::new(scope, may_be_more).into());
    Ok(v8::Array::new_with_elements(scope, &elements).into())
}

/// Says what is wrong with a consistency that the shim does not know.
#[op2(fast)]
pub(crate) fn op_kv_refuse_consistency(
    scope: &mut v8::PinScope<'_, '_>,
    consistency: v8::Local<v8::Value>,
) -> Result<(), KvError> {
    Err(match v8::Local::<v8::String>::try_from(consistency) {
        Ok(name) => KvError::UnknownConsistency(name.to_rust_string_lossy(scope)),
        Err(_) => KvError::Type { expected: "enum", got: consistency.type_repr() },
    })
}

/// A string, and nothing that could be made one.
pub(crate) struct StringArgument(pub String);

impl<'s> FromV8<'s> for StringArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        match v8::Local::<v8::String>::try_from(value) {
            Ok(string) => Ok(Self(string.to_rust_string_lossy(scope))),
            Err(_) => Err(KvError::Type { expected: "string", got: value.type_repr() }),
        }
    }
}

/// Counts the entries of a selector.
#[op2(reentrant)]
#[number]
pub(crate) async fn op_kv_count(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] selector: SelectorArgument,
) -> Result<u64, KvError> {
    let database = database(&state.borrow(), rid)?.database.clone();
    let (start, end) = selector.parse()?.range(None, false)?;
    // A count may take long.
    let counted = deno_core::unsync::spawn_blocking(move || database.count(&start, &end)).await;
    Ok(counted.map_err(JsErrorBox::from_err)??)
}

/// The cursor that continues a listing after a key.
#[op2(reentrant)]
#[string]
pub(crate) fn op_kv_encode_cursor(
    #[scoped] selector: SelectorArgument,
    #[scoped] key: KeyArgument,
) -> Result<String, KvError> {
    Ok(selector.parse()?.cursor(key.0?.as_bytes())?)
}

/// A selector as scripts give it.
#[derive(FromV8)]
pub(crate) struct SelectorArgument {
    prefix: Option<KeyArgument>,
    start: Option<KeyArgument>,
    end: Option<KeyArgument>,
}

impl SelectorArgument {
    pub fn parse(self) -> Result<Selector, KvError> {
        let key = |key: Option<KeyArgument>| key.map(|key| key.0).transpose();
        let (prefix, start, end) = (key(self.prefix)?, key(self.start)?, key(self.end)?);
        Ok(Selector::new(prefix.as_ref(), start.as_ref(), end.as_ref())?)
    }
}

/// A key as scripts give it. Where a part has no stored form, the op says for what the key was.
pub(crate) struct KeyArgument(pub Result<Key, KeyError>);

impl<'s> FromV8<'s> for KeyArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        match key::from_v8(scope, value) {
            Ok(key) => Ok(Self(Ok(key))),
            Err(KvError::Key(error)) => Ok(Self(Err(error))),
            Err(error) => Err(error),
        }
    }
}

/// Keys as scripts give them.
pub(crate) struct KeysArgument(pub Result<Vec<Key>, KeyError>);

impl<'s> FromV8<'s> for KeysArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        let array = key::array(value)?;
        let keys = (0..array.length()).map(|i| {
            let key = array.get_index(scope, i).ok_or(KvError::NotAKeyPart)?;
            Ok(KeyArgument::from_v8(scope, key)?.0)
        });
        Ok(Self(keys.collect::<Result<Result<_, _>, KvError>>()?))
    }
}

type Decoded<'s> = [v8::Local<'s, v8::Value>; 3];

/// What a read found.
struct Found<'s> {
    /// The entries, with the positions of their reads.
    entries: Vec<(usize, Decoded<'s>)>,
    /// Whether the read was ended early.
    is_cut: bool,
}

/// Reads and decodes entries. None where the event loop must go round first. The read is ended early after so many bytes of
/// values. That depends on nothing but the data: who writes where it lists finds the same batches each time.
fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &RefCell<OpState>,
    rid: ResourceId,
    reads: &[Read<'_>],
    most_bytes: usize,
) -> Result<Option<Found<'s>>, KvError> {
    // The state is not borrowed while values are decoded: what restores a blob, say, calls ops of its own.
    let (resource, turn) = database_and_turn(&state.borrow(), rid)?;
    if turn.is_due() {
        return Ok(None);
    }
    let decoder = Decoder::new(scope, state)?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut failure = None;
    resource.database.read(reads, &mut |i, entry| {
        bytes += entry.value.map_or(0, ValueRef::len);
        match decode(scope, &decoder, entry) {
            Ok(decoded) => entries.push((i, decoded)),
            Err(error) => failure = Some(error),
        }
        match failure.is_none() && bytes < most_bytes {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    match failure {
        None => Ok(Some(Found { entries, is_cut: bytes >= most_bytes })),
        Some(error) => Err(error),
    }
}

fn decode<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    decoder: &Decoder<'s>,
    entry: EntryRef<'_>,
) -> Result<Decoded<'s>, KvError> {
    let key = key::to_v8(scope, entry.key)?;
    let value = match entry.value {
        Some(value) => decoder.decode(scope, value)?,
        None => v8::undefined(scope).into(),
    };
    Ok([key, value, versionstamp_to_v8(scope, entry.versionstamp)])
}

/// A versionstamp as scripts see it: a string of 20 hexadecimal digits.
pub(crate) fn versionstamp_to_v8<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    versionstamp: Versionstamp,
) -> v8::Local<'s, v8::Value> {
    let digits = versionstamp.to_hex();
    let string = v8::String::new_from_one_byte(scope, &digits, v8::NewStringType::Normal);
    string.expect("twenty digits are no long string").into()
}

//! Reads. They run immediately, on this thread, except those that a write in flight may change: calls take effect in the order
//! in which they were made, awaited or not. Such reads, and long ones, are handed to another thread by the op, which returns
//! `undefined`; [`op_openkv_wait`] waits for the last of them.

use std::cell::RefCell;
use std::convert::Infallible;
use std::ffi::CStr;
use std::ops::ControlFlow;
use std::rc::Rc;

use deno_core::{FromV8, GarbageCollected, OpState, ResourceId, ToV8, op2, v8};
use openkv_engine::{
    BoxFuture, Consistency, EntryRef, Expiry, Key, KeyError, Read, ReadEntry, ReadOptions, Selector, ValueRef,
    Versionstamp,
};
use smallvec::SmallVec;

use crate::database::database;
use crate::error::KvError;
use crate::key::{self, KeyDecoder};
use crate::value::Decoder;
use crate::values::Values;
use crate::yielding::{budget, database_and_budget};

/// Reads the entry of a key: `[key, value, versionstamp]`, or `null`. Returns `undefined` if another thread reads it.
#[op2(reentrant)]
pub(crate) fn op_openkv_get<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    key: v8::Local<'s, v8::Value>,
    eventual: bool,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let key = key_to_read(scope, key)?;
    read(scope, &state, rid, &[Read::Key(&key)], Shape::Entry, eventual)
}

/// Reads the entries of several keys in one snapshot: for each key the value that [`op_openkv_get`] returns. Returns `undefined`
/// if another thread reads them.
#[op2(reentrant)]
pub(crate) fn op_openkv_get_many<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    keys: v8::Local<'s, v8::Value>,
    eventual: bool,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let keys = keys_to_read(scope, keys)?;
    let reads: Vec<_> = keys.iter().map(Read::Key).collect();
    read(scope, &state, rid, &reads, Shape::Entries { count: reads.len() }, eventual)
}

fn keys_to_read<'s>(scope: &mut v8::PinScope<'s, '_>, keys: v8::Local<'s, v8::Value>) -> Result<Vec<Key>, KvError> {
    let keys = key::array(KEYS, keys)?;
    let keys = (0..keys.length()).map(|i| {
        let key = keys.get_index(scope, i).ok_or(KvError::NotAKeyPart)?;
        key_to_read(scope, key)
    });
    keys.collect()
}

fn key_to_read<'s>(scope: &mut v8::PinScope<'s, '_>, key: v8::Local<'s, v8::Value>) -> Result<Key, KvError> {
    if key.is_null_or_undefined() {
        // Deno treats a missing key as a selector without bounds.
        return Err(openkv_engine::Error::IncompleteSelector.into());
    }
    key::from_v8(scope, key)
}

/// Which entries [`op_openkv_list`] reads.
#[derive(FromV8)]
pub(crate) struct Batch {
    limit: u32,
    reverse: bool,
    values: bool,
    eventual: bool,
    cursor: Option<CursorArgument>,
}

/// The maximum number of bytes of values in a batch of a listing, not counting the last value.
const BATCH_BYTES: usize = 1024 * 1024;

/// Reads a batch of a listing: key and versionstamp of each entry in a flat array, then an array of the values, and whether there may be
/// more. A batch of large values ends early, so that the event loop can run before the next one. Returns `undefined` if another thread
/// reads it.
#[op2(reentrant)]
pub(crate) fn op_openkv_list<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] selector: SelectorArgument,
    #[scoped] batch: Batch,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let (start, end) = batch.range(selector)?;
    read(scope, &state, rid, &[batch.read(&start, &end)], Shape::Batch { limit: batch.limit as usize }, batch.eventual)
}

impl Batch {
    fn range(&self, selector: SelectorArgument) -> Result<(Vec<u8>, Vec<u8>), KvError> {
        Ok(selector.parse()?.range(self.cursor.as_ref().map(|cursor| &*cursor.0), self.reverse)?)
    }

    fn read<'a>(&self, start: &'a [u8], end: &'a [u8]) -> Read<'a> {
        Read::Range { start, end, limit: self.limit, reverse: self.reverse, values: self.values }
    }
}

/// Returns the error for a consistency that the shim does not know.
#[op2(fast)]
pub(crate) fn op_openkv_reject_consistency(
    scope: &mut v8::PinScope<'_, '_>,
    consistency: v8::Local<v8::Value>,
) -> Result<(), KvError> {
    let received = match v8::Local::<v8::String>::try_from(consistency) {
        Ok(name) => format!("{:?}", name.to_rust_string_lossy(scope)),
        Err(_) => key::kind(consistency).to_owned(),
    };
    Err(KvError::UnknownConsistency(received))
}

/// Returns a string argument, without converting other types. Error messages call the argument `what`.
pub(crate) fn string<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    what: &'static str,
    value: v8::Local<'s, v8::Value>,
) -> Result<String, KvError> {
    match v8::Local::<v8::String>::try_from(value) {
        Ok(string) => Ok(string.to_rust_string_lossy(scope)),
        Err(_) => Err(KvError::Type { what, expected: "a string", received: key::kind(value) }),
    }
}

/// A cursor, as scripts pass it.
struct CursorArgument(String);

impl<'s> FromV8<'s> for CursorArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        string(scope, "The cursor", value).map(Self)
    }
}

/// Reads when the entries of several keys expire, in one snapshot: versionstamp and time of each key in a flat array. The versionstamp
/// is `null` if there is no entry, the time if it does not expire.
#[op2(reentrant)]
pub(crate) fn op_openkv_expiries(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] keys: KeysArgument,
) -> Result<impl Future<Output = Result<Expiries, KvError>> + use<>, KvError> {
    let (resource, budget) = database_and_budget(&state.borrow(), rid)?;
    let expiries = resource.database.expiries(&keys.0?);
    Ok(async move { Ok(Expiries(budget.wait(expiries).await?)) })
}

/// When entries expire, for the shim.
pub(crate) struct Expiries(Vec<Option<Expiry>>);

impl<'s> ToV8<'s> for Expiries {
    type Error = Infallible;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, Infallible> {
        let mut elements = Vec::with_capacity(2 * self.0.len());
        for expiry in self.0 {
            let expires_at = expiry.and_then(|expiry| expiry.expires_at);
            elements.push(match expiry {
                Some(expiry) => versionstamp_to_v8(scope, expiry.versionstamp),
                None => v8::null(scope).into(),
            });
            elements.push(match expires_at {
                Some(time) => v8::Number::new(scope, time as f64).into(),
                None => v8::null(scope).into(),
            });
        }
        Ok(v8::Array::new_with_elements(scope, &elements).into())
    }
}

/// Counts the entries of a selector.
#[op2(reentrant)]
pub(crate) fn op_openkv_count(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] selector: SelectorArgument,
) -> Result<impl Future<Output = Result<f64, KvError>> + use<>, KvError> {
    let (resource, budget) = database_and_budget(&state.borrow(), rid)?;
    let count = resource.database.count(&selector.parse()?);
    Ok(async move { Ok(budget.wait(count).await? as f64) })
}

/// Returns the cursor that continues a listing after a key.
#[op2(reentrant)]
#[string]
pub(crate) fn op_openkv_encode_cursor(
    #[scoped] selector: SelectorArgument,
    #[scoped] key: KeyArgument,
) -> Result<String, KvError> {
    Ok(selector.parse()?.cursor(&key.0?)?)
}

/// A selector, as scripts pass it.
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

/// A key, as scripts pass it. If a part cannot be encoded, the op adds to the error what the key was used for.
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

/// The name of a list of keys in error messages.
const KEYS: &str = "A list of keys";

/// Keys, as scripts pass them.
pub(crate) struct KeysArgument(pub Result<Vec<Key>, KeyError>);

impl<'s> FromV8<'s> for KeysArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        let array = key::array(KEYS, value)?;
        let keys = (0..array.length()).map(|i| {
            let key = array.get_index(scope, i).ok_or(KvError::NotAKeyPart)?;
            Ok(KeyArgument::from_v8(scope, key)?.0)
        });
        Ok(Self(keys.collect::<Result<Result<_, _>, KvError>>()?))
    }
}

/// The form in which the shim receives the entries of a read.
#[derive(Clone, Copy)]
enum Shape {
    /// See [`op_openkv_get`].
    Entry,
    /// See [`op_openkv_get_many`].
    Entries { count: usize },
    /// See [`op_openkv_list`].
    Batch { limit: usize },
}

impl Shape {
    /// Returns the number of bytes of values after which a read stops early.
    fn max_bytes(self) -> usize {
        if matches!(self, Shape::Batch { .. }) { BATCH_BYTES } else { usize::MAX }
    }
}

/// Reads and decodes entries. Returns `undefined` if another thread reads them: [`op_openkv_wait`] waits for it.
fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &RefCell<OpState>,
    rid: ResourceId,
    reads: &[Read<'_>],
    shape: Shape,
    eventual: bool,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    // The state is not borrowed while values are decoded: the deserializer of a blob, for example, calls ops itself.
    let resource = database(&state.borrow(), rid)?;
    let consistency = if eventual { Consistency::Eventual } else { Consistency::Strong };
    let options = ReadOptions::default().consistency(consistency).max_bytes(shape.max_bytes());
    let entries = match resource.database.local() {
        Some(local) => {
            let mut collector = Collector::new(scope, state, shape)?;
            if local.try_read(reads, &mut |i, entry| collector.add(scope, i, entry))? {
                return collector.end(scope);
            }
            local.read_later(reads, options)
        }
        None => resource.database.read(reads, options),
    };
    state.borrow_mut().put(Later { entries, shape });
    Ok(v8::undefined(scope).into())
}

/// A read that another thread performs. The shim waits for it before it reads anything else.
struct Later {
    entries: BoxFuture<Vec<Vec<ReadEntry>>>,
    shape: Shape,
}

/// Waits for the read that an op has just handed to another thread.
#[op2]
#[cppgc]
pub(crate) fn op_openkv_wait(
    state: &mut OpState,
) -> Result<impl Future<Output = Result<Found, KvError>> + use<>, KvError> {
    let later = state.try_take::<Later>().ok_or(KvError::Argument("no read is pending"))?;
    let budget = budget(state);
    Ok(async move {
        let lists = budget.wait(later.entries).await?;
        Ok(Found { lists: RefCell::new(lists), shape: later.shape })
    })
}

/// The entries that another thread read, to be decoded by [`op_openkv_found`].
pub(crate) struct Found {
    lists: RefCell<Vec<Vec<ReadEntry>>>,
    shape: Shape,
}

// SAFETY: it holds no reference that V8's garbage collector would have to trace.
unsafe impl GarbageCollected for Found {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static CStr {
        c"KvFound"
    }
}

/// Decodes the entries that another thread read. Works once: the memory is freed here, not by the garbage collector.
#[op2(reentrant)]
pub(crate) fn op_openkv_found<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[cppgc] found: &Found,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    found.decode(scope, &state)
}

impl Found {
    /// Returns the entries of several keys, in the order of the keys.
    pub fn of_keys(lists: Vec<Vec<ReadEntry>>) -> Self {
        Self { shape: Shape::Entries { count: lists.len() }, lists: RefCell::new(lists) }
    }

    /// Decodes the entries in the form that the op of the read returns.
    pub fn decode<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        state: &RefCell<OpState>,
    ) -> Result<v8::Local<'s, v8::Value>, KvError> {
        let mut collector = Collector::new(scope, state, self.shape)?;
        let lists = self.lists.take();
        let entries = lists.iter().enumerate().flat_map(|(i, list)| list.iter().map(move |entry| (i, entry)));
        for (i, entry) in entries {
            if collector.add(scope, i, entry.as_ref()).is_break() {
                break;
            }
        }
        collector.end(scope)
    }
}

/// Decodes the entries of a read, up to a number of bytes of values. The limit depends on the data only, not on time, so that the
/// batches of a listing are the same on each run.
struct Collector<'s> {
    shape: Shape,
    keys: KeyDecoder<'s>,
    decoder: Decoder<'s>,
    /// The versionstamp of the previous entry, for reuse: one commit may have written many entries.
    versionstamp: Option<(Versionstamp, v8::Local<'s, v8::Value>)>,
    /// The entries, each with the index of its read, unless they are a batch.
    entries: SmallVec<[(usize, v8::Local<'s, v8::Value>); 1]>,
    /// Key and versionstamp of each entry of a batch.
    elements: Vec<v8::Local<'s, v8::Value>>,
    values: Values<'s>,
    bytes: usize,
    failure: Option<KvError>,
}

impl<'s> Collector<'s> {
    fn new(scope: &mut v8::PinScope<'s, '_>, state: &RefCell<OpState>, shape: Shape) -> Result<Self, KvError> {
        Ok(Self {
            shape,
            keys: KeyDecoder::default(),
            decoder: Decoder::new(scope, state)?,
            versionstamp: None,
            entries: SmallVec::new(),
            elements: Vec::new(),
            values: Values::default(),
            bytes: 0,
            failure: None,
        })
    }

    fn add(&mut self, scope: &mut v8::PinScope<'s, '_>, i: usize, entry: EntryRef<'_>) -> ControlFlow<()> {
        self.bytes += entry.value.map_or(0, ValueRef::len);
        if let Err(error) = self.decode(scope, i, entry) {
            self.failure = Some(error);
        }
        if self.failure.is_none() && !self.is_full() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.shape.max_bytes()
    }

    fn decode(&mut self, scope: &mut v8::PinScope<'s, '_>, i: usize, entry: EntryRef<'_>) -> Result<(), KvError> {
        let key = self.keys.decode(scope, entry.key)?;
        let versionstamp = match self.versionstamp {
            Some((before, string)) if before == entry.versionstamp => string,
            _ => versionstamp_to_v8(scope, entry.versionstamp),
        };
        self.versionstamp = Some((entry.versionstamp, versionstamp));
        if let Shape::Batch { .. } = self.shape {
            self.elements.extend([key, versionstamp]);
            return self.values.push(scope, &self.decoder, entry.value);
        }
        let value = match entry.value {
            Some(value) => self.decoder.decode(scope, value)?,
            None => v8::undefined(scope).into(),
        };
        self.entries.push((i, v8::Array::new_with_elements(scope, &[key, value, versionstamp]).into()));
        Ok(())
    }

    /// Returns the entries in the form that the op of the read returns.
    fn end(mut self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, KvError> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        match self.shape {
            Shape::Entry => Ok(self.entries.first().map_or_else(|| v8::null(scope).into(), |(_, entry)| *entry)),
            Shape::Entries { count } => {
                let mut elements = vec![v8::null(scope).into(); count];
                for (i, entry) in self.entries {
                    elements[i] = entry;
                }
                Ok(v8::Array::new_with_elements(scope, &elements).into())
            }
            Shape::Batch { limit } => {
                let may_be_more = self.is_full() || self.values.len() == limit;
                self.elements.push(self.values.into_array(scope, &self.decoder)?);
                self.elements.push(v8::Boolean::new(scope, may_be_more).into());
                Ok(v8::Array::new_with_elements(scope, &self.elements).into())
            }
        }
    }
}

/// Returns a versionstamp as scripts see it: a string of 20 hexadecimal digits.
pub(crate) fn versionstamp_to_v8<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    versionstamp: Versionstamp,
) -> v8::Local<'s, v8::Value> {
    let digits = versionstamp.to_hex();
    let string = v8::String::new_from_one_byte(scope, &digits, v8::NewStringType::Normal);
    string.expect("20 characters are within V8's maximum string length").into()
}

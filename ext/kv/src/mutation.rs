//! The mutations of an atomic operation. Keys and values are encoded when the script passes them: later changes to its objects have
//! no effect on the commit.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::Rc;
use std::sync::Arc;

use deno_core::{GarbageCollected, OpState, op2, v8};
use openkv_engine::{Key, Mutation, MutationKind, Operand, Time, Value};

use crate::error::KvError;
use crate::key::{self, KeyDecoder};
use crate::value::{Decoder, encode};

/// The latest time that Deno supports, in milliseconds since the Unix epoch.
const LAST_TIME: u64 = 8_210_266_876_799_999;

/// Mutations, in the order in which the script has added them.
pub(crate) struct Mutations {
    staged: RefCell<Vec<Staged>>,
    /// Whether it holds at most one mutation, that of a call which commits it immediately. It replaces the mutation of a previous
    /// call that failed before its commit, for example by a stack overflow.
    is_single: bool,
    /// The external memory reported to V8, in bytes.
    size: Cell<usize>,
    memory: Rc<Memory>,
}

/// The size of freed mutations that was not reported to V8 yet, in bytes.
#[derive(Default)]
pub(crate) struct Memory {
    freed: Cell<usize>,
}

impl Drop for Mutations {
    fn drop(&mut self) {
        self.free();
    }
}

// SAFETY: it holds no reference that V8's garbage collector would have to trace.
unsafe impl GarbageCollected for Mutations {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static CStr {
        c"KvMutations"
    }
}

/// A mutation before its commit.
#[derive(Clone)]
pub(crate) struct Staged {
    kind: Kind,
    /// The key. The commit returns the error of an invalid one.
    key: Result<Key, Arc<KvError>>,
    value: Option<Value>,
    /// The time to live in milliseconds from the commit, or `None` if the value does not expire.
    expire_in: Option<u64>,
}

/// The kind of a mutation, as a number of the shim: see `js/kv/mutation.ts`.
#[derive(Clone, Copy)]
enum Kind {
    Set,
    SetVersionstamped,
    Delete,
    Sum,
    Min,
    Max,
}

impl Kind {
    const ALL: [Self; 6] = [Kind::Set, Kind::SetVersionstamped, Kind::Delete, Kind::Sum, Kind::Min, Kind::Max];

    fn from_shim(kind: u32) -> Result<Self, KvError> {
        Self::ALL.get(kind as usize).copied().ok_or(KvError::Argument("unknown kind of mutation"))
    }
}

/// Creates a list of mutations, or one that holds at most one.
#[op2]
#[cppgc]
pub(crate) fn op_openkv_mutations(state: &OpState, is_single: bool) -> Mutations {
    let memory = state.borrow::<Rc<Memory>>().clone();
    Mutations { staged: RefCell::default(), is_single, size: Cell::default(), memory }
}

/// Adds a mutation. Its value is a 64-bit bigint if `u64` is set, and `undefined` for a deletion. It expires after `expire_in`
/// milliseconds, or never if that is negative.
///
/// Adds nothing if it throws. Script code may run while the value and the key are read, and may throw, or add mutations itself,
/// which then come first.
#[op2(fast, reentrant)]
pub(crate) fn op_openkv_mutate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[cppgc] mutations: &Mutations,
    #[smi] kind: u32,
    key: v8::Local<'s, v8::Value>,
    value: v8::Local<'s, v8::Value>,
    u64: bool,
    expire_in: f64,
) -> Result<(), KvError> {
    let kind = Kind::from_shim(kind)?;
    let value = match kind {
        Kind::Delete => None,
        _ => match encode(scope, &state, value, u64)? {
            Some(value) => Some(value),
            // An exception is pending, which the script sees.
            None => return Ok(()),
        },
    };
    v8::tc_scope!(let scope, scope);
    let key =
        if key.is_null_or_undefined() { Err(KvError::MissingKey(key::kind(key))) } else { key::from_v8(scope, key) };
    if scope.has_caught() || scope.has_terminated() {
        scope.rethrow();
        return Ok(());
    }
    let key = key.map_err(Arc::new);
    // The shim passes integers. Those beyond 64 bits saturate.
    let expire_in = (expire_in >= 0.0).then_some(expire_in as u64);
    mutations.stage(scope, Staged { kind, key, value, expire_in });
    Ok(())
}

/// Moves mutations from one list to another.
#[op2(fast)]
pub(crate) fn op_openkv_add_mutations(#[cppgc] mutations: &Mutations, #[cppgc] added: &Mutations) {
    mutations.size.set(mutations.size.get() + added.size.take());
    let added = added.staged.take();
    mutations.staged.borrow_mut().extend(added);
}

/// Returns the mutations: a flat array of kind, key, value and time to live of each. An invalid key is `undefined`.
#[op2(reentrant)]
pub(crate) fn op_openkv_list_mutations<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    #[cppgc] mutations: &Mutations,
) -> Result<v8::Local<'s, v8::Array>, KvError> {
    let decoder = Decoder::new(scope, &state)?;
    let staged = mutations.to_commit();
    let mut elements = Vec::with_capacity(staged.len() * 4);
    for mutation in staged {
        let undefined = v8::undefined(scope).into();
        elements.push(v8::Integer::new(scope, mutation.kind as i32).into());
        elements.push(match mutation.key {
            Ok(key) => KeyDecoder::default().decode(scope, key.as_bytes())?,
            Err(_) => undefined,
        });
        elements.push(match &mutation.value {
            Some(value) => decoder.decode(scope, value.as_ref())?,
            None => undefined,
        });
        elements.push(match mutation.expire_in {
            Some(time) => v8::Number::new(scope, time as f64).into(),
            None => undefined,
        });
    }
    Ok(v8::Array::new_with_elements(scope, &elements))
}

impl Mutations {
    fn stage(&self, scope: &mut v8::PinScope<'_, '_>, mutation: Staged) {
        if self.is_single {
            self.free();
            self.staged.borrow_mut().clear();
        }
        self.allocated(scope, mutation.size());
        self.staged.borrow_mut().push(mutation);
    }

    /// Reports external memory to V8, so that it collects garbage in time.
    fn allocated(&self, scope: &mut v8::PinScope<'_, '_>, size: usize) {
        self.size.set(self.size.get() + size);
        let freed = self.memory.freed.take();
        scope.adjust_amount_of_external_allocated_memory(size as i64 - freed as i64);
    }

    /// Records that the memory is freed.
    fn free(&self) {
        self.memory.freed.set(self.memory.freed.get() + self.size.take());
    }

    /// Returns the mutations. They can be committed again, except a single one.
    pub fn to_commit(&self) -> Vec<Staged> {
        if self.is_single {
            self.free();
            self.staged.take()
        } else {
            self.staged.borrow().clone()
        }
    }
}

impl Staged {
    /// Returns its approximate size in bytes.
    fn size(&self) -> usize {
        let key = self.key.as_ref().map_or(0, |key| key.as_bytes().len());
        let value = self.value.as_ref().map_or(0, Value::len);
        size_of::<Self>() + key + value
    }

    /// Returns the mutation for a commit at a time.
    pub fn at(self, now: u64) -> Result<Mutation, KvError> {
        let key = self.key.map_err(KvError::Mutation)?;
        let set = |value, versionstamped| {
            let expire_at = self.expire_in.map(|delay| expiry(now, delay)).transpose()?.map(Time::At);
            Ok::<_, KvError>(MutationKind::Set { value, expire_at, versionstamped })
        };
        let kind = match (self.kind, self.value) {
            (Kind::Delete, _) => MutationKind::Delete,
            (_, None) => return Err(KvError::Argument("the mutation has no value")),
            (Kind::Set, Some(value)) => set(value, false)?,
            (Kind::SetVersionstamped, Some(value)) => set(value, true)?,
            (Kind::Sum, Some(value)) => MutationKind::Combine { operand: Operand::Sum, value },
            (Kind::Min, Some(value)) => MutationKind::Combine { operand: Operand::Min, value },
            (Kind::Max, Some(value)) => MutationKind::Combine { operand: Operand::Max, value },
        };
        Ok(Mutation { key, kind })
    }
}

fn expiry(now: u64, delay: u64) -> Result<u64, KvError> {
    now.checked_add(delay).filter(|time| *time <= LAST_TIME).ok_or(KvError::ExpiresTooLate(delay))
}

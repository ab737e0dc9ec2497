use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use deno_core::{FromV8, OpState, ResourceId, ToV8, op2, v8};
use openkv_engine::{AtomicWrite, Check, Commit, Enqueue, Mutation, MutationKind, Operand, Value};

use crate::error::KvError;
use crate::key::{array, bytes_from_v8};
use crate::open::database;
use crate::read::{KeyArgument, KeysArgument, SelectorArgument, StringArgument, versionstamp_to_v8};

/// The last millisecond that the reference can compute with, counted from the Unix epoch.
const LAST_TIME: u64 = 8_210_266_876_799_999;

/// Commits an atomic operation. Answers the versionstamp, or the positions of the checks that did not hold.
#[op2]
pub(crate) fn op_kv_write(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] write: WriteArgument,
) -> Result<impl Future<Output = Result<CommitAnswer, KvError>> + use<>, KvError> {
    let resource = database(&state.borrow(), rid)?;
    let now = resource.database.now();
    // The write is queued here, in the order of the calls; only the answer is waited for.
    let answer = resource.database.write(write.at(now)?);
    Ok(async move { Ok(CommitAnswer(answer.await?)) })
}

/// Deletes the first entries of a selector. Answers how many.
#[op2]
pub(crate) fn op_kv_delete_range(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] selector: SelectorArgument,
) -> Result<impl Future<Output = Result<f64, KvError>> + use<>, KvError> {
    let resource = database(&state.borrow(), rid)?;
    let (start, end) = selector.parse()?.range(None, false)?;
    let answer = resource.database.delete_range(start, end);
    Ok(async move { Ok(answer.await? as f64) })
}

/// What became of a write, as the shim takes it.
pub(crate) struct CommitAnswer(Commit);

impl<'s> ToV8<'s> for CommitAnswer {
    type Error = Infallible;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, Infallible> {
        Ok(match self.0 {
            Commit::Done(versionstamp) => versionstamp_to_v8(scope, versionstamp),
            Commit::Conflict { failed } => {
                let failed: Vec<_> = failed.into_iter().map(|i| v8::Integer::new(scope, i as i32).into()).collect();
                v8::Array::new_with_elements(scope, &failed).into()
            }
        })
    }
}

/// An atomic operation as the shim passes it.
#[derive(FromV8)]
pub(crate) struct WriteArgument {
    checks: Vec<CheckArgument>,
    mutations: Vec<MutationArgument>,
    enqueues: Vec<EnqueueArgument>,
}

#[derive(FromV8)]
struct CheckArgument {
    key: KeyArgument,
    versionstamp: Option<StringArgument>,
}

#[derive(FromV8)]
struct MutationArgument {
    key: KeyArgument,
    #[from_v8(rename = "type")]
    kind: MutationType,
    value: Option<ValueArgument>,
    expire_in: Option<f64>,
}

#[derive(FromV8)]
enum MutationType {
    Set,
    SetVersionstamped,
    Delete,
    Sum,
    Min,
    Max,
}

/// A serialized value: an object with one property, which names its encoding.
#[derive(FromV8)]
enum ValueArgument {
    V8(BytesArgument),
    U64(U64Argument),
    Bytes(BytesArgument),
}

/// A copy of bytes that a script gave.
struct BytesArgument(Vec<u8>);

impl<'s> FromV8<'s> for BytesArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        let refused = || KvError::Type { expected: "buffer", got: value.type_repr() };
        let view = v8::Local::<v8::ArrayBufferView>::try_from(value).map_err(|_| refused())?;
        // Others may be writing to bytes that are shared.
        if view.buffer(scope).is_some_and(|buffer| v8::Local::<v8::Value>::from(buffer).is_shared_array_buffer()) {
            return Err(refused());
        }
        Ok(Self(bytes_from_v8(view)))
    }
}

struct U64Argument(u64);

impl<'s> FromV8<'s> for U64Argument {
    type Error = KvError;

    fn from_v8<'i>(_scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        match v8::Local::<v8::BigInt>::try_from(value).map(|int| int.u64_value()) {
            Ok((int, true)) => Ok(Self(int)),
            _ => Err(KvError::Argument("a KvU64 holds a bigint of 64 bits without a sign")),
        }
    }
}

#[derive(FromV8)]
struct EnqueueArgument {
    message: BytesArgument,
    delay: IntegerArgument,
    keys_if_undelivered: KeysArgument,
    backoff_schedule: Option<ScheduleArgument>,
}

/// A number of milliseconds. Fractions are cut off.
struct IntegerArgument(f64);

impl<'s> FromV8<'s> for IntegerArgument {
    type Error = KvError;

    fn from_v8<'i>(_scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        let number = v8::Local::<v8::Number>::try_from(value);
        let number = number.map_err(|_| KvError::Type { expected: "integer", got: value.type_repr() })?;
        Ok(Self(number.value()))
    }
}

/// Waits in milliseconds.
struct ScheduleArgument(Vec<u32>);

impl<'s> FromV8<'s> for ScheduleArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        let array = array(value)?;
        let waits = (0..array.length()).map(|i| {
            let wait = array.get_index(scope, i).unwrap_or_else(|| v8::undefined(scope).into());
            Ok(IntegerArgument::from_v8(scope, wait)?.0 as u32)
        });
        Ok(Self(waits.collect::<Result<_, KvError>>()?))
    }
}

impl WriteArgument {
    /// The write of this operation at a time, from which its delays count.
    fn at(self, now: u64) -> Result<AtomicWrite, KvError> {
        Ok(AtomicWrite {
            checks: self.checks.into_iter().map(CheckArgument::parse).collect::<Result<_, _>>()?,
            mutations: self.mutations.into_iter().map(|mutation| mutation.at(now)).collect::<Result<_, _>>()?,
            enqueues: self.enqueues.into_iter().map(|enqueue| enqueue.at(now)).collect::<Result<_, _>>()?,
        })
    }
}

impl CheckArgument {
    fn parse(self) -> Result<Check, KvError> {
        let versionstamp = self.versionstamp.map(|text| text.0.parse().map_err(|_| KvError::InvalidCheck));
        let key = self.key.0.map_err(|_| KvError::InvalidCheck)?;
        Ok(Check { key, versionstamp: versionstamp.transpose()? })
    }
}

impl MutationArgument {
    fn at(self, now: u64) -> Result<Mutation, KvError> {
        let set = |value, versionstamped| {
            let expire_at = self.expire_in.map(|delay| expiry(now, delay)).transpose()?;
            Ok::<_, KvError>(MutationKind::Set { value, expire_at, versionstamped })
        };
        let kind = match (self.kind, self.value.map(Value::from)) {
            (MutationType::Delete, _) => MutationKind::Delete,
            (_, None) => return Err(KvError::Argument("a mutation that stores a value needs one")),
            (MutationType::Set, Some(value)) => set(value, false)?,
            (MutationType::SetVersionstamped, Some(value)) => set(value, true)?,
            (MutationType::Sum, Some(value)) => MutationKind::Combine { operand: Operand::Sum, value },
            (MutationType::Min, Some(value)) => MutationKind::Combine { operand: Operand::Min, value },
            (MutationType::Max, Some(value)) => MutationKind::Combine { operand: Operand::Max, value },
        };
        Ok(Mutation { key: self.key.0.map_err(KvError::InvalidMutation)?, kind })
    }
}

impl From<ValueArgument> for Value {
    fn from(value: ValueArgument) -> Self {
        match value {
            ValueArgument::V8(bytes) => Value::V8(bytes.0),
            ValueArgument::U64(number) => Value::U64(number.0),
            ValueArgument::Bytes(bytes) => Value::Bytes(bytes.0),
        }
    }
}

fn expiry(now: u64, delay: f64) -> Result<u64, KvError> {
    // The shim passes non-negative integers, some beyond what 64 bits hold: those saturate.
    let delay = delay as u64;
    now.checked_add(delay).filter(|time| *time <= LAST_TIME).ok_or(KvError::ExpiresTooLate(delay))
}

impl EnqueueArgument {
    fn at(self, now: u64) -> Result<Enqueue, KvError> {
        Ok(Enqueue {
            message: self.message.0,
            deliver_at: now.saturating_add(self.delay.0 as u64),
            backoff_schedule: self.backoff_schedule.map(|schedule| schedule.0),
            keys_if_undelivered: self.keys_if_undelivered.0.map_err(|_| KvError::InvalidEnqueue)?,
        })
    }
}

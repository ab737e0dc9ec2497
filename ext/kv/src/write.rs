use std::cell::RefCell;
use std::rc::Rc;

use deno_core::convert::Uint8Array;
use deno_core::{FromV8, OpState, ResourceId, op2, v8};
use openkv_engine::{AtomicWrite, Check, Enqueue, Mutation, MutationKind, Operand, Value};

use crate::error::KvError;
use crate::open::database;
use crate::read::KeyArgument;

/// The last millisecond that the reference can compute with, counted from the Unix epoch.
const LAST_TIME: u64 = 8_210_266_876_799_999;

/// Commits an atomic operation. Answers the versionstamp, or `null` where a check did not hold.
#[op2]
#[string]
pub(crate) fn op_kv_write(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] write: WriteArgument,
) -> Result<impl Future<Output = Result<Option<String>, KvError>> + use<>, KvError> {
    let resource = database(&state.borrow(), rid)?;
    let now = resource.database.now();
    // The write is queued here, in the order of the calls; only the answer is waited for.
    let answer = resource.database.write(write.at(now)?);
    Ok(async move { Ok(answer.await?.map(|versionstamp| versionstamp.to_string())) })
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
    versionstamp: Option<String>,
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
    V8(Uint8Array),
    U64(U64Argument),
    Bytes(Uint8Array),
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
    message: Uint8Array,
    delay: f64,
    keys_if_undelivered: Vec<KeyArgument>,
    backoff_schedule: Option<Vec<f64>>,
}

impl WriteArgument {
    /// The write of this operation at a time, from which its delays count.
    fn at(self, now: u64) -> Result<AtomicWrite, KvError> {
        Ok(AtomicWrite {
            checks: self.checks.into_iter().map(CheckArgument::parse).collect::<Result<_, _>>()?,
            mutations: self.mutations.into_iter().map(|mutation| mutation.at(now)).collect::<Result<_, _>>()?,
            enqueues: self.enqueues.into_iter().map(|enqueue| enqueue.at(now)).collect(),
        })
    }
}

impl CheckArgument {
    fn parse(self) -> Result<Check, KvError> {
        let versionstamp = self.versionstamp.map(|text| text.parse().map_err(|_| KvError::InvalidCheck));
        Ok(Check { key: self.key.0, versionstamp: versionstamp.transpose()? })
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
        Ok(Mutation { key: self.key.0, kind })
    }
}

impl From<ValueArgument> for Value {
    fn from(value: ValueArgument) -> Self {
        match value {
            ValueArgument::V8(bytes) => Value::V8(bytes.0.to_vec()),
            ValueArgument::U64(number) => Value::U64(number.0),
            ValueArgument::Bytes(bytes) => Value::Bytes(bytes.0.to_vec()),
        }
    }
}

fn expiry(now: u64, delay: f64) -> Result<u64, KvError> {
    // The shim passes non-negative integers, some beyond what 64 bits hold: those saturate.
    let delay = delay as u64;
    now.checked_add(delay).filter(|time| *time <= LAST_TIME).ok_or(KvError::ExpiresTooLate(delay))
}

impl EnqueueArgument {
    fn at(self, now: u64) -> Enqueue {
        Enqueue {
            message: self.message.0.to_vec(),
            deliver_at: now.saturating_add(self.delay as u64),
            backoff_schedule: self
                .backoff_schedule
                .map(|schedule| schedule.into_iter().map(|wait| wait as u32).collect()),
            keys_if_undelivered: self.keys_if_undelivered.into_iter().map(|key| key.0).collect(),
        }
    }
}

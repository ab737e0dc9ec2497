use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use deno_core::{FromV8, OpState, ResourceId, ToV8, op2, v8};
use openkv_engine::{AtomicWrite, Check, Commit, Enqueue, Time};

use crate::error::KvError;
use crate::key::{array, bytes_from_v8, kind};
use crate::mutation::Mutations;
use crate::read::{KeyArgument, KeysArgument, SelectorArgument, string, versionstamp_to_v8};
use crate::yielding::database_and_budget;

/// Commits an atomic operation. Returns the versionstamp, or the indices of the failed checks.
#[op2(reentrant)]
pub(crate) fn op_openkv_write(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[cppgc] mutations: Option<&Mutations>,
    #[scoped] checks: ListArgument<CheckArgument>,
    #[scoped] enqueues: ListArgument<EnqueueArgument>,
) -> impl Future<Output = Result<CommitResult, KvError>> + use<> {
    let staged = mutations.map(Mutations::to_commit).unwrap_or_default();
    let queue = || {
        let (resource, budget) = database_and_budget(&state.borrow(), rid)?;
        let now = resource.database.now();
        let write = AtomicWrite {
            checks: checks.0.into_iter().map(CheckArgument::parse).collect::<Result<_, _>>()?,
            mutations: staged.into_iter().map(|mutation| mutation.at(now)).collect::<Result<_, _>>()?,
            enqueues: enqueues.0.into_iter().map(|enqueue| enqueue.at(now)).collect::<Result<_, _>>()?,
            id: None,
        };
        Ok::<_, KvError>((budget, resource.database.write(write)))
    };
    // The write is queued here, in the order of the calls. The future only waits for the result.
    let queued = queue();
    async move {
        let (budget, commit) = queued?;
        Ok(CommitResult(budget.wait(commit).await?))
    }
}

/// Deletes the first entries of a selector. Returns their number.
#[op2(reentrant)]
pub(crate) fn op_openkv_delete_range(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[scoped] selector: SelectorArgument,
) -> Result<impl Future<Output = Result<f64, KvError>> + use<>, KvError> {
    let (resource, budget) = database_and_budget(&state.borrow(), rid)?;
    let deletion = resource.database.delete_range(&selector.parse()?);
    Ok(async move { Ok(budget.wait(deletion).await? as f64) })
}

/// The outcome of a write, for the shim.
pub(crate) struct CommitResult(Commit);

impl<'s> ToV8<'s> for CommitResult {
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

/// A list that the shim passes. Reading its elements may throw, if a script has defined getters on `Array.prototype`.
pub(crate) struct ListArgument<T>(Vec<T>);

impl<'s, T: FromV8<'s>> FromV8<'s> for ListArgument<T>
where
    KvError: From<T::Error>,
{
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        let array = array("A list", value)?;
        let elements = (0..array.length()).map(|i| {
            let element = array.get_index(scope, i).ok_or(KvError::Argument("an element cannot be read"))?;
            Ok(T::from_v8(scope, element)?)
        });
        Ok(Self(elements.collect::<Result<_, KvError>>()?))
    }
}

/// A check that the shim passes.
#[derive(FromV8)]
pub(crate) struct CheckArgument {
    key: KeyArgument,
    versionstamp: Option<VersionstampArgument>,
}

/// A versionstamp, as scripts pass it.
struct VersionstampArgument(String);

impl<'s> FromV8<'s> for VersionstampArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        string(scope, "The versionstamp of a check", value).map(Self)
    }
}

/// Serialized bytes that the shim passes.
struct BytesArgument(Vec<u8>);

impl<'s> FromV8<'s> for BytesArgument {
    type Error = KvError;

    fn from_v8<'i>(_scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        match v8::Local::<v8::ArrayBufferView>::try_from(value) {
            Ok(view) => Ok(Self(bytes_from_v8(view))),
            Err(_) => Err(KvError::Argument("the message is not serialized")),
        }
    }
}

/// A message that the shim passes.
#[derive(FromV8)]
pub(crate) struct EnqueueArgument {
    message: BytesArgument,
    delay: IntegerArgument,
    keys_if_undelivered: KeysArgument,
    backoff_schedule: Option<ScheduleArgument>,
}

/// Milliseconds, as a number or a bigint. Fractions are truncated.
struct IntegerArgument(f64);

impl<'s> FromV8<'s> for IntegerArgument {
    type Error = KvError;

    fn from_v8<'i>(_scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        if let Ok(int) = v8::Local::<v8::BigInt>::try_from(value) {
            return Ok(Self(int.u64_value().0 as f64));
        }
        let number = v8::Local::<v8::Number>::try_from(value);
        let number = number.map_err(|_| KvError::Type {
            what: "A delay",
            expected: "a number of milliseconds",
            received: kind(value),
        })?;
        Ok(Self(number.value()))
    }
}

/// A backoff schedule: delays in milliseconds.
struct ScheduleArgument(Vec<u32>);

impl<'s> FromV8<'s> for ScheduleArgument {
    type Error = KvError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, KvError> {
        let array = array("backoffSchedule", value)?;
        let delays = (0..array.length()).map(|i| {
            let delay = array.get_index(scope, i).unwrap_or_else(|| v8::undefined(scope).into());
            Ok(IntegerArgument::from_v8(scope, delay)?.0 as u32)
        });
        Ok(Self(delays.collect::<Result<_, KvError>>()?))
    }
}

impl CheckArgument {
    fn parse(self) -> Result<Check, KvError> {
        let versionstamp = self.versionstamp.map(|string| string.0.parse().map_err(|_| KvError::InvalidCheck));
        let key = self.key.0.map_err(|_| KvError::InvalidCheck)?;
        Ok(Check { key, versionstamp: versionstamp.transpose()? })
    }
}

impl EnqueueArgument {
    fn at(self, now: u64) -> Result<Enqueue, KvError> {
        Ok(Enqueue {
            message: self.message.0,
            deliver_at: Time::At(now.saturating_add(self.delay.0 as u64)),
            backoff_schedule: self.backoff_schedule.map(|schedule| schedule.0),
            keys_if_undelivered: self.keys_if_undelivered.0.map_err(|_| KvError::InvalidEnqueue)?,
        })
    }
}

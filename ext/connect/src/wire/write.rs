//! Atomic writes.

use http::{HeaderMap, HeaderValue};
use openkv_engine::{
    AtomicWrite, Check, Commit, CommitId, Enqueue, Mutation, MutationKind, Operand, SumBounds, Time, Value,
};

use super::datapath::{self, AtomicWriteOutput, AtomicWriteStatus, MutationType};
use super::{Malformed, entry, headers};

/// The outcome of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The write was committed, or a check failed.
    Commit(Commit),
    /// The endpoint has disabled writes, or the token does not allow them.
    Disabled,
}

/// Encodes the request of a write. Relative times are resolved with `now`.
pub fn encode(write: &AtomicWrite, now: u64) -> datapath::AtomicWrite {
    let check = |check: &Check| datapath::Check {
        key: check.key.as_bytes().to_vec(),
        versionstamp: check.versionstamp.map_or_else(Vec::new, |versionstamp| versionstamp.as_bytes().to_vec()),
    };
    datapath::AtomicWrite {
        checks: write.checks.iter().map(check).collect(),
        mutations: write.mutations.iter().map(|mutation| encode_mutation(mutation, now)).collect(),
        enqueues: write.enqueues.iter().map(|enqueue| encode_enqueue(enqueue, now)).collect(),
    }
}

fn encode_mutation(mutation: &Mutation, now: u64) -> datapath::Mutation {
    let mut message = datapath::Mutation { key: mutation.key.as_bytes().to_vec(), ..datapath::Mutation::default() };
    let mutation_type = match &mutation.kind {
        MutationKind::Set { expire_at, versionstamped, .. } => {
            // 0 means that the value does not expire.
            message.expire_at_ms = expire_at.map_or(0, |time| to_millis(time, now).max(1));
            if *versionstamped { MutationType::MSetSuffixVersionstampedKey } else { MutationType::MSet }
        }
        MutationKind::Delete => MutationType::MDelete,
        MutationKind::Combine { operand: Operand::Sum, .. } => MutationType::MSum,
        MutationKind::BoundedSum { bounds, .. } => {
            message.sum_min = encode_bound(bounds.min.as_ref());
            message.sum_max = encode_bound(bounds.max.as_ref());
            message.sum_clamp = bounds.clamp;
            MutationType::MSum
        }
        MutationKind::Combine { operand: Operand::Min, .. } => MutationType::MMin,
        MutationKind::Combine { operand: Operand::Max, .. } => MutationType::MMax,
    };
    message.value = mutation.kind.value().map(|value| entry::encode_value(value.as_ref()));
    message.set_mutation_type(mutation_type);
    message
}

/// Encodes a bound, in V8's format. No bound is empty.
fn encode_bound(bound: Option<&Value>) -> Vec<u8> {
    match bound {
        Some(Value::V8(bytes) | Value::Bytes(bytes)) => bytes.clone(),
        Some(Value::U64(number)) => number.to_le_bytes().to_vec(),
        None => Vec::new(),
    }
}

/// Encodes an enqueue, with the default schedule if it has none: an empty schedule means no redelivery.
fn encode_enqueue(enqueue: &Enqueue, now: u64) -> datapath::Enqueue {
    datapath::Enqueue {
        payload: enqueue.message.clone(),
        deadline_ms: to_millis(enqueue.deliver_at, now),
        keys_if_undelivered: enqueue.keys_if_undelivered.iter().map(|key| key.as_bytes().to_vec()).collect(),
        backoff_schedule: enqueue.schedule().to_vec(),
    }
}

/// Decodes the request of a write.
///
/// # Errors
/// [`Malformed`].
pub fn decode(message: datapath::AtomicWrite) -> Result<AtomicWrite, Malformed> {
    let mut write = AtomicWrite::new();
    write.checks = message.checks.into_iter().map(decode_check).collect::<Result<_, _>>()?;
    write.mutations = message.mutations.into_iter().map(decode_mutation).collect::<Result<_, _>>()?;
    write.enqueues = message.enqueues.into_iter().map(decode_enqueue).collect::<Result<_, _>>()?;
    Ok(write)
}

fn decode_check(check: datapath::Check) -> Result<Check, Malformed> {
    let key = entry::decode_key(check.key)?;
    let is_absent = check.versionstamp.is_empty();
    let versionstamp = if is_absent { None } else { Some(entry::decode_versionstamp(&check.versionstamp)?) };
    Ok(Check { key, versionstamp })
}

fn decode_mutation(mutation: datapath::Mutation) -> Result<Mutation, Malformed> {
    let key = entry::decode_key(mutation.key)?;
    let value = |value: Option<_>| entry::decode_value(value.ok_or(Malformed::NoValue(mutation.mutation_type))?);
    let set = |message, versionstamped| {
        let expire_at = match mutation.expire_at_ms {
            // Some clients send -1, as it is stored in the file.
            -1 | 0 => None,
            millis => Some(from_millis(millis)?),
        };
        Ok(MutationKind::Set { value: value(message)?, expire_at, versionstamped })
    };
    let combine = |operand, message| Ok(MutationKind::Combine { operand, value: value(message)? });
    let bound = |v8: Vec<u8>| (!v8.is_empty()).then_some(Value::V8(v8));
    let kind = match MutationType::try_from(mutation.mutation_type) {
        Ok(MutationType::MSet) => set(mutation.value, false),
        Ok(MutationType::MSetSuffixVersionstampedKey) => set(mutation.value, true),
        Ok(MutationType::MDelete) => Ok(MutationKind::Delete),
        Ok(MutationType::MSum) => match (bound(mutation.sum_min), bound(mutation.sum_max)) {
            (None, None) => combine(Operand::Sum, mutation.value),
            (min, max) => {
                let bounds = SumBounds { min, max, clamp: mutation.sum_clamp };
                Ok(MutationKind::BoundedSum { value: value(mutation.value)?, bounds })
            }
        },
        Ok(MutationType::MMin) => combine(Operand::Min, mutation.value),
        Ok(MutationType::MMax) => combine(Operand::Max, mutation.value),
        Ok(MutationType::MUnspecified) | Err(_) => Err(Malformed::MutationType(mutation.mutation_type)),
    };
    Ok(Mutation { key, kind: kind? })
}

fn decode_enqueue(enqueue: datapath::Enqueue) -> Result<Enqueue, Malformed> {
    Ok(Enqueue {
        message: enqueue.payload,
        deliver_at: from_millis(enqueue.deadline_ms)?,
        // The default schedule does not count towards the size of a write.
        backoff_schedule: Some(enqueue.backoff_schedule).filter(|schedule| schedule[..] != Enqueue::DEFAULT_SCHEDULE),
        keys_if_undelivered: enqueue
            .keys_if_undelivered
            .into_iter()
            .map(entry::decode_key)
            .collect::<Result<_, _>>()?,
    })
}

/// Encodes a commit id as a header.
pub fn encode_id(id: CommitId) -> (http::HeaderName, HeaderValue) {
    // Hexadecimal digits are always valid in a header.
    let value = HeaderValue::try_from(id.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""));
    (headers::COMMIT_ID, value)
}

/// Decodes the commit id of a request, if it has one.
///
/// # Errors
/// [`Malformed::CommitId`].
pub fn decode_id(request: &HeaderMap) -> Result<Option<CommitId>, Malformed> {
    let Some(value) = request.get(headers::COMMIT_ID) else { return Ok(None) };
    // A value that is not text fails to parse as an id.
    Ok(Some(value.to_str().unwrap_or_default().parse()?))
}

/// Encodes the response to a write.
pub fn encode_outcome(outcome: &WriteOutcome) -> AtomicWriteOutput {
    let mut output = AtomicWriteOutput::default();
    let status = match outcome {
        WriteOutcome::Commit(Commit::Done(versionstamp)) => {
            output.versionstamp = versionstamp.as_bytes().to_vec();
            AtomicWriteStatus::AwSuccess
        }
        WriteOutcome::Commit(Commit::Conflict { failed }) => {
            output.failed_checks = failed.iter().map(|check| u32::try_from(*check).unwrap_or(u32::MAX)).collect();
            AtomicWriteStatus::AwCheckFailure
        }
        WriteOutcome::Disabled => AtomicWriteStatus::AwWriteDisabled,
    };
    output.set_status(status);
    output
}

/// Decodes the response to a write.
///
/// # Errors
/// [`Malformed`]. The outcome of the write is unknown then.
pub fn decode_outcome(output: &AtomicWriteOutput) -> Result<WriteOutcome, Malformed> {
    match AtomicWriteStatus::try_from(output.status) {
        Ok(AtomicWriteStatus::AwSuccess) => {
            let versionstamp = entry::decode_versionstamp(&output.versionstamp)?;
            Ok(WriteOutcome::Commit(Commit::Done(versionstamp)))
        }
        Ok(AtomicWriteStatus::AwCheckFailure) => {
            let failed = output.failed_checks.iter().map(|check| *check as usize).collect();
            Ok(WriteOutcome::Commit(Commit::Conflict { failed }))
        }
        Ok(AtomicWriteStatus::AwWriteDisabled) => Ok(WriteOutcome::Disabled),
        Ok(AtomicWriteStatus::AwUnspecified) | Err(_) => Err(Malformed::Status(output.status)),
    }
}

fn to_millis(time: Time, now: u64) -> i64 {
    i64::try_from(time.millis(now)).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> Result<Time, Malformed> {
    u64::try_from(millis).map(Time::At).map_err(|_| Malformed::NegativeTime(millis))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openkv_engine::{Key, Versionstamp};

    use super::*;

    fn set(expire_at: Option<Time>, versionstamped: bool) -> Mutation {
        let kind = MutationKind::Set { value: Value::U64(1), expire_at, versionstamped };
        Mutation { key: Key::from(["a"]), kind }
    }

    #[test]
    fn writes_round_trip() {
        let key = || Key::from(["a"]);
        let versionstamp = Some(Versionstamp::from_version(3));
        let text = Value::V8(b"\xff\x0f\"\x01a".to_vec());
        let mutation = |operand| Mutation { key: key(), kind: MutationKind::Combine { operand, value: text.clone() } };
        let bounded = |min, max| {
            let kind = MutationKind::BoundedSum { value: text.clone(), bounds: SumBounds { min, max, clamp: true } };
            Mutation { key: key(), kind }
        };
        let enqueue = Enqueue::new(b"message".to_vec()).undelivered(key());
        let write = AtomicWrite::new()
            .check(Check::absent(key()))
            .check(Check { key: key(), versionstamp })
            .mutate(set(None, false))
            .mutate(set(Some(Time::At(5)), true))
            .mutate(Mutation::delete(key()))
            .mutate(mutation(Operand::Sum))
            .mutate(mutation(Operand::Min))
            .mutate(mutation(Operand::Max))
            .mutate(bounded(Some(text.clone()), None))
            .mutate(bounded(None, Some(text.clone())))
            .enqueue(enqueue.clone().backoff([]))
            .enqueue(enqueue);
        let decoded = decode(encode(&write, 0)).unwrap();
        assert_eq!(decoded, write);
    }

    #[test]
    fn times_are_encoded_as_absolute() {
        let expiry = |expire_at| encode_mutation(&set(Some(expire_at), false), 100).expire_at_ms;
        assert_eq!(expiry(Time::In(Duration::from_millis(5))), 105);
        assert_eq!(expiry(Time::At(0)), 1, "0 means that the value does not expire");
        assert_eq!(expiry(Time::At(u64::MAX)), i64::MAX);
    }

    #[test]
    fn commit_id_round_trips_in_a_header() {
        let id = CommitId([7; 16]);
        assert_eq!(decode_id(&[encode_id(id)].into_iter().collect()), Ok(Some(id)));
        assert_eq!(decode_id(&HeaderMap::new()), Ok(None));
        for value in ["", "07", "+7070707070707070707070707070707"] {
            let headers = [(headers::COMMIT_ID, HeaderValue::from_static(value))].into_iter().collect();
            assert!(decode_id(&headers).is_err(), "{value}");
        }
    }

    #[test]
    fn outcomes_round_trip() {
        let commits = [Commit::Done(Versionstamp::from_version(7)), Commit::Conflict { failed: vec![0, 99] }];
        for outcome in commits.map(WriteOutcome::Commit).into_iter().chain([WriteOutcome::Disabled]) {
            assert_eq!(decode_outcome(&encode_outcome(&outcome)), Ok(outcome));
        }
    }

    #[test]
    fn malformed_writes_are_rejected() {
        let rejection = |change: fn(&mut datapath::Mutation)| {
            let mut message = encode_mutation(&set(None, false), 0);
            change(&mut message);
            decode_mutation(message).unwrap_err()
        };
        assert_eq!(rejection(|mutation| mutation.mutation_type = 0), Malformed::MutationType(0));
        assert_eq!(rejection(|mutation| mutation.mutation_type = 77), Malformed::MutationType(77));
        assert_eq!(rejection(|mutation| mutation.value = None), Malformed::NoValue(1));
        assert_eq!(rejection(|mutation| mutation.expire_at_ms = -2), Malformed::NegativeTime(-2));
        assert!(matches!(rejection(|mutation| mutation.key = vec![0xfe]), Malformed::Key(_)));

        let check = datapath::Check { key: vec![], versionstamp: vec![1] };
        assert_eq!(decode_check(check), Err(Malformed::Versionstamp(1)));
        let enqueue = datapath::Enqueue { deadline_ms: -1, ..datapath::Enqueue::default() };
        assert_eq!(decode_enqueue(enqueue), Err(Malformed::NegativeTime(-1)));
        for status in [0, 3, -1] {
            let output = AtomicWriteOutput { status, ..AtomicWriteOutput::default() };
            assert_eq!(decode_outcome(&output), Err(Malformed::Status(status)));
        }
        let output = AtomicWriteOutput { status: 1, ..AtomicWriteOutput::default() };
        assert_eq!(decode_outcome(&output), Err(Malformed::Versionstamp(0)));
    }
}

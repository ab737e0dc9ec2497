//! The number of parts of a message, which is limited before it is decoded: a part of one or two bytes can take more than a hundred
//! bytes in memory.

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::{Malformed, datapath, openkv};

/// The fields of a message that can be repeated in one of its parts.
pub type Fields = &'static [(u32, Field)];

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// A message, whose fields are parts.
    Message(Fields),
    /// Packed numbers: each byte may be a part.
    Packed,
}

/// A message whose parts can be counted.
pub trait Parts: Message + Default {
    /// The fields that have parts themselves.
    const FIELDS: Fields = &[];
}

impl Parts for datapath::SnapshotRead {}
impl Parts for datapath::Watch {}
impl Parts for openkv::Read {}
impl Parts for openkv::Expiries {}
impl Parts for openkv::Count {}
impl Parts for openkv::DeleteRange {}
impl Parts for openkv::Writes {}
impl Parts for openkv::Dequeue {}
impl Parts for openkv::Start {}
impl Parts for openkv::Finish {}

impl Parts for datapath::AtomicWrite {
    const FIELDS: Fields = &[(3, Field::Message(&[(4, Field::Packed)]))];
}

impl Parts for datapath::WatchOutput {}
impl Parts for openkv::CountOutput {}
impl Parts for openkv::DeleteRangeOutput {}
impl Parts for openkv::Batch {}

impl Parts for openkv::ExpiriesOutput {
    const FIELDS: Fields = &[(1, Field::Message(&[]))];
}

impl Parts for datapath::SnapshotReadOutput {
    const FIELDS: Fields = &[(1, Field::Message(&[]))];
}

impl Parts for datapath::AtomicWriteOutput {
    const FIELDS: Fields = &[(4, Field::Packed)];
}

impl Parts for openkv::WritesOutput {
    const FIELDS: Fields = &[(1, Field::Message(&[(1, Field::Message(datapath::AtomicWriteOutput::FIELDS))]))];
}

/// Decodes a message of up to `max` parts.
///
/// # Errors
/// [`Malformed::Message`] or [`Malformed::TooManyParts`].
pub fn decode<M: Parts>(bytes: Bytes, max: usize) -> Result<M, Malformed> {
    count::<M>(bytes.clone(), max)?;
    Ok(M::decode(bytes)?)
}

/// Returns the number of parts of an encoded message.
///
/// # Errors
/// [`Malformed::Message`], or [`Malformed::TooManyParts`] if there are more than `max`.
pub fn count<M: Parts>(bytes: Bytes, max: usize) -> Result<usize, Malformed> {
    let mut left = max;
    take(M::FIELDS, bytes, &mut left).ok_or(Malformed::TooManyParts { max })??;
    Ok(max - left)
}

/// Subtracts the parts of a message from those that are left. Returns `None` if there are more.
fn take(fields: Fields, mut bytes: Bytes, left: &mut usize) -> Option<Result<(), Malformed>> {
    while !bytes.is_empty() {
        *left = left.checked_sub(1)?;
        let (field, content) = match next_field(fields, &mut bytes) {
            Ok(Some(next)) => next,
            Ok(None) => continue,
            Err(malformed) => return Some(Err(malformed)),
        };
        match field {
            Field::Packed => *left = left.checked_sub(content.len())?,
            Field::Message(fields) => match take(fields, content, left)? {
                Ok(()) => {}
                Err(malformed) => return Some(Err(malformed)),
            },
        }
    }
    Some(Ok(()))
}

/// Removes the next field. Returns its content if it has parts itself.
fn next_field(fields: Fields, bytes: &mut Bytes) -> Result<Option<(Field, Bytes)>, Malformed> {
    let (tag, wire_type) = decode_key(bytes)?;
    let known = fields.iter().find(|(known, _)| *known == tag && wire_type == WireType::LengthDelimited);
    let Some((_, field)) = known else {
        skip_field(wire_type, tag, bytes, DecodeContext::default())?;
        return Ok(None);
    };
    let len = decode_varint(bytes)?;
    match usize::try_from(len) {
        Ok(len) if len <= bytes.remaining() => Ok(Some((*field, bytes.split_to(len)))),
        _ => Err(Malformed::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enqueue(keys: usize, intervals: usize) -> datapath::AtomicWrite {
        let enqueue = datapath::Enqueue {
            keys_if_undelivered: vec![Vec::new(); keys],
            backoff_schedule: vec![1; intervals],
            ..datapath::Enqueue::default()
        };
        datapath::AtomicWrite { enqueues: vec![enqueue], ..datapath::AtomicWrite::default() }
    }

    fn parts_of<M: Parts>(message: &M) -> usize {
        count::<M>(message.encode_to_vec().into(), usize::MAX).unwrap()
    }

    #[test]
    fn nested_parts_are_counted() {
        assert_eq!(parts_of(&datapath::AtomicWrite::default()), 0);
        assert_eq!(parts_of(&enqueue(0, 0)), 1);
        assert_eq!(parts_of(&enqueue(1000, 0)), 1001);
        assert_eq!(parts_of(&enqueue(0, 1000)), 1002, "the schedule is packed into one field");
        let range = datapath::ReadRangeOutput { values: vec![datapath::KvEntry::default(); 7] };
        let output = datapath::SnapshotReadOutput { ranges: vec![range; 2], ..datapath::SnapshotReadOutput::default() };
        assert_eq!(parts_of(&output), 2 + 2 * 7);
        let output = datapath::AtomicWriteOutput { failed_checks: vec![1; 50], ..Default::default() };
        assert_eq!(parts_of(&output), 51);
        let outcome = openkv::Outcome { output: Some(output), error: Vec::new() };
        assert_eq!(parts_of(&openkv::WritesOutput { outcomes: vec![outcome; 2] }), 2 * 53);
    }

    #[test]
    fn message_with_too_many_parts_is_not_decoded() {
        let write = enqueue(1000, 0);
        let bytes = Bytes::from(write.encode_to_vec());
        assert_eq!(decode(bytes.clone(), 1001), Ok(write));
        let rejected = decode::<datapath::AtomicWrite>(bytes, 1000);
        assert_eq!(rejected, Err(Malformed::TooManyParts { max: 1000 }));
    }

    #[test]
    fn truncated_messages_are_rejected() {
        let bytes = Bytes::from(enqueue(3, 3).encode_to_vec());
        for len in 1..bytes.len() {
            assert!(decode::<datapath::AtomicWrite>(bytes.slice(..len), 100).is_err(), "{len}");
        }
    }
}

//! Reads of keys and ranges.

use openkv_engine::{Read, ReadEntry};

use super::datapath::{ReadRange, ReadRangeOutput, SnapshotRead, SnapshotReadOutput, SnapshotReadStatus};
use super::{Malformed, entry, openkv};

/// What became of a read.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadOutcome {
    /// What it found: a list of entries for each part.
    Entries {
        /// The lists.
        lists: Vec<Vec<ReadEntry>>,
        /// Whether what was committed before the read began is there.
        is_strong: bool,
    },
    /// The endpoint does not read at present.
    Disabled,
}

/// The bounds of one part of a read, as a range of encoded keys. A key is the range up to the one that follows.
struct Part<'a> {
    start: &'a [u8],
    end: Vec<u8>,
    limit: u32,
    reverse: bool,
    values: bool,
}

impl<'a> From<&Read<'a>> for Part<'a> {
    fn from(read: &Read<'a>) -> Self {
        match *read {
            Read::Key(key) => {
                let start = key.as_bytes();
                Self { start, end: [start, &[0]].concat(), limit: 1, reverse: false, values: true }
            }
            Read::Range { start, end, limit, reverse, values } => {
                Self { start, end: end.to_vec(), limit, reverse, values }
            }
        }
    }
}

/// Returns the request of a read. Values are read in any case.
pub fn encode(reads: &[Read<'_>]) -> SnapshotRead {
    let range = |read: &Read<'_>| {
        let Part { start, end, limit, reverse, values: _ } = Part::from(read);
        ReadRange { start: start.to_vec(), end, limit: i32::try_from(limit).unwrap_or(i32::MAX), reverse }
    };
    SnapshotRead { ranges: reads.iter().map(range).collect() }
}

/// Returns what a request asks for: ranges, with their values.
///
/// # Errors
/// [`Malformed::NegativeLimit`].
pub fn decode(message: &SnapshotRead) -> Result<Vec<Read<'_>>, Malformed> {
    message.ranges.iter().map(decode_range).collect()
}

fn decode_range(range: &ReadRange) -> Result<Read<'_>, Malformed> {
    let ReadRange { start, end, limit, reverse } = range;
    let limit = u32::try_from(*limit).map_err(|_| Malformed::NegativeLimit(*limit))?;
    Ok(Read::Range { start, end, limit, reverse: *reverse, values: true })
}

/// Returns the request of a read in the extension. A `max_bytes` of [`usize::MAX`] is none.
pub fn encode_openkv(reads: &[Read<'_>], max_bytes: usize) -> openkv::Read {
    let range = |read: &Read<'_>| {
        let Part { start, end, limit, reverse, values } = Part::from(read);
        openkv::Range { start: start.to_vec(), end, limit, reverse, keys_only: !values }
    };
    let max_bytes = if max_bytes == usize::MAX { 0 } else { (max_bytes as u64).max(1) };
    openkv::Read { ranges: reads.iter().map(range).collect(), max_bytes }
}

/// Returns what a request in the extension asks for, and after how many bytes of values to end early.
pub fn decode_openkv(message: &openkv::Read) -> (Vec<Read<'_>>, usize) {
    let max_bytes = if message.max_bytes == 0 { None } else { usize::try_from(message.max_bytes).ok() };
    (message.ranges.iter().map(decode_openkv_range).collect(), max_bytes.unwrap_or(usize::MAX))
}

fn decode_openkv_range(range: &openkv::Range) -> Read<'_> {
    let openkv::Range { start, end, limit, reverse, keys_only } = range;
    Read::Range { start, end, limit: *limit, reverse: *reverse, values: !keys_only }
}

/// Returns the response to a read, which was strongly consistent.
pub fn encode_output(lists: &[Vec<ReadEntry>]) -> SnapshotReadOutput {
    let entry = |entry: &ReadEntry| entry::encode_entry(entry.as_ref());
    let output = |list: &Vec<ReadEntry>| ReadRangeOutput { values: list.iter().map(entry).collect() };
    SnapshotReadOutput {
        ranges: lists.iter().map(output).collect(),
        read_disabled: false,
        read_is_strongly_consistent: true,
        status: SnapshotReadStatus::SrSuccess as i32,
    }
}

/// Returns what a response says of `reads`, which were asked for.
///
/// Servers of versions 1 and 2 send no status: it is taken for that of success.
///
/// # Errors
/// What is wrong with it.
pub fn decode_output(message: SnapshotReadOutput, reads: &[Shape]) -> Result<ReadOutcome, Malformed> {
    let status = message.status;
    match SnapshotReadStatus::try_from(status) {
        Ok(SnapshotReadStatus::SrReadDisabled) => return Ok(ReadOutcome::Disabled),
        _ if message.read_disabled => return Ok(ReadOutcome::Disabled),
        Ok(SnapshotReadStatus::SrSuccess | SnapshotReadStatus::SrUnspecified) => {}
        Err(_) => return Err(Malformed::Status(status)),
    }
    if message.ranges.len() != reads.len() {
        return Err(Malformed::Parts { found: message.ranges.len(), expected: reads.len() });
    }
    let list = |(output, shape): (ReadRangeOutput, &Shape)| {
        if output.values.len() > shape.limit as usize {
            return Err(Malformed::Entries { found: output.values.len(), limit: shape.limit });
        }
        output.values.into_iter().map(|entry| entry::decode_entry(entry, shape.values)).collect()
    };
    let lists = message.ranges.into_iter().zip(reads).map(list).collect::<Result<_, _>>()?;
    Ok(ReadOutcome::Entries { lists, is_strong: message.read_is_strongly_consistent })
}

/// What of a part of a read is to be known when its response comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many entries were asked for at most.
    pub limit: u32,
    /// Whether the values were asked for.
    pub values: bool,
}

impl From<&Read<'_>> for Shape {
    fn from(read: &Read<'_>) -> Self {
        let Part { limit, values, .. } = Part::from(read);
        Self { limit, values }
    }
}

#[cfg(test)]
mod tests {
    use openkv_engine::{Key, Value, Versionstamp};

    use super::*;

    const RANGE: Read<'_> = Read::Range { start: b"\x01", end: b"\x02", limit: 7, reverse: true, values: false };

    #[test]
    fn key_is_read_as_the_range_up_to_the_next() {
        let key = Key::from(["a"]);
        let message = encode(&[Read::Key(&key), RANGE]);
        let reads = decode(&message).unwrap();
        let [Read::Range { start, end, limit: 1, reverse: false, values: true }, second] = &reads[..] else {
            panic!("{reads:?}");
        };
        assert_eq!((*start, *end), (key.as_bytes(), &[key.as_bytes(), &[0]].concat()[..]));
        assert!(matches!(second, Read::Range { start: b"\x01", end: b"\x02", limit: 7, reverse: true, values: true }));
    }

    #[test]
    fn extension_leaves_out_values_and_bounds_bytes() {
        let message = encode_openkv(&[RANGE], 5);
        let (reads, max_bytes) = decode_openkv(&message);
        assert!(matches!(reads[..], [Read::Range { limit: 7, reverse: true, values: false, .. }]));
        assert_eq!(max_bytes, 5);
        for (max_bytes, decoded) in [(0, 1), (usize::MAX, usize::MAX)] {
            assert_eq!(decode_openkv(&encode_openkv(&[], max_bytes)).1, decoded);
        }
    }

    #[test]
    fn outputs_pass() {
        let versionstamp = Versionstamp::from_version(1);
        let entry = |value| ReadEntry { key: Key::from(["a"]), value, versionstamp };
        let lists = vec![vec![entry(Some(Value::U64(1)))], vec![entry(None)], vec![]];
        let shapes = [true, false, true].map(|values| Shape { limit: 1, values });
        let outcome = decode_output(encode_output(&lists), &shapes).unwrap();
        assert_eq!(outcome, ReadOutcome::Entries { lists, is_strong: true });
    }

    #[test]
    fn malformed_messages_are_refused() {
        let range = ReadRange { limit: -1, ..ReadRange::default() };
        let message = SnapshotRead { ranges: vec![range] };
        assert_eq!(decode(&message).unwrap_err(), Malformed::NegativeLimit(-1));

        let shape = Shape { limit: 0, values: true };
        let output = |message| decode_output(message, &[shape]);
        assert_eq!(output(encode_output(&[])), Err(Malformed::Parts { found: 0, expected: 1 }));
        let key = Key::from(["a"]);
        let entry = ReadEntry { key, value: Some(Value::U64(1)), versionstamp: Versionstamp::from_version(1) };
        assert_eq!(output(encode_output(&[vec![entry]])), Err(Malformed::Entries { found: 1, limit: 0 }));
        let unknown = SnapshotReadOutput { status: 9, ..encode_output(&[vec![]]) };
        assert_eq!(output(unknown), Err(Malformed::Status(9)));
        let disabled = SnapshotReadOutput { read_disabled: true, ..SnapshotReadOutput::default() };
        assert_eq!(output(disabled), Ok(ReadOutcome::Disabled));
    }
}

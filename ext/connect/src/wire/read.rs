//! Reads of keys and ranges.

use openkv_engine::{Read, ReadEntry};

use super::datapath::{ReadRange, ReadRangeOutput, SnapshotRead, SnapshotReadOutput, SnapshotReadStatus};
use super::{Malformed, entry, openkv};

/// The outcome of a read.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadOutcome {
    /// A list of entries for each part of the read.
    Entries {
        /// The lists.
        lists: Vec<Vec<ReadEntry>>,
        /// Whether the read was strongly consistent.
        is_strong: bool,
    },
    /// The endpoint has disabled reads.
    Disabled,
}

/// One part of a read as a range of encoded keys. A single key is the range up to the next possible key.
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

/// Encodes the request of a read. Values are always read.
pub fn encode(reads: &[Read<'_>]) -> SnapshotRead {
    let range = |read: &Read<'_>| {
        let Part { start, end, limit, reverse, values: _ } = Part::from(read);
        ReadRange { start: start.to_vec(), end, limit: i32::try_from(limit).unwrap_or(i32::MAX), reverse }
    };
    SnapshotRead { ranges: reads.iter().map(range).collect() }
}

/// Decodes a request: ranges, with their values.
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

/// Encodes the request of a read of the extension. A `max_bytes` of [`usize::MAX`] means no limit.
pub fn encode_openkv(reads: &[Read<'_>], max_bytes: usize) -> openkv::Read {
    let range = |read: &Read<'_>| {
        let Part { start, end, limit, reverse, values } = Part::from(read);
        openkv::Range { start: start.to_vec(), end, limit, reverse, keys_only: !values }
    };
    let max_bytes = if max_bytes == usize::MAX { 0 } else { (max_bytes as u64).max(1) };
    openkv::Read { ranges: reads.iter().map(range).collect(), max_bytes }
}

/// Decodes a request of the extension: ranges, and the number of bytes of values after which to return early.
pub fn decode_openkv(message: &openkv::Read) -> (Vec<Read<'_>>, usize) {
    let max_bytes = if message.max_bytes == 0 { None } else { usize::try_from(message.max_bytes).ok() };
    (message.ranges.iter().map(decode_openkv_range).collect(), max_bytes.unwrap_or(usize::MAX))
}

fn decode_openkv_range(range: &openkv::Range) -> Read<'_> {
    let openkv::Range { start, end, limit, reverse, keys_only } = range;
    Read::Range { start, end, limit: *limit, reverse: *reverse, values: !keys_only }
}

/// Encodes the response to a strongly consistent read.
pub fn encode_output(lists: Vec<Vec<ReadEntry>>) -> SnapshotReadOutput {
    let output = |list: Vec<ReadEntry>| ReadRangeOutput { values: list.into_iter().map(entry::encode_entry).collect() };
    SnapshotReadOutput {
        ranges: lists.into_iter().map(output).collect(),
        read_disabled: false,
        read_is_strongly_consistent: true,
        status: SnapshotReadStatus::SrSuccess as i32,
    }
}

/// Decodes the response to a request for `reads`.
///
/// Servers of versions 1 and 2 send no status, which means success.
///
/// # Errors
/// [`Malformed`].
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
    let lists = message.ranges.into_iter().zip(reads).map(|(range, shape)| shape.decode(range));
    let lists = lists.collect::<Result<_, _>>()?;
    Ok(ReadOutcome::Entries { lists, is_strong: message.read_is_strongly_consistent })
}

/// A part of a read, which its response is validated against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The first encoded key.
    pub start: Vec<u8>,
    /// The encoded key past the last one.
    pub end: Vec<u8>,
    /// The limit of entries.
    pub limit: u32,
    /// Whether the entries are read from the end of the range.
    pub reverse: bool,
    /// Whether values were requested.
    pub values: bool,
}

impl From<&Read<'_>> for Shape {
    fn from(read: &Read<'_>) -> Self {
        let Part { start, end, limit, reverse, values } = Part::from(read);
        Self { start: start.to_vec(), end, limit, reverse, values }
    }
}

impl Shape {
    fn decode(&self, range: ReadRangeOutput) -> Result<Vec<ReadEntry>, Malformed> {
        let found = range.values.len();
        if found > self.limit as usize {
            return Err(Malformed::Entries { found, limit: self.limit });
        }
        let entries = range.values.into_iter().map(|entry| entry::decode_entry(entry, self.values));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let is_within = |key: &[u8]| self.start[..] <= *key && *key < self.end[..];
        if !entries.iter().all(|entry| is_within(entry.key.as_bytes())) {
            return Err(Malformed::OutsideRange);
        }
        let is_after = |a: &ReadEntry, b: &ReadEntry| if self.reverse { a.key > b.key } else { a.key < b.key };
        if !entries.is_sorted_by(is_after) {
            return Err(Malformed::Unordered);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use openkv_engine::{Key, Value, Versionstamp};

    use super::*;

    const RANGE: Read<'_> = Read::Range { start: b"\x01", end: b"\x02", limit: 7, reverse: true, values: false };

    fn shape(limit: u32, reverse: bool) -> Shape {
        let key = |name: &str| Key::from([name]).as_bytes().to_vec();
        Shape { start: key("a"), end: key("d"), limit, reverse, values: true }
    }

    #[test]
    fn entries_that_were_not_requested_are_rejected() {
        let decode = |names: &[&str], reverse| {
            let entry = |name: &&str| ReadEntry {
                key: Key::from([*name]),
                value: Some(Value::U64(1)),
                versionstamp: Versionstamp::from_version(1),
            };
            let output = encode_output(vec![names.iter().map(entry).collect()]);
            decode_output(output, &[shape(3, reverse)]).map(drop)
        };
        assert_eq!(decode(&["a", "b", "c"], false), Ok(()));
        assert_eq!(decode(&["c", "b", "a"], true), Ok(()));
        for (names, reverse) in [(["a", "c", "b"], false), (["a", "a", "b"], false), (["a", "b", "c"], true)] {
            assert_eq!(decode(&names, reverse), Err(Malformed::Unordered), "{names:?}");
        }
        for outside in ["", "d", "e"] {
            assert_eq!(decode(&[outside], false), Err(Malformed::OutsideRange), "{outside}");
        }
        let four = ["a", "aa", "b", "c"];
        assert_eq!(decode(&four, false), Err(Malformed::Entries { found: 4, limit: 3 }));
    }

    #[test]
    fn key_is_encoded_as_range_up_to_the_next_key() {
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
    fn outputs_round_trip() {
        let versionstamp = Versionstamp::from_version(1);
        let entry = |value| ReadEntry { key: Key::from(["a"]), value, versionstamp };
        let lists = vec![vec![entry(Some(Value::U64(1)))], vec![entry(None)], vec![]];
        let shapes = [true, false, true].map(|values| Shape { values, ..shape(1, false) });
        let outcome = decode_output(encode_output(lists.clone()), &shapes).unwrap();
        assert_eq!(outcome, ReadOutcome::Entries { lists, is_strong: true });
    }

    #[test]
    fn malformed_messages_are_rejected() {
        let range = ReadRange { limit: -1, ..ReadRange::default() };
        let message = SnapshotRead { ranges: vec![range] };
        assert_eq!(decode(&message).unwrap_err(), Malformed::NegativeLimit(-1));

        let shape = [shape(0, false)];
        let output = |message| decode_output(message, &shape);
        assert_eq!(output(encode_output(vec![])), Err(Malformed::Parts { found: 0, expected: 1 }));
        let key = Key::from(["a"]);
        let entry = ReadEntry { key, value: Some(Value::U64(1)), versionstamp: Versionstamp::from_version(1) };
        assert_eq!(output(encode_output(vec![vec![entry]])), Err(Malformed::Entries { found: 1, limit: 0 }));
        let unknown = SnapshotReadOutput { status: 9, ..encode_output(vec![vec![]]) };
        assert_eq!(output(unknown), Err(Malformed::Status(9)));
        let disabled = SnapshotReadOutput { read_disabled: true, ..SnapshotReadOutput::default() };
        assert_eq!(output(disabled), Ok(ReadOutcome::Disabled));
    }
}

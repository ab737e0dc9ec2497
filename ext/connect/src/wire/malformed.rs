use openkv_engine::{KeyError, ParseCommitIdError};

/// A message that is not what the protocol has.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes are not the message.
    #[error("the message could not be decoded: {0}")]
    Message(#[from] prost::DecodeError),
    /// The text is not the JSON of the metadata exchange.
    #[error("the metadata could not be decoded: {0}")]
    Metadata(String),
    /// A key is not in encoded form.
    #[error("a key could not be decoded: {0}")]
    Key(#[from] KeyError),
    /// The limit of a range is negative.
    #[error("the limit of a range is negative: {0}")]
    NegativeLimit(i32),
    /// A versionstamp is of another length.
    #[error("a versionstamp has {0} bytes instead of 10")]
    Versionstamp(usize),
    /// The encoding of a value is none of the protocol, or not that of its bytes.
    #[error("a value of {len} bytes has encoding {encoding}, which is unknown or does not fit")]
    Value {
        /// The encoding.
        encoding: i32,
        /// The length of the value in bytes.
        len: usize,
    },
    /// A mutation that needs a value has none.
    #[error("a mutation of type {0} has no value")]
    NoValue(i32),
    /// The type of a mutation is none of the protocol.
    #[error("a mutation has the unknown type {0}")]
    MutationType(i32),
    /// A time is before 1970.
    #[error("a time is negative: {0}")]
    NegativeTime(i64),
    /// The text of a header is not a commit id.
    #[error(transparent)]
    CommitId(#[from] ParseCommitIdError),
    /// The id of one of several writes is of another length.
    #[error("a commit id has {0} bytes instead of 16")]
    CommitIdLength(usize),
    /// The outcome of one of several writes is neither a response nor a known error.
    #[error("a write has no outcome")]
    NoOutcome,
    /// The id of a batch of messages is of another length.
    #[error("the id of a batch has {0} bytes instead of 16")]
    BatchId(usize),
    /// The status of a response is none of the protocol.
    #[error("a response has the unknown status {0}")]
    Status(i32),
    /// A response does not have as many parts as the request asked for.
    #[error("a response has {found} parts instead of {expected}")]
    Parts {
        /// How many parts the response has.
        found: usize,
        /// How many were asked for.
        expected: usize,
    },
    /// A range of a response has more entries than were asked for.
    #[error("a response has {found} entries of a range instead of {limit} at most")]
    Entries {
        /// How many entries the range has.
        found: usize,
        /// How many were asked for.
        limit: u32,
    },
    /// The first output of a watch leaves out the value of a key.
    #[error("the first output of a watch lacks a key")]
    FirstOutput,
    /// A frame is longer than the reader allows.
    #[error("a frame of {len} bytes exceeds {max} bytes")]
    FrameTooLong {
        /// The length of the frame in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
}

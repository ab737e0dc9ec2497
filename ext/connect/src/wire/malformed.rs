use openkv_engine::{KeyError, ParseCommitIdError};

/// A message that does not conform to the protocol.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes are not valid Protocol Buffers.
    #[error("the message could not be decoded: {0}")]
    Message(#[from] prost::DecodeError),
    /// A message ends within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// A message has more parts than a valid one can have.
    #[error("the message has more than {max} parts")]
    TooManyParts {
        /// The limit of parts.
        max: usize,
    },
    /// A message is longer than a valid one can be.
    #[error("the message has more than {max} bytes")]
    TooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// The JSON of the metadata exchange is not valid.
    #[error("the metadata could not be decoded: {0}")]
    Metadata(String),
    /// A key is not validly encoded.
    #[error("a key could not be decoded: {0}")]
    Key(#[from] KeyError),
    /// The limit of a range is negative.
    #[error("the limit of a range is negative: {0}")]
    NegativeLimit(i32),
    /// A versionstamp has the wrong length.
    #[error("a versionstamp has {0} bytes instead of 10")]
    Versionstamp(usize),
    /// The encoding of a value is unknown, or does not match its length.
    #[error("a value of {len} bytes has encoding {encoding}, which is unknown or does not match")]
    Value {
        /// The encoding.
        encoding: i32,
        /// The length of the value in bytes.
        len: usize,
    },
    /// A mutation that needs a value has none.
    #[error("a mutation of type {0} has no value")]
    NoValue(i32),
    /// The type of a mutation is unknown.
    #[error("a mutation has unknown type {0}")]
    MutationType(i32),
    /// A time is before 1970.
    #[error("a time is negative: {0}")]
    NegativeTime(i64),
    /// The commit id in a header is not valid.
    #[error(transparent)]
    CommitId(#[from] ParseCommitIdError),
    /// The id of one of several writes has the wrong length.
    #[error("a commit id has {0} bytes instead of 16")]
    CommitIdLength(usize),
    /// The outcome of one of several writes is neither a response nor a known error.
    #[error("a write has no outcome")]
    NoOutcome,
    /// The id of a batch of messages has the wrong length.
    #[error("the id of a batch has {0} bytes instead of 16")]
    BatchId(usize),
    /// The status of a response is unknown.
    #[error("a response has unknown status {0}")]
    Status(i32),
    /// A response does not have one part for each part of the request.
    #[error("a response has {found} parts instead of {expected}")]
    Parts {
        /// How many parts the response has.
        found: usize,
        /// How many were requested.
        expected: usize,
    },
    /// A range of a response has more entries than were requested.
    #[error("a response has {found} entries in a range with a limit of {limit}")]
    Entries {
        /// How many entries the range has.
        found: usize,
        /// How many were requested.
        limit: u32,
    },
    /// An entry of a response is not one that was requested.
    #[error("a response has an entry outside of the requested range")]
    OutsideRange,
    /// The keys of a range are not in order, or not unique.
    #[error("a response has entries that are not in order, or repeated")]
    Unordered,
    /// A batch has no messages, or more than were requested.
    #[error("a batch has {found} messages instead of 1 to {limit}")]
    Messages {
        /// How many messages the batch has.
        found: usize,
        /// How many were requested.
        limit: u32,
    },
    /// The first output of a watch reports a key as unchanged.
    #[error("the first output of a watch lacks the state of a key")]
    FirstOutput,
    /// A frame exceeds the limit of the reader.
    #[error("a frame of {len} bytes exceeds {max} bytes")]
    FrameTooLong {
        /// The length of the frame in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
}

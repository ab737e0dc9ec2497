//! The messages of the extension.

use super::Malformed;

/// The request of a read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Read {
    /// The ranges to read.
    #[prost(message, repeated, tag = "1")]
    pub ranges: Vec<Range>,
    /// The number of bytes of values after which to return early; 0 for no limit.
    #[prost(uint64, tag = "2")]
    pub max_bytes: u64,
}

/// A range to read.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Range {
    /// The first encoded key.
    #[prost(bytes = "vec", tag = "1")]
    pub start: Vec<u8>,
    /// The encoded key past the last one.
    #[prost(bytes = "vec", tag = "2")]
    pub end: Vec<u8>,
    /// How many entries to read at most.
    #[prost(uint32, tag = "3")]
    pub limit: u32,
    /// Whether to read from the end of the range.
    #[prost(bool, tag = "4")]
    pub reverse: bool,
    /// Whether to leave out values.
    #[prost(bool, tag = "5")]
    pub keys_only: bool,
}

/// The request to read when entries expire.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Expiries {
    /// The encoded keys.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub keys: Vec<Vec<u8>>,
}

/// The response to [`Expiries`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ExpiriesOutput {
    /// The expiries, in the order of the keys.
    #[prost(message, repeated, tag = "1")]
    pub expiries: Vec<Expiry>,
}

/// When an entry expires.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Expiry {
    /// The versionstamp of the entry; empty if there is none.
    #[prost(bytes = "vec", tag = "1")]
    pub versionstamp: Vec<u8>,
    /// When it expires, in milliseconds since the Unix epoch, if it does.
    #[prost(uint64, optional, tag = "2")]
    pub expires_at: Option<u64>,
}

/// The request of a count.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Count {
    /// The first encoded key.
    #[prost(bytes = "vec", tag = "1")]
    pub start: Vec<u8>,
    /// The encoded key past the last one.
    #[prost(bytes = "vec", tag = "2")]
    pub end: Vec<u8>,
}

/// The response to a count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct CountOutput {
    /// How many entries there are.
    #[prost(uint64, tag = "1")]
    pub count: u64,
}

/// The request to delete the first entries of a range. It has a [commit id](super::headers::COMMIT_ID). The server deletes once
/// for each id, and responds to a [retry](super::headers::RETRY) as it would have responded to the first request. It remembers the
/// last ids as long as it runs; if it does not know that of a retry, it deletes nothing, and responds with the error
/// `outcome_unknown`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DeleteRange {
    /// The first encoded key.
    #[prost(bytes = "vec", tag = "1")]
    pub start: Vec<u8>,
    /// The encoded key past the last one.
    #[prost(bytes = "vec", tag = "2")]
    pub end: Vec<u8>,
    /// How many entries to delete at most.
    #[prost(uint32, tag = "3")]
    pub limit: u32,
}

/// The response to a deletion.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct DeleteRangeOutput {
    /// How many entries were deleted; 0 if none are left.
    #[prost(uint64, tag = "1")]
    pub deleted: u64,
}

/// The request to commit several writes in their order. Each is atomic on its own.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Writes {
    /// The writes.
    #[prost(message, repeated, tag = "1")]
    pub writes: Vec<NamedWrite>,
}

/// A write of [`Writes`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct NamedWrite {
    /// The commit id of the write: 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// An encoded `AtomicWrite`.
    #[prost(bytes = "vec", tag = "2")]
    pub write: Vec<u8>,
}

/// The response to [`Writes`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct WritesOutput {
    /// The outcomes of the writes, in their order.
    #[prost(message, repeated, tag = "1")]
    pub outcomes: Vec<Outcome>,
}

/// The outcome of a write of [`Writes`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Outcome {
    /// What the response to a single write would be, if it did not fail.
    #[prost(message, optional, tag = "1")]
    pub output: Option<super::datapath::AtomicWriteOutput>,
    /// What the header of an error would be, if the write failed: see [`error`](super::error).
    #[prost(bytes = "vec", tag = "2")]
    pub error: Vec<u8>,
}

/// The request to claim messages from the queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Dequeue {
    /// How many messages to claim at most.
    #[prost(uint32, tag = "1")]
    pub limit: u32,
}

/// The messages that were claimed: a frame of the response to [`Dequeue`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Batch {
    /// The id of the batch for [`Start`] and [`Finish`]: 16 random bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub batch: Vec<u8>,
    /// The messages, in V8's serialization format.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub messages: Vec<Vec<u8>>,
}

/// The request that marks a message as being handled. Its response is empty.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Start {
    /// The id of the batch.
    #[prost(bytes = "vec", tag = "1")]
    pub batch: Vec<u8>,
    /// The position of the message in the batch.
    #[prost(uint32, tag = "2")]
    pub index: u32,
}

/// The request that finishes the delivery of a message. Its response is empty. It is idempotent: a retry returns the first
/// response.
///
/// Status 410 means that the server does not hold the claim any more: the stream of the batch was lost for too long, or the server
/// was restarted. It has requeued the message, and delivers it again, or has done so already.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Finish {
    /// The id of the batch.
    #[prost(bytes = "vec", tag = "1")]
    pub batch: Vec<u8>,
    /// The position of the message in the batch.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// Whether the message was handled.
    #[prost(bool, tag = "3")]
    pub success: bool,
}

/// The id of a batch of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(pub [u8; 16]);

impl TryFrom<&[u8]> for BatchId {
    type Error = Malformed;

    fn try_from(bytes: &[u8]) -> Result<Self, Malformed> {
        bytes.try_into().map(Self).map_err(|_| Malformed::BatchId(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_id_has_16_bytes() {
        assert_eq!(BatchId::try_from(&[7; 16][..]), Ok(BatchId([7; 16])));
        assert_eq!(BatchId::try_from(&[7; 15][..]), Err(Malformed::BatchId(15)));
    }
}

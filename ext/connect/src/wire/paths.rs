//! The paths of calls, below the URL of an endpoint.

/// Reads ranges.
pub const SNAPSHOT_READ: &str = "snapshot_read";
/// Commits a write.
pub const ATOMIC_WRITE: &str = "atomic_write";
/// Watches keys: a stream of frames, each a `WatchOutput`.
pub const WATCH: &str = "watch";

/// Reads ranges without values, or up to a number of bytes. Extension.
pub const READ: &str = "openkv/read";
/// Counts the entries of a range. Extension.
pub const COUNT: &str = "openkv/count";
/// Deletes the first entries of a range. Extension.
pub const DELETE_RANGE: &str = "openkv/delete_range";
/// Commits several writes in their order. Extension.
pub const WRITE: &str = "openkv/write";
/// Claims messages from the queue: a stream of frames, one of which is a [`Batch`](super::openkv::Batch). The claims live as
/// long as the stream, which ends once all of the batch are finished. Extension.
pub const DEQUEUE: &str = "openkv/dequeue";
/// Notes that a message of a batch is handled from now on. Extension.
pub const START: &str = "openkv/start";
/// Ends the delivery of a message of a batch. Extension.
pub const FINISH: &str = "openkv/finish";

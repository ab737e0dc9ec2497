//! The paths of calls, relative to the URL of an endpoint.

/// Reads ranges.
pub const SNAPSHOT_READ: &str = "snapshot_read";
/// Commits a write.
pub const ATOMIC_WRITE: &str = "atomic_write";
/// Watches keys: a stream of frames, each a `WatchOutput`.
pub const WATCH: &str = "watch";

/// Reads ranges without values, or up to a number of bytes. Extension.
pub const READ: &str = "openkv/read";
/// Reads when entries expire. Extension.
pub const EXPIRIES: &str = "openkv/expiries";
/// Counts the entries of a range. Extension.
pub const COUNT: &str = "openkv/count";
/// Deletes the first entries of a range. Extension.
pub const DELETE_RANGE: &str = "openkv/delete_range";
/// Commits several writes in order. Extension.
pub const WRITE: &str = "openkv/write";
/// Claims messages from the queue: a stream of frames, one of which is a [`Batch`](super::openkv::Batch). The claims last until
/// the stream closes, which the server does once all messages of the batch are finished. Extension.
pub const DEQUEUE: &str = "openkv/dequeue";
/// Marks a message of a batch as being handled. Extension.
pub const START: &str = "openkv/start";
/// Finishes the delivery of a message of a batch. Extension.
pub const FINISH: &str = "openkv/finish";

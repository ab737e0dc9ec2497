//! Writes: the thread that commits them, and what it does beside them for the queue, the watches and what has expired.

pub(super) mod apply;
pub(super) mod commit_ids;
pub(super) mod database_id;
pub(super) mod delivery;
pub(super) mod jobs;
pub(super) mod queue;
pub(super) mod sweep;
pub(super) mod transaction;
pub(super) mod watchers;
pub(super) mod worker;
pub(super) mod writer;

//! Writes: the thread that commits them, and its other tasks: the queue, watches, and the sweep of expired entries.

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

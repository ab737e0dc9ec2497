//! Reads: on the caller's thread, or in the background where they take long.

pub(super) mod background;
pub(super) mod reader;
pub(super) mod readers;
pub(super) mod row;
pub(super) mod scan;

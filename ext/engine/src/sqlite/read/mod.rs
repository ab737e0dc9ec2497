//! Reads: on the caller's thread, or in the background if they take long.

pub(super) mod background;
pub(super) mod reader;
pub(super) mod readers;
pub(super) mod row;
pub(super) mod scan;
pub(super) mod transfer;

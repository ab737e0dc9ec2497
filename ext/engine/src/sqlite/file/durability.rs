use rusqlite::Connection;

use crate::Result;

/// When a transaction is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// Together with the next one that is synced. For what a power failure may undo: that a message was taken from the
    /// queue, or an expired entry removed.
    Deferred,
    /// Once it is committed.
    Synced,
}

impl Durability {
    /// Sets a connection to it.
    pub fn apply(self, connection: &Connection) -> Result<()> {
        let synchronous = match self {
            Durability::Synced => "full",
            Durability::Deferred => "normal",
        };
        Ok(connection.pragma_update(None, "synchronous", synchronous)?)
    }
}

use rusqlite::Connection;

use crate::Result;

/// When a transaction becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// With the next synced transaction. For changes that a power failure may undo, such as the removal of an expired entry, or the
    /// claim of a message.
    Deferred,
    /// With its commit.
    Synced,
}

impl Durability {
    /// Applies it to a connection.
    pub fn apply(self, connection: &Connection) -> Result<()> {
        let synchronous = match self {
            Durability::Synced => "full",
            Durability::Deferred => "normal",
        };
        Ok(connection.pragma_update(None, "synchronous", synchronous)?)
    }
}

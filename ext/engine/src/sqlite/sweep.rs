//! Removes entries that have expired. No read sees them any more: this reclaims their space, and tells their watchers.

use super::transaction::Transaction;
use crate::Result;

const EARLIEST: &str = "select min(expiration_ms) from kv where expiration_ms >= 0";
const DELETE: &str = "delete from kv where k in (
        select k from kv where expiration_ms >= 0 and expiration_ms <= ?1 order by expiration_ms limit ?2
    ) returning k";

/// How many entries to remove at once: others wait for the writer meanwhile.
const BATCH: u32 = 1000;

/// How long expired entries may take up space where nobody watches, in milliseconds.
const PATIENCE: u64 = 1000;

/// When the next entry expires.
#[derive(Default)]
pub(super) struct Sweep {
    /// In milliseconds since the Unix epoch. None where nothing is known to expire.
    earliest: Option<u64>,
    /// The time before which not to sweep again.
    rest: u64,
}

impl Sweep {
    /// Looks up when the next entry expires.
    pub fn look(&mut self, connection: &rusqlite::Connection) -> Result<()> {
        let earliest: Option<i64> = connection.prepare_cached(EARLIEST)?.query_row([], |row| row.get(0))?;
        self.earliest = earliest.map(|time| time.max(0) as u64);
        Ok(())
    }

    /// Notes that an entry expires.
    pub fn expires(&mut self, at: u64) {
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }

    /// When to sweep next, in milliseconds since the Unix epoch. With watchers, the moment that an entry expires.
    pub fn due(&self, watched: bool) -> Option<u64> {
        self.earliest.map(|earliest| if watched { earliest } else { earliest.max(self.rest) })
    }

    /// Sweeps, in a transaction.
    pub fn run(&mut self, transaction: &Transaction<'_>) -> Result<()> {
        self.rest = transaction.now + PATIENCE;
        let mut statement = transaction.connection().prepare_cached(DELETE)?;
        let mut rows = statement.query((transaction.now as i64, BATCH))?;
        while let Some(row) = rows.next()? {
            transaction.touch(row.get_ref(0)?.as_blob().unwrap_or_default());
        }
        self.look(transaction.connection())
    }

    /// Rests after a failure.
    pub fn rest(&mut self, now: u64) {
        self.rest = now + PATIENCE;
        self.earliest = self.earliest.map(|earliest| earliest.max(self.rest));
    }
}

//! Removes expired entries. Reads skip them already: the sweep reclaims their space, and notifies their watchers.

use rusqlite::Connection;

use crate::Result;
use crate::clock::Moment;
use crate::sqlite::write::transaction::Transaction;

const EARLIEST: &str = "select min(expiration_ms) from kv where expiration_ms >= 0";
const DELETE: &str = "delete from kv where k in (
        select k from kv where expiration_ms >= 0 and expiration_ms <= ?1 order by expiration_ms limit ?2
    ) returning k";

/// How many entries to remove in one transaction, during which writes wait.
const BATCH: u32 = 1000;

/// The minimum time between two sweeps without watchers, and how long to back off after a failure, in milliseconds.
const INTERVAL: u64 = 1000;

/// When to sweep next.
#[derive(Default)]
pub(crate) struct Sweep {
    /// When the next entry expires, in milliseconds since the Unix epoch, or `None` if no entry is known to expire.
    earliest: Option<u64>,
    /// The monotonic time of the earliest next sweep, in milliseconds.
    not_before: u64,
    /// Whether the last sweep removed a full batch, so that more expired entries may remain.
    unfinished: bool,
    /// Whether the last sweep failed.
    failed: bool,
}

impl Sweep {
    /// Queries when the next entry expires.
    pub fn refresh(&mut self, connection: &Connection) -> Result<()> {
        let earliest: Option<i64> = connection.prepare_cached(EARLIEST)?.query_row([], |row| row.get(0))?;
        self.earliest = earliest.map(|time| time.max(0) as u64);
        Ok(())
    }

    /// Records that an entry expires.
    pub fn expires(&mut self, at: u64) {
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }

    /// Returns how long until the next sweep, in milliseconds. With watchers, it is due as soon as an entry expires.
    pub fn due(&self, now: Moment, watched: bool) -> Option<u64> {
        let earliest = self.earliest?;
        let pause = now.until(self.not_before);
        Some(match (self.failed, self.unfinished) {
            (true, _) => pause,
            // Otherwise, entries that expire faster than one batch per second would pile up, and reads step over each of them.
            (false, true) => 0,
            (false, false) if watched => now.until_wall(earliest),
            (false, false) => now.until_wall(earliest).max(pause),
        })
    }

    /// Removes a batch of entries, in a transaction. Returns their number.
    pub fn remove(transaction: &Transaction<'_>) -> Result<u32> {
        let mut statement = transaction.connection().prepare_cached(DELETE)?;
        let mut rows = statement.query((transaction.now as i64, BATCH))?;
        let mut removed = 0;
        while let Some(row) = rows.next()? {
            transaction.touch(row.get_ref(0)?.as_blob().unwrap_or_default());
            removed += 1;
        }
        Ok(removed)
    }

    /// Records how many entries a committed transaction has removed.
    pub fn swept(&mut self, removed: u32, now: Moment) {
        self.failed = false;
        self.unfinished = removed == BATCH;
        self.not_before = now.monotonic + INTERVAL;
    }

    /// Backs off before the next sweep, after a failure.
    pub fn back_off(&mut self, now: Moment) {
        self.failed = true;
        self.not_before = now.monotonic + INTERVAL;
    }
}

//! Removes entries that have expired. No read sees them any more: this reclaims their space, and notifies their watchers.

use rusqlite::Connection;

use crate::Result;
use crate::clock::Moment;
use crate::sqlite::write::transaction::Transaction;

const EARLIEST: &str = "select min(expiration_ms) from kv where expiration_ms >= 0";
const DELETE: &str = "delete from kv where k in (
        select k from kv where expiration_ms >= 0 and expiration_ms <= ?1 order by expiration_ms limit ?2
    ) returning k";

/// How many entries to remove in one transaction: others wait for the writer meanwhile.
const BATCH: u32 = 1000;

/// How long expired entries may take up space where nobody watches, and how long to back off after a failure, in milliseconds.
const INTERVAL: u64 = 1000;

/// When to sweep next.
#[derive(Default)]
pub(crate) struct Sweep {
    /// When the next entry expires, in milliseconds since the Unix epoch. None where nothing is known to expire.
    earliest: Option<u64>,
    /// The monotonic time before which not to sweep again, in milliseconds.
    not_before: u64,
    /// Whether the last sweep left expired entries behind.
    unfinished: bool,
    /// Whether the last sweep failed.
    failed: bool,
}

impl Sweep {
    /// Looks up when the next entry expires.
    pub fn refresh(&mut self, connection: &Connection) -> Result<()> {
        let earliest: Option<i64> = connection.prepare_cached(EARLIEST)?.query_row([], |row| row.get(0))?;
        self.earliest = earliest.map(|time| time.max(0) as u64);
        Ok(())
    }

    /// Notes that an entry expires.
    pub fn expires(&mut self, at: u64) {
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }

    /// How long until the next sweep, in milliseconds. With watchers, that is the moment when an entry expires.
    pub fn due(&self, now: Moment, watched: bool) -> Option<u64> {
        let earliest = self.earliest?;
        let rest = now.until(self.not_before);
        Some(match (self.failed, self.unfinished) {
            (true, _) => rest,
            // Else entries that expire faster than one batch a second would pile up, and reads step over each of them.
            (false, true) => 0,
            (false, false) if watched => now.until_wall(earliest),
            (false, false) => now.until_wall(earliest).max(rest),
        })
    }

    /// Removes a batch of entries, in a transaction. Returns how many.
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

    /// Notes that so many entries were removed by a transaction that is committed.
    pub fn swept(&mut self, removed: u32, now: Moment) {
        self.failed = false;
        self.unfinished = removed == BATCH;
        self.not_before = now.monotonic + INTERVAL;
    }

    /// Waits before the next sweep, after one that failed.
    pub fn back_off(&mut self, now: Moment) {
        self.failed = true;
        self.not_before = now.monotonic + INTERVAL;
    }
}

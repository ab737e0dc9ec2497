//! Counting and deleting ranges, with a fallback to reads and writes for backends that do not support it.
//!
//! The fallback reads the first keys immediately, so that it takes effect in the order of the calls.

use std::collections::HashSet;

use crate::future::ready;
use crate::{AtomicWrite, BoxFuture, Check, Commit, Database, KeyEntry, List, Mutation, Result, Selector};

impl Database {
    /// Counts the entries of a selector. Over SQLite, this takes about a second for some million entries. For a database in
    /// memory, it blocks the caller's thread.
    ///
    /// # Errors
    /// See [`Database::read`].
    pub fn count(&self, selector: &Selector) -> BoxFuture<u64> {
        let (start, end) = selector.bounds();
        if let Err(error) = self.limits().check_range(start, end) {
            return ready(Err(error));
        }
        self.backend().count(start, end).unwrap_or_else(|| count(self, selector))
    }

    /// Deletes the first entries of a selector, up to [`Limits::deletions`](crate::Limits::deletions), as one write. Returns
    /// the number of deleted entries: 0 means that no entries are left.
    ///
    /// If the backend cannot delete ranges, up to [`Limits::checks`](crate::Limits::checks) keys are read first, and entries
    /// that are written before they are deleted are kept. The future does this: if it is dropped, or the database closed,
    /// nothing is deleted.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn delete_range(&self, selector: &Selector) -> BoxFuture<u64> {
        self.delete_first(selector, u32::MAX)
    }

    /// Deletes as [`Database::delete_range`] does, but no more than `limit` entries.
    ///
    /// # Errors
    /// See [`Database::write`].
    pub fn delete_first(&self, selector: &Selector, limit: u32) -> BoxFuture<u64> {
        let (start, end) = selector.bounds();
        if let Err(error) = self.limits().check_range(start, end) {
            return ready(Err(error));
        }
        let limit = limit.min(self.limits().deletions);
        self.backend().delete_range(start, end, limit).unwrap_or_else(|| delete_range(self, selector, limit))
    }
}

/// Counts the entries of a selector by listing its keys. Each batch of keys is a separate snapshot.
fn count(database: &Database, selector: &Selector) -> BoxFuture<u64> {
    let keys = keys(database, selector, database.limits().read_entries);
    Box::pin(async move {
        let mut keys = keys?;
        let mut count = 0;
        while let Some(entry) = keys.next().await {
            entry?;
            count += 1;
        }
        Ok(count)
    })
}

/// Deletes the first entries of a selector, as one write with checks. Entries that were written since they were read are kept,
/// as if they had been written after the deletion.
fn delete_range(database: &Database, selector: &Selector, limit: u32) -> BoxFuture<u64> {
    if limit == 0 {
        return ready(Ok(0));
    }
    let limits = database.limits();
    let max = limits.checks.min(limits.mutations).min(limits.read_entries).min(limit as usize).max(1);
    let keys = keys(database, selector, max);
    let database = database.clone();
    Box::pin(async move {
        let mut keys = keys?;
        loop {
            let entries = take(&mut keys, max).await?;
            if entries.is_empty() {
                return Ok(0);
            }
            let deleted = delete_unchanged(&database, entries).await?;
            // Returning 0 would mean that the range is empty, but further entries may follow.
            if deleted > 0 {
                return Ok(deleted);
            }
        }
    })
}

fn keys(database: &Database, selector: &Selector, batch: usize) -> Result<List<KeyEntry>> {
    database.list(selector.clone()).keys_only().begin(batch)
}

async fn take(list: &mut List<KeyEntry>, count: usize) -> Result<Vec<KeyEntry>> {
    let mut entries = Vec::new();
    while entries.len() < count
        && let Some(entry) = list.next().await
    {
        entries.push(entry?);
    }
    Ok(entries)
}

/// Deletes the entries that were not written meanwhile, as one write. Returns their number.
async fn delete_unchanged(database: &Database, mut entries: Vec<KeyEntry>) -> Result<u64> {
    let mut later = Vec::new();
    while !entries.is_empty() {
        let write = AtomicWrite {
            checks: entries.iter().map(unchanged).collect(),
            mutations: entries.iter().map(|entry| Mutation::delete(entry.key.clone())).collect(),
            ..AtomicWrite::default()
        };
        // Not through `Database::write`: the limits of writes do not apply to the deletion of a range.
        match database.backend().write(write).await? {
            Commit::Done(_) => break,
            Commit::Conflict { failed } => {
                let failed: HashSet<usize> = failed.into_iter().collect();
                let len = entries.len();
                let mut i = 0;
                entries.retain(|_| {
                    i += 1;
                    !failed.contains(&(i - 1))
                });
                if entries.len() == len {
                    // Some servers do not report which checks failed. The checks of fewer entries may succeed.
                    let mut rest = entries.split_off(len / 2);
                    if len > 1 {
                        rest.append(&mut later);
                        later = rest;
                    }
                }
                if entries.is_empty() {
                    std::mem::swap(&mut entries, &mut later);
                }
            }
        }
    }
    Ok(entries.len() as u64)
}

fn unchanged(entry: &KeyEntry) -> Check {
    Check { key: entry.key.clone(), versionstamp: Some(entry.versionstamp) }
}

//! Commit ids, which are stored in the transactions of their commits.

use rusqlite::OptionalExtension;

use crate::sqlite::file::schema::CREATE_COMMIT_IDS;
use crate::sqlite::write::transaction::Transaction;
use crate::{CommitId, Result, Versionstamp};

const FIND: &str = "select version from openkv_commit_ids where id = ?1";
/// An existing row with the same version is stale: the file was reset to an earlier state, and the version assigned again.
const STORE: &str = "insert or replace into openkv_commit_ids (version, id, committed_at) values (?1, ?2, ?3)";
/// Deletes up to two of the oldest ids, if they have expired, or are from the future because the clock was set back. As that is
/// more than the one id stored per commit, expired ids do not accumulate.
const PRUNE: &str = "delete from openkv_commit_ids
    where version in (select version from openkv_commit_ids order by version limit 2)
    and committed_at not between ?1 and ?2";

/// Returns the version of the commit with an id.
pub(crate) fn find(transaction: &Transaction<'_>, id: CommitId) -> Result<Option<Versionstamp>> {
    let connection = transaction.connection();
    // Cached: after the first time, this only checks the schema.
    connection.prepare_cached(CREATE_COMMIT_IDS)?.execute([])?;
    let version = connection.prepare_cached(FIND)?.query_row([id.0], |row| row.get(0)).optional()?;
    Ok(version.map(|version: i64| Versionstamp::from_version(version as u64)))
}

/// Stores the id of a commit, and deletes expired ids. [`find`] has created the table.
pub(crate) fn store(transaction: &Transaction<'_>, id: CommitId, version: i64) -> Result<()> {
    let connection = transaction.connection();
    let now = i64::try_from(transaction.now).unwrap_or(i64::MAX);
    let age = CommitId::REMEMBERED as i64;
    connection.prepare_cached(PRUNE)?.execute([now.saturating_sub(age), now.saturating_add(age)])?;
    connection.prepare_cached(STORE)?.execute((version, id.0, now))?;
    Ok(())
}

//! The ids of commits, which are stored with what they commit.

use rusqlite::OptionalExtension;

use crate::sqlite::file::schema::CREATE_COMMIT_IDS;
use crate::sqlite::write::transaction::Transaction;
use crate::{CommitId, Result, Versionstamp};

const FIND: &str = "select version from openkv_commit_ids where id = ?1";
/// A version that is there already is one that was given twice: its file was taken back to an earlier state.
const STORE: &str = "insert or replace into openkv_commit_ids (version, id, committed_at) values (?1, ?2, ?3)";
/// Forgets the oldest that are too old, or are of a time to come since the clock was put back. It takes two for each one that is
/// stored, so that there are ever fewer.
const PRUNE: &str = "delete from openkv_commit_ids
    where version in (select version from openkv_commit_ids order by version limit 2)
    and committed_at not between ?1 and ?2";

/// Returns the version of the commit that had an id.
pub(crate) fn find(transaction: &Transaction<'_>, id: CommitId) -> Result<Option<Versionstamp>> {
    let connection = transaction.connection();
    // Compiled once, and then nothing but a look at the schema.
    connection.prepare_cached(CREATE_COMMIT_IDS)?.execute([])?;
    let version = connection.prepare_cached(FIND)?.query_row([id.0], |row| row.get(0)).optional()?;
    Ok(version.map(|version: i64| Versionstamp::from_version(version as u64)))
}

/// Stores the id of a commit, and forgets old ones. The table is there since [`find`].
pub(crate) fn store(transaction: &Transaction<'_>, id: CommitId, version: i64) -> Result<()> {
    let connection = transaction.connection();
    let now = i64::try_from(transaction.now).unwrap_or(i64::MAX);
    let age = CommitId::REMEMBERED as i64;
    connection.prepare_cached(PRUNE)?.execute([now.saturating_sub(age), now.saturating_add(age)])?;
    connection.prepare_cached(STORE)?.execute((version, id.0, now))?;
    Ok(())
}

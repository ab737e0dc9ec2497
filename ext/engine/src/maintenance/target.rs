//! Checks the path of a file to create.

use crate::sqlite::pinned::Pinned;
use crate::{FileProblem, Result};

/// Checks that a file can be created: that it is not the source, and does not exist or may be overwritten.
pub(super) fn require_free(to: &Pinned, from: &Pinned, overwrite: bool) -> Result<()> {
    require_other(to, from)?;
    if !overwrite && to.status("").is_ok() {
        return Err(FileProblem::Exists.of(to.path()));
    }
    for suffix in ["-wal", "-journal"] {
        if to.status(suffix).is_ok() {
            return Err(FileProblem::WalLeft { wal: to.path_with_suffix(suffix) }.of(to.path()));
        }
    }
    Ok(())
}

/// Checks that a file is neither the source nor its WAL, index or journal.
pub(super) fn require_other(to: &Pinned, from: &Pinned) -> Result<()> {
    let Ok(status) = to.status("") else {
        return Ok(());
    };
    let sources = ["", "-wal", "-shm", "-journal"].map(|suffix| from.status(suffix));
    if sources.into_iter().flatten().any(|source| source.id == status.id) {
        Err(FileProblem::Same.of(to.path()))
    } else {
        Ok(())
    }
}

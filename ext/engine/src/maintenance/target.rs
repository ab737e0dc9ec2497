//! Finds where a file can be made.

use crate::sqlite::pinned::Pinned;
use crate::{FileProblem, Result};

/// Finds that a file can be made: that it is none of those it is made from, and is not there or may be overwritten.
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

/// Finds a file to be another one, and none that SQLite keeps beside it.
pub(super) fn require_other(to: &Pinned, from: &Pinned) -> Result<()> {
    let Ok(status) = to.status("") else {
        return Ok(());
    };
    let taken = ["", "-wal", "-shm", "-journal"].map(|suffix| from.status(suffix));
    if taken.into_iter().flatten().any(|taken| taken.id == status.id) {
        Err(FileProblem::Same.of(to.path()))
    } else {
        Ok(())
    }
}

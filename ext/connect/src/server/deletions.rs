//! Deletions of ranges that were requested with an id.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::Shared;
use openkv_engine::{BoxFuture, Cause, CommitId, Error, Result};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::wire::error::RemoteCause;

/// How many deletions are remembered, so that retries get the first result.
const REMEMBERED: usize = 16 * 1024;

/// The last deletions of a server, including those in progress.
#[derive(Default)]
pub(crate) struct Deletions {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    deletions: HashMap<Name, Shared<BoxFuture<u64>>>,
    /// The names of the deletions, oldest first.
    order: VecDeque<Name>,
}

/// The database and the id of a deletion.
type Name = (Uuid, CommitId);

impl Deletions {
    /// Deletes once for each id, unless that failed. Returns the result of the first request.
    ///
    /// # Errors
    /// Those of the deletion. [`Error::OutcomeUnknown`] if this is a retry of a request that the server does not remember: it would
    /// delete the entries that were written meanwhile.
    pub async fn run(&self, name: Name, is_retry: bool, delete: impl FnOnce() -> BoxFuture<u64>) -> Result<u64> {
        let deletion = self.known.lock().deletion(name, is_retry, delete)?;
        deletion.await
    }
}

impl Known {
    fn deletion(
        &mut self,
        name: Name,
        is_retry: bool,
        delete: impl FnOnce() -> BoxFuture<u64>,
    ) -> Result<Shared<BoxFuture<u64>>> {
        let known = self.deletions.get(&name);
        // One that failed has deleted nothing.
        let has_failed = |deletion: &Shared<_>| matches!(deletion.peek(), Some(Err(error)) if !matches!(error, Error::OutcomeUnknown(_)));
        if let Some(deletion) = known.filter(|deletion| !has_failed(deletion)) {
            return Ok(deletion.clone());
        }
        if known.is_none() {
            if is_retry {
                return Err(forgotten());
            }
            self.remember(name);
        }
        let deletion = delete().shared();
        self.deletions.insert(name, deletion.clone());
        Ok(deletion)
    }

    fn remember(&mut self, name: Name) {
        self.order.push_back(name);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.deletions.remove(&oldest);
        }
    }
}

fn forgotten() -> Error {
    let text =
        "the connection was lost, and the server does not know whether it deleted the entries before it was restarted";
    Error::OutcomeUnknown(Arc::new(Error::Storage(Cause::new(RemoteCause(text.into())))))
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_executor::block_on;

    use super::*;

    const NAME: Name = (Uuid::nil(), CommitId([7; 16]));

    fn run(deletions: &Deletions, is_retry: bool, result: Result<u64>) -> Result<u64> {
        block_on(deletions.run(NAME, is_retry, || Box::pin(ready(result))))
    }

    #[test]
    fn retry_returns_the_first_result() {
        let deletions = Deletions::default();
        assert_eq!(run(&deletions, false, Ok(3)).unwrap(), 3);
        assert_eq!(run(&deletions, true, Ok(5)).unwrap(), 3);
        let other = (Uuid::nil(), CommitId([8; 16]));
        assert_eq!(block_on(deletions.run(other, false, || Box::pin(ready(Ok(5))))).unwrap(), 5);
    }

    #[test]
    fn forgotten_deletion_is_not_repeated() {
        let deletions = Deletions::default();
        let retried = run(&deletions, true, Ok(5));
        assert!(matches!(retried, Err(Error::OutcomeUnknown(_))), "{retried:?}");
        assert_eq!(run(&deletions, false, Ok(3)).unwrap(), 3, "nothing was deleted");
    }

    #[test]
    fn failed_deletion_is_repeated() {
        let deletions = Deletions::default();
        assert!(matches!(run(&deletions, false, Err(Error::Busy)), Err(Error::Busy)));
        assert_eq!(run(&deletions, true, Ok(3)).unwrap(), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let deletions = Deletions::default();
        for i in 0..=REMEMBERED as u128 {
            let name = (Uuid::nil(), CommitId(i.to_be_bytes()));
            block_on(deletions.run(name, false, || Box::pin(ready(Ok(1))))).unwrap();
        }
        assert_eq!(deletions.known.lock().deletions.len(), REMEMBERED);
    }
}

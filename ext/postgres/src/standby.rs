//! Reads with eventual consistency, from a standby whose lag is bounded.
//!
//! The version of the last commit is read from the primary once a second. A standby whose snapshot has this version has all commits
//! that were visible then: it lags by no more than a second, plus the time of the read. A standby that lags more is not used.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join;
use openkv_engine::{OwnedRead, ReadEntry, Result};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::connection::Role;
use crate::error::Failure;
use crate::reads::{Pool, Slot, fetch};
use crate::session::Session;

/// The maximum age of the version that a standby must have.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How long after a failure no connection to a standby is tried.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A connection to a standby.
pub(crate) struct Standby {
    session: Arc<Session>,
    primary: Arc<Pool>,
    slot: Slot,
    times: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    /// When the version of the primary was read last.
    version_at: Option<Instant>,
    /// When the connection failed last.
    failed_at: Option<Instant>,
}

impl Standby {
    pub fn new(session: Arc<Session>, primary: Arc<Pool>) -> Self {
        Self { session, primary, slot: Slot::default(), times: Mutex::default() }
    }

    /// Reads from the standby. Returns `None` if there is none, or it lags too much: the primary is to be read.
    pub async fn read(&self, reads: &[OwnedRead], max_bytes: usize) -> Result<Option<Vec<Vec<ReadEntry>>>> {
        let recent = |time: Option<Instant>, age| time.is_some_and(|time| time.elapsed() < age);
        let (is_known, has_failed) = {
            let times = self.times.lock();
            (recent(times.version_at, MAX_AGE), recent(times.failed_at, RETRY_AFTER))
        };
        if self.session.connector.address.hosts.len() < 2 || has_failed {
            return Ok(None);
        }
        if !is_known {
            let now = Instant::now();
            self.session.committed(self.primary.version().await?);
            self.times.lock().version_at = Some(now);
        }
        match self.try_read(reads, max_bytes).await {
            Ok(lists) => Ok(lists),
            Err(failure) => {
                tracing::debug!(error = %failure.into_error(), "a standby could not be read");
                self.slot.reset();
                self.times.lock().failed_at = Some(Instant::now());
                Ok(None)
            }
        }
    }

    async fn try_read(&self, reads: &[OwnedRead], max_bytes: usize) -> Result<Option<Vec<Vec<ReadEntry>>>, Failure> {
        let required = self.session.version.load(Ordering::Acquire);
        let connection = self.slot.get(&self.session, Role::Standby).await?;
        let statement = connection.prepare(&self.session.sql.version).await?;
        // The version is read first, so that the snapshot of the entries is at least as recent.
        let version = connection.client.query_one(&statement, &[]);
        let (version, lists) = join(version, fetch(&connection, &self.session.sql, reads, max_bytes)).await;
        let is_recent = version?.get::<_, i64>(0).max(0) as u64 >= required;
        let lists = lists?;
        Ok(is_recent.then_some(lists))
    }
}

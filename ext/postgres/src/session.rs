use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openkv_engine::Random;
use tokio::time::Instant;

use crate::clock::ServerClock;
use crate::connection::{Connection, Connector, Role};
use crate::error::Failure;
use crate::sql::Sql;

/// What the tasks of an open database share.
pub(crate) struct Session {
    pub connector: Connector,
    pub sql: Sql,
    pub clock: Arc<ServerClock>,
    pub random: Arc<dyn Random>,
    pub retry_for: Duration,
    /// Random bytes that identify this open database in the tables.
    pub id: [u8; 16],
    /// The greatest version that is known to be committed.
    pub version: AtomicU64,
}

impl Session {
    /// Connects to the server that accepts writes.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        self.connector.connect(Role::Primary).await
    }

    /// Notes that a version is committed.
    pub fn committed(&self, version: u64) {
        self.version.fetch_max(version, Ordering::AcqRel);
    }
}

/// The delays between attempts. They grow exponentially until the time for retries is over.
pub(crate) struct Backoff<'r> {
    random: &'r dyn Random,
    next: Duration,
    pub deadline: Instant,
}

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

impl<'r> Backoff<'r> {
    pub fn new(random: &'r dyn Random, retry_for: Duration) -> Self {
        Self { random, next: FIRST, deadline: Instant::now() + retry_for }
    }

    /// Waits before the next attempt. Returns false, without waiting, if the delay would exceed the time for retries.
    pub async fn wait(&mut self) -> bool {
        let mut byte = [0];
        self.random.fill(&mut byte);
        let delay = self.next.mul_f64(0.5 + f64::from(byte[0]) / 512.0);
        self.next = (2 * self.next).min(LONGEST);
        if Instant::now() + delay > self.deadline {
            return false;
        }
        tokio::time::sleep(delay).await;
        true
    }
}

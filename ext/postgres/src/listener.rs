//! Watches, and wake-ups of the queue, by the notifications of transactions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openkv_engine::{Error, Key, Result, WatchEvent};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_postgres::Statement;

use crate::connection::Connection;
use crate::error::{CallError, Failure};
use crate::notice::{Notice, hash};
use crate::session::{Backoff, Session};

/// How often the version of the last commit is read, in case a notification was lost.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long the server may take to respond to that.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time until entries are checked for expiry again.
const MAX_SLEEP: u64 = 60 * 60 * 1000;

/// How long to wait after a failure for which watches ended.
const PAUSE: Duration = Duration::from_secs(1);

/// The number of changes that a watch may be behind. Its reader reads the latest entries anyway.
const CAPACITY: usize = 64;

pub(crate) type Event = Result<WatchEvent>;

/// The watches of an open database.
pub(crate) struct Listener {
    session: Arc<Session>,
    watches: Mutex<Watches>,
    /// Notified when a watch is added.
    added: Notify,
    /// Notified when messages may have become ready.
    pub queue: Notify,
}

#[derive(Default)]
struct Watches {
    by_id: HashMap<u64, Watched>,
    last_id: u64,
}

struct Watched {
    keys: Vec<Vec<u8>>,
    hashes: Vec<u32>,
    /// The version that was known to be committed when the watch was added.
    version: u64,
    events: mpsc::Sender<Event>,
}

/// The next expiry of a watched entry.
struct Expiry {
    at: Instant,
    hash: u32,
}

impl Listener {
    pub fn new(session: Arc<Session>) -> Self {
        Self { session, watches: Mutex::default(), added: Notify::new(), queue: Notify::new() }
    }

    /// Adds a watch. Returns its events, the first of which stands for the initial state.
    pub fn watch(&self, keys: &[Key]) -> mpsc::Receiver<Event> {
        let (events, receiver) = mpsc::channel(CAPACITY);
        // Does not fail: the channel is empty.
        let _ = events.try_send(Ok(WatchEvent::Changed));
        let hashes = keys.iter().map(|key| hash(key.as_bytes())).collect();
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let mut watches = self.watches.lock();
        watches.last_id += 1;
        let id = watches.last_id;
        let version = self.session.version.load(Ordering::Acquire);
        watches.by_id.insert(id, Watched { keys, hashes, version, events });
        self.added.notify_one();
        receiver
    }

    /// Listens until the database is closed.
    pub async fn run(self: Arc<Self>, mut closed: watch::Receiver<()>) {
        tokio::select! {
            _ = closed.changed() => {}
            () = self.listen_forever() => {}
        }
        self.watches.lock().by_id.clear();
    }

    async fn listen_forever(&self) {
        let mut backoff = Backoff::new(&*self.session.random, self.session.retry_for);
        let mut was_listening = false;
        loop {
            let mut is_listening = false;
            let Err(failure) = self.listen(was_listening, &mut is_listening).await;
            was_listening |= is_listening;
            if is_listening {
                backoff = Backoff::new(&*self.session.random, self.session.retry_for);
            }
            if let Failure::Transient(error) = &failure {
                tracing::debug!(%error, "the connection for notifications was lost");
                if backoff.wait().await {
                    continue;
                }
            }
            self.fail(&failure.into_error());
            sleep(PAUSE).await;
            backoff = Backoff::new(&*self.session.random, self.session.retry_for);
        }
    }

    /// Listens until the connection is lost. `was_listening` is whether another connection was lost before.
    async fn listen(&self, was_listening: bool, is_listening: &mut bool) -> Result<std::convert::Infallible, Failure> {
        let mut connection = self.session.connect().await?;
        connection.client.batch_execute(&self.session.sql.listen).await?;
        let version = connection.prepare(&self.session.sql.version).await?;
        let expiry = connection.prepare(&self.session.sql.expiry).await?;
        let mut seen = read_version(&connection, &version).await?;
        // The version up to which watches are woken without notifications.
        let mut covered = seen;
        *is_listening = true;
        if was_listening || self.may_expire(&connection).await? {
            self.wake_all();
        } else {
            // Their first reads may have preceded commits without a notification.
            self.wake(|watched| watched.version < seen);
            self.queue.notify_one();
        }

        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What the last poll read.
        let mut polled = seen;
        let mut next = None;
        let mut is_stale = true;
        loop {
            if std::mem::take(&mut is_stale) {
                next = self.next_expiry(&connection, &expiry).await?;
            }
            let at = next.as_ref().map_or_else(Instant::now, |next: &Expiry| next.at);
            tokio::select! {
                biased;
                payload = connection.notifications.recv() => {
                    let Some(payload) = payload else {
                        return Err(Failure::Transient(CallError::Lost("the connection was closed".into()).into()));
                    };
                    let notice = Notice::decode(&payload);
                    seen = seen.max(notice.version);
                    if notice.queue {
                        self.queue.notify_one();
                    }
                    let is_covered = (1..=covered).contains(&notice.version);
                    is_stale = !is_covered && self.wake(|watched| notice.touches(&watched.hashes));
                }
                () = self.added.notified() => is_stale = true,
                () = sleep_until(at), if next.is_some() => {
                    let hash = next.take().map_or(0, |next| next.hash);
                    is_stale = self.wake(|watched| watched.hashes.contains(&hash));
                }
                _ = poll.tick() => {
                    // A commit is visible before its notification arrives. It is lost if it has not arrived by the next poll.
                    if polled > seen {
                        (seen, covered) = (polled, polled);
                        self.wake_all();
                        is_stale = true;
                    }
                    polled = read_version(&connection, &version).await?;
                }
            }
        }
    }

    /// Returns whether a watched entry expires, or has expired.
    async fn may_expire(&self, connection: &Connection) -> Result<bool, Failure> {
        let statement = connection.prepare(&self.session.sql.expires).await?;
        let row = connection.client.query_one(&statement, &[&self.keys()]).await?;
        Ok(row.get(0))
    }

    /// Returns the keys of all watches.
    fn keys(&self) -> Vec<Vec<u8>> {
        let mut watches = self.watches.lock();
        watches.by_id.retain(|_, watched| !watched.events.is_closed());
        watches.by_id.values().flat_map(|watched| watched.keys.clone()).collect()
    }

    /// Returns which watched entry expires next, by the clock of the server.
    async fn next_expiry(&self, connection: &Connection, statement: &Statement) -> Result<Option<Expiry>, Failure> {
        let keys = self.keys();
        if keys.is_empty() {
            return Ok(None);
        }
        let Some(row) = connection.client.query_opt(statement, &[&keys]).await? else { return Ok(None) };
        let (key, expires_at, now): (&[u8], i64, i64) = (row.get(0), row.get(1), row.get(2));
        let delay = u64::try_from(expires_at.saturating_sub(now)).unwrap_or_default().min(MAX_SLEEP);
        // The fraction of a millisecond that the time of the server lacks.
        Ok(Some(Expiry { at: Instant::now() + Duration::from_millis(delay + 1), hash: hash(key) }))
    }

    fn wake_all(&self) {
        self.wake(|_| true);
        self.queue.notify_one();
    }

    /// Sends an event to the watches that a change concerns. Returns whether there are any.
    fn wake(&self, concerns: impl Fn(&Watched) -> bool) -> bool {
        let watches = self.watches.lock();
        let concerned = watches.by_id.values().filter(|watched| concerns(watched));
        concerned.fold(false, |_, watched| {
            // If the channel is full, its reader has yet to read the latest entries.
            let _ = watched.events.try_send(Ok(WatchEvent::Changed));
            true
        })
    }

    /// Ends all watches with an error.
    fn fail(&self, error: &Error) {
        let watches: Vec<_> = self.watches.lock().by_id.drain().collect();
        for (_, watched) in watches {
            // If the channel is full, the watch ends without the error.
            let _ = watched.events.try_send(Err(error.clone()));
        }
    }
}

async fn read_version(connection: &Connection, statement: &Statement) -> Result<u64, Failure> {
    match timeout(POLL_TIMEOUT, connection.client.query_one(statement, &[])).await {
        Ok(row) => Ok(row?.get::<_, i64>(0).max(0) as u64),
        Err(_) => Err(Failure::Transient(CallError::TimedOut { seconds: POLL_TIMEOUT.as_secs() }.into())),
    }
}

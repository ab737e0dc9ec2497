use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Entry, Error, Key, Result, Turn, WatchEvent};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::EtcdError;
use crate::client::WatchStream;
use crate::client::proto::WatchCreateRequest;
use crate::core::Core;
use crate::error::Failure;
use crate::read::{Snapshot, snapshot};

/// Sends the entries of keys, and then those after each change.
pub(crate) struct Watcher {
    pub core: Arc<Core>,
    pub keys: Vec<Key>,
    pub events: mpsc::Sender<Result<WatchEvent>>,
    pub turn: Turn,
}

/// The delay before a lost stream is opened again.
const RETRY: Duration = Duration::from_millis(100);

/// The longest wait for an expiry, after which the clock is read again: it may have been set.
const MAX_WAIT: Duration = Duration::from_secs(1);

enum End {
    /// The receiver was dropped.
    Dropped,
    Failed(Error),
}

impl Watcher {
    /// Runs until the receiver is dropped, or a read fails.
    pub async fn run(self) {
        let Self { core, keys, events, mut turn } = self;
        turn.wait().await;
        let first = read(&core, &keys, 0).await;
        drop(turn);
        let events = &events;
        let watching = async {
            let mut current = first?;
            send(events, &current.entries).await?;
            loop {
                let opened = open(&core, &keys, current.revision).await;
                let stream = opened.map_err(|failure| End::Failed(failure.of_read()))?;
                follow(&core, &keys, stream, &mut current, events).await?;
                sleep(RETRY).await;
                // Also after a compaction: what is lost are states, not the latest one.
                let latest = read(&core, &keys, 0).await?;
                let is_changed = latest.entries != current.entries;
                current = latest;
                if is_changed {
                    send(events, &current.entries).await?;
                }
            }
        };
        let result: Result<(), End> = tokio::select! {
            result = watching => result,
            () = events.closed() => Ok(()),
        };
        if let Err(End::Failed(error)) = result {
            let _ = events.send(Err(error)).await;
        }
    }
}

async fn send(events: &mpsc::Sender<Result<WatchEvent>>, entries: &[Option<Entry>]) -> Result<(), End> {
    events.send(Ok(WatchEvent::Entries(entries.to_vec()))).await.map_err(|_| End::Dropped)
}

async fn read(core: &Core, keys: &[Key], revision: i64) -> Result<Snapshot, End> {
    let read = match snapshot(core, keys, revision).await {
        // The node that has the revision was lost, or the revision was compacted.
        Err(Failure { error: EtcdError::Rejected(_) | EtcdError::Compacted, .. }) if revision != 0 => {
            snapshot(core, keys, 0).await
        }
        read => read,
    };
    read.map_err(|failure| End::Failed(failure.of_read()))?.map_err(End::Failed)
}

async fn open(core: &Core, keys: &[Key], revision: i64) -> Result<WatchStream, Failure> {
    let create = |key: &Key| WatchCreateRequest {
        key: core.keys.entry(key.as_bytes()),
        range_end: Vec::new(),
        start_revision: revision + 1,
        fragment: true,
    };
    core.client.watch(keys.iter().map(create).collect()).await
}

/// Sends entries after each change until the stream ends. A change of several keys is read as a whole, at its revision. Changes are
/// received also while the receiver has not taken the last entries, and merged.
async fn follow(
    core: &Core,
    keys: &[Key],
    mut stream: WatchStream,
    current: &mut Snapshot,
    events: &mpsc::Sender<Result<WatchEvent>>,
) -> Result<(), End> {
    // The revision of the last change that was not sent: 0 for an expiry.
    let mut pending = None;
    loop {
        let now = core.now();
        let until = current.expires.filter(|_| pending.is_none());
        let until = until.map(|time| Duration::from_millis(time.saturating_sub(now)).min(MAX_WAIT));
        let response = tokio::select! {
            biased;
            response = stream.next() => response,
            permit = events.reserve(), if pending.is_some() => {
                let permit = permit.map_err(|_| End::Dropped)?;
                *current = read(core, keys, pending.take().unwrap_or(0)).await?;
                permit.send(Ok(WatchEvent::Entries(current.entries.clone())));
                continue;
            }
            () = sleep(until.unwrap_or(Duration::MAX)), if until.is_some() => {
                if current.expires.is_some_and(|time| time <= core.now()) {
                    pending = Some(0);
                }
                continue;
            }
        };
        let Some(response) = response else { return Ok(()) };
        if response.canceled {
            tracing::debug!(reason = response.cancel_reason, response.compact_revision, "a watch was cancelled");
            return Ok(());
        }
        let revisions = response.events.iter().filter_map(|event| Some(event.kv.as_ref()?.mod_revision));
        pending = revisions.max().filter(|revision| *revision > current.revision).max(pending);
    }
}

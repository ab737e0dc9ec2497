use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Entry, Error, Key, Turn, WatchEvent};
use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::call::{Call, Failure};
use super::error::CallError;
use super::frames::Frames;
use super::session::Session;
use crate::wire::watch::{Watched, encode};
use crate::wire::{datapath, paths};

/// A change of the watched keys, or the error that ends the watch.
pub(crate) type Event = Result<WatchEvent, Error>;

/// How long a server may take to send the initial state. Writes to the keys wait for it.
const INITIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// A watch of keys, which reconnects when its connection is lost.
pub(crate) struct Watcher {
    session: Arc<Session>,
    call: Call,
    keys: usize,
    events: mpsc::Sender<Event>,
    /// The turn of the watch, held until the initial state arrives.
    turn: Option<Turn>,
    /// The latest entries.
    last: Option<Vec<Option<Entry>>>,
    /// Whether the latest entries have yet to be sent. Several changes until then are sent as one.
    is_pending: bool,
}

impl Watcher {
    pub fn new(session: Arc<Session>, keys: &[Key], events: mpsc::Sender<Event>, turn: Turn) -> Self {
        let call = Call::new(paths::WATCH, &encode(keys));
        Self { session, call, keys: keys.len(), events, turn: Some(turn), last: None, is_pending: false }
    }

    /// Watches until the receiver is dropped or an error occurs.
    pub async fn run(mut self) {
        if let Some(turn) = &mut self.turn {
            turn.wait().await;
        }
        let events = self.events.clone();
        let error = tokio::select! {
            () = events.closed() => return,
            error = self.watch() => error,
        };
        // Entries that arrived before the error are sent before it.
        if self.is_pending
            && let Some(entries) = self.last.take()
        {
            let _ = events.send(Ok(WatchEvent::Entries(entries))).await;
        }
        let _ = events.send(Err(error)).await;
    }

    async fn watch(&mut self) -> Error {
        let session = self.session.clone();
        let options = &session.options;
        let mut backoff = Backoff::new(&*options.random, options.retry_for);
        loop {
            let mut was_reached = false;
            let failure = self.follow(&mut was_reached).await;
            // Writes do not wait for a watch that fails to start.
            self.turn = None;
            let (error, retry_after) = match failure {
                Failure::Final(error) | Failure::Rejected(error) => return error,
                Failure::Transient { error, retry_after, .. } => (error, retry_after),
            };
            if was_reached {
                backoff = Backoff::new(&*options.random, options.retry_for);
            }
            tracing::debug!(%error, "the connection of a watch was lost");
            if !self.wait(&mut backoff, retry_after).await {
                return error;
            }
        }
    }

    /// Waits until it is time to reconnect, and sends pending entries meanwhile.
    async fn wait(&mut self, backoff: &mut Backoff<'_>, at_least: Option<Duration>) -> bool {
        let wait = backoff.wait(at_least);
        tokio::pin!(wait);
        loop {
            tokio::select! {
            may_retry = &mut wait => return may_retry,
                            () = self.send_pending() => {}
                        }
        }
    }

    /// Watches over one connection, until it fails.
    async fn follow(&mut self, was_reached: &mut bool) -> Failure {
        let opened = Frames::open(&self.session, &self.call).await;
        let mut frames = match opened {
            Ok(frames) => frames,
            Err(failure) => return failure,
        };
        let mut watched = Watched::new(self.keys);
        let mut initial_timeout = pin!(tokio::time::sleep(INITIAL_TIMEOUT));
        loop {
            let output: datapath::WatchOutput = tokio::select! {
                () = &mut initial_timeout, if !*was_reached => {
                    return self.session.timed_out(&self.call, INITIAL_TIMEOUT);
                }
                output = frames.next() => match output {
                    Ok(output) => output,
                    Err(failure) => return failure,
                },
                () = self.send_pending() => continue,
            };
            match watched.apply(output) {
                Ok(Some(entries)) => self.update(entries),
                Ok(None) => {
                    let error = CallError::ReadsDisabled.into();
                    return Failure::Transient { was_sent: true, retry_after: None, error };
                }
                Err(malformed) => return frames.malformed(malformed),
            }
            *was_reached = true;
        }
    }

    /// Stores new entries. The first ones of a connection may be unchanged.
    fn update(&mut self, entries: &[Option<Entry>]) {
        let version = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.versionstamp);
        let is_same = |last: &Vec<Option<Entry>>| last.iter().map(version).eq(entries.iter().map(version));
        if !self.last.as_ref().is_some_and(is_same) {
            self.last = Some(entries.to_vec());
            self.is_pending = true;
        }
        self.turn = None;
    }

    /// Sends pending entries once the channel has capacity. Never returns if there are none.
    async fn send_pending(&mut self) {
        if self.is_pending
            && let Some(entries) = &self.last
        {
            // The watch ends when the receiver is dropped.
            if let Ok(permit) = self.events.reserve().await {
                permit.send(Ok(WatchEvent::Entries(entries.clone())));
                self.is_pending = false;
                return;
            }
        }
        std::future::pending().await
    }
}

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use futures_util::{StreamExt, stream};
use openkv_engine::{
    AtomicWrite, Backend, BoxFuture, BoxStream, Clock, Commit, Delivery, Error, Expiry, Key, Read, ReadEntry,
    ReadOptions, Result, SystemClock, WatchEvent,
};
use tokio::sync::{oneshot, watch};

use crate::Events;
use crate::server::{Reply, Request};

pub(crate) type ClientId = u64;

/// A connection to a server.
pub(crate) struct Client {
    id: ClientId,
    server: mpsc::Sender<Request>,
    closed: watch::Sender<bool>,
    /// What watches come with.
    events: Events,
}

impl Client {
    /// Connects to a server. The future completes when the server replies.
    pub fn connect(server: mpsc::Sender<Request>, events: Events) -> (Self, BoxFuture<()>) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed);
        let client = Self { id, server, closed: watch::Sender::new(false), events };
        let opened = client.call(|reply| Request::Open { reply });
        (client, opened)
    }

    fn call<T: Send + 'static>(&self, request: impl FnOnce(Reply<T>) -> Request) -> BoxFuture<T> {
        let (reply, result) = oneshot::channel();
        if !*self.closed.borrow() {
            let _ = self.server.send(request(reply));
        }
        // If the client is closed, `reply` is dropped unsent.
        Box::pin(async move { result.await.map_err(|_| Error::Closed)? })
    }
}

impl Backend for Client {
    fn read(&self, reads: &[Read<'_>], options: ReadOptions) -> BoxFuture<Vec<Vec<ReadEntry>>> {
        let ranges = reads.iter().map(Into::into).collect();
        self.call(|reply| Request::Read { ranges, max_bytes: options.max_bytes, reply })
    }

    fn write(&self, write: AtomicWrite) -> BoxFuture<Commit> {
        self.call(|reply| Request::Write { write, reply })
    }

    fn expiries(&self, keys: &[Key]) -> BoxFuture<Vec<Option<Expiry>>> {
        self.call(|reply| Request::Expiries { keys: keys.to_vec(), reply })
    }

    fn count(&self, _start: &[u8], _end: &[u8]) -> Option<BoxFuture<u64>> {
        None
    }

    fn delete_range(&self, _start: &[u8], _end: &[u8], _limit: u32) -> Option<BoxFuture<u64>> {
        None
    }

    fn watch(&self, keys: &[Key]) -> Result<BoxStream<WatchEvent>> {
        let mut closed = self.closed.subscribe();
        if *closed.borrow_and_update() {
            return Err(Error::Closed);
        }
        let (sender, events) = watch::channel(None);
        let _ = self.server.send(Request::Watch { client: self.id, keys: keys.to_vec(), events: sender });
        let next = |(mut events, mut closed): (watch::Receiver<Option<Result<WatchEvent>>>, watch::Receiver<bool>)| async move {
            tokio::select! {
                biased;
                _ = closed.changed() => return None,
                changed = events.changed() => changed.ok()?,
            }
            // After an error, the server has dropped the sender.
            let event = events.borrow_and_update().clone()?;
            Some((event, (events, closed)))
        };
        let events = stream::unfold((events, closed), next);
        match self.events {
            Events::Entries => Ok(Box::pin(events)),
            Events::Changed => Ok(Box::pin(stream::once(std::future::ready(Ok(WatchEvent::Changed))).chain(events))),
        }
    }

    fn dequeue(&self, limit: usize) -> BoxFuture<Vec<Delivery>> {
        let mut closed = self.closed.subscribe();
        if *closed.borrow_and_update() {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let link = self.server.clone();
        let claimed = self.call(|reply| Request::Dequeue { client: self.id, limit, link, reply });
        Box::pin(async move {
            tokio::select! {
                // Dropping claims requeues messages that were claimed while the client was closing.
                biased;
                _ = closed.changed() => Ok(Vec::new()),
                claimed = claimed => claimed,
            }
        })
    }

    fn now(&self) -> u64 {
        SystemClock.now()
    }

    fn close(&self) {
        if !self.closed.send_replace(true) {
            let _ = self.server.send(Request::Close(self.id));
        }
    }
}

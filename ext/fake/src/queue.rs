use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak, mpsc};

use openkv_engine::{AtomicWrite, BoxFuture, Claim, Delivery, Enqueue, Error, Key, Mutation, Value};
use tokio::sync::oneshot;

use crate::Fault;
use crate::client::ClientId;
use crate::server::{Reply, Request};

/// Identifies a message that a client has claimed.
pub(crate) type Token = u64;

/// The duration of a lease in milliseconds, after which the server checks which claims no longer exist.
const LEASE: u64 = 250;

/// A client that waits for messages.
pub(crate) struct Waiter {
    pub client: ClientId,
    /// How many messages it accepts.
    pub limit: usize,
    /// For the requests of its claims.
    pub link: mpsc::Sender<Request>,
    pub fault: Option<Fault>,
    pub reply: Reply<Vec<Delivery>>,
}

/// When a message is due, in milliseconds since the Unix epoch, and its position among messages with the same time.
type Position = (u64, u64);

struct Message {
    bytes: Vec<u8>,
    /// The delays before further attempts.
    schedule: VecDeque<u32>,
    keys_if_undelivered: Vec<Key>,
}

struct Running {
    message: Message,
    position: Position,
    is_started: bool,
    /// Held by the claim as long as it exists.
    holder: Weak<()>,
}

/// The queue of messages.
#[derive(Default)]
pub(crate) struct Queue {
    ready: BTreeMap<Position, Message>,
    running: HashMap<Token, Running>,
    waiting: VecDeque<Waiter>,
    last_position: u64,
    last_token: Token,
    /// When leases expire, in milliseconds since the Unix epoch.
    lease_ends: u64,
}

impl Queue {
    pub fn enqueue(&mut self, enqueue: Enqueue, now: u64) {
        self.last_position += 1;
        let schedule = enqueue.schedule().iter().copied().collect();
        let Enqueue { message: bytes, deliver_at, keys_if_undelivered, .. } = enqueue;
        self.ready
            .insert((deliver_at.millis(now), self.last_position), Message { bytes, schedule, keys_if_undelivered });
    }

    pub fn wait(&mut self, waiter: Waiter) {
        self.waiting.push_back(waiter);
    }

    /// Claims due messages, if any, for one of the waiting clients.
    pub fn claim(&mut self, now: u64) -> Option<(Waiter, Vec<Delivery>)> {
        self.waiting.retain(|waiter| !waiter.reply.is_closed());
        if self.ready.first_key_value().is_none_or(|((deliver_at, _), _)| *deliver_at > now) {
            return None;
        }
        let waiter = self.waiting.pop_front()?;
        let mut deliveries = Vec::new();
        while deliveries.len() < waiter.limit
            && let Some(first) = self.ready.first_entry()
            && first.key().0 <= now
        {
            let (position, message) = first.remove_entry();
            let bytes = message.bytes.clone();
            let holder = Arc::new(());
            self.last_token += 1;
            let running = Running { message, position, is_started: false, holder: Arc::downgrade(&holder) };
            self.running.insert(self.last_token, running);
            let claimed = Claimed { token: self.last_token, link: waiter.link.clone(), holder: Some(holder) };
            deliveries.push((bytes, claimed));
        }
        if waiter.fault == Some(Fault::Lose) {
            // The claims are lost: they are neither held nor released.
            deliveries.drain(..).for_each(|(_, mut claimed)| drop(claimed.holder.take()));
        }
        let deliveries = deliveries.into_iter().map(|(bytes, claimed)| Delivery::new(bytes, claimed));
        Some((waiter, deliveries.collect()))
    }

    /// Records that the handler of a message was called.
    pub fn start(&mut self, token: Token) {
        if let Some(running) = self.running.get_mut(&token) {
            running.is_started = true;
        }
    }

    /// Ends a delivery. Returns the write that stores a message that could not be delivered under its keys, if any.
    pub fn finish(&mut self, token: Token, success: bool, now: u64) -> Option<AtomicWrite> {
        let running = self.running.remove(&token)?;
        if success { None } else { self.requeue(running, now) }
    }

    /// Takes back a message whose claim was dropped. Returns the same as [`Queue::finish`].
    pub fn release(&mut self, token: Token, now: u64) -> Option<AtomicWrite> {
        let running = self.running.remove(&token)?;
        if running.is_started {
            return self.requeue(running, now);
        }
        self.ready.insert(running.position, running.message);
        None
    }

    /// Takes back the messages whose claims no longer exist, when their leases expire.
    pub fn expire_leases(&mut self, now: u64) -> Vec<AtomicWrite> {
        if now < self.lease_ends {
            return Vec::new();
        }
        self.lease_ends = now + LEASE;
        let dead = self.running.iter().filter(|(_, running)| running.holder.strong_count() == 0);
        let dead: Vec<_> = dead.map(|(token, _)| *token).collect();
        dead.into_iter().filter_map(|token| self.release(token, now)).collect()
    }

    fn requeue(&mut self, running: Running, now: u64) -> Option<AtomicWrite> {
        let Running { mut message, position, .. } = running;
        if let Some(delay) = message.schedule.pop_front() {
            self.ready.insert((now + u64::from(delay), position.1), message);
            return None;
        }
        let Message { bytes, keys_if_undelivered, .. } = message;
        let sets = keys_if_undelivered.into_iter().map(|key| Mutation::set(key, Value::V8(bytes.clone())));
        let mutations: Vec<_> = sets.collect();
        (!mutations.is_empty()).then(|| AtomicWrite { mutations, ..AtomicWrite::new() })
    }

    /// Removes the waiters of a client.
    pub fn close(&mut self, client: ClientId) {
        self.waiting.retain(|waiter| waiter.client != client);
    }

    /// Returns when the next message or lease is due, in milliseconds since the Unix epoch.
    pub fn next_due(&self) -> Option<u64> {
        let ready = self.ready.first_key_value().map(|((deliver_at, _), _)| *deliver_at);
        let ready = ready.filter(|_| !self.waiting.is_empty());
        let lease = (!self.running.is_empty()).then_some(self.lease_ends);
        ready.into_iter().chain(lease).min()
    }
}

/// A message that a client has claimed.
struct Claimed {
    token: Token,
    link: mpsc::Sender<Request>,
    /// `None` once the claim has ended.
    holder: Option<Arc<()>>,
}

impl Claim for Claimed {
    fn start(&self) {
        let _ = self.link.send(Request::Start(self.token));
    }

    fn finish(mut self: Box<Self>, success: bool) -> BoxFuture<()> {
        let (reply, result) = oneshot::channel();
        let request = Request::Finish { token: self.token, success, holder: self.holder.take(), reply };
        let _ = self.link.send(request);
        Box::pin(async move { result.await.map_err(|_| Error::Closed)? })
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if self.holder.is_some() {
            let _ = self.link.send(Request::Release(self.token));
        }
    }
}

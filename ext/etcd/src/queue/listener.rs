use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use openkv_engine::{Delivery, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::attempt::{ClaimUnit, Claimed};
use super::candidate::{Candidate, due};
use super::claim::InFlight;
use crate::EtcdError;
use crate::client::WatchStream;
use crate::client::proto::{self, EventType, RangeRequest, WatchCreateRequest};
use crate::core::Core;
use crate::deadline::Deadline;
use crate::error::Failure;
use crate::layout::{self, Part};
use crate::lease::Lease;
use crate::message::Message;
use crate::writer::Job;

/// A caller that waits for messages.
pub(crate) struct Waiter {
    /// How many messages it accepts.
    pub limit: usize,
    pub reply: oneshot::Sender<Result<Vec<Delivery>>>,
}

/// The time to live of claims, in seconds.
const LEASE: u32 = 5;

/// The number of due messages to read at a time.
const WINDOW: i64 = 512;

/// The maximum number of messages to claim in one transaction.
const MAX_CLAIMS: usize = 16;

/// For how long messages are used that were read before.
const WINDOW_AGE: Duration = Duration::from_secs(1);

/// For how long a message is left to the listener that it is assigned to, in milliseconds.
const RESERVED: u64 = 200;

/// The interval at which messages are read without a notification.
const POLL: Duration = Duration::from_secs(5);

/// The delay before a lost stream is opened again.
const RETRY: Duration = Duration::from_millis(100);

/// Due messages that were read together.
struct Page {
    /// Those that this listener may claim.
    candidates: Vec<Candidate>,
    /// When the next message is due, or no longer left to another listener, in milliseconds since the Unix epoch.
    next_due: Option<u64>,
    /// The first key of the next page, if there are more.
    next: Option<Vec<u8>>,
}

/// Claims due messages for those who wait, on behalf of a process.
pub(crate) struct Listener {
    core: Arc<Core>,
    jobs: mpsc::UnboundedSender<Job>,
    waiters: mpsc::UnboundedReceiver<Waiter>,
    waiting: VecDeque<Waiter>,
    lease: Option<Arc<Lease>>,
    /// The revision of the key under the lease.
    revision: i64,
    stream: Option<WatchStream>,
    window: VecDeque<Candidate>,
    read_at: Instant,
    /// When the next message is due, in milliseconds since the Unix epoch.
    next_due: Option<u64>,
    /// Whether there may be messages that were not read.
    is_outdated: bool,
    /// The number of the last claim.
    claims: u64,
    /// The deadline since a claim found that its lease had expired.
    lost: Option<Deadline>,
}

impl Listener {
    pub fn new(core: Arc<Core>, jobs: mpsc::UnboundedSender<Job>, waiters: mpsc::UnboundedReceiver<Waiter>) -> Self {
        Self {
            core,
            jobs,
            waiters,
            waiting: VecDeque::new(),
            lease: None,
            revision: 0,
            stream: None,
            window: VecDeque::new(),
            read_at: Instant::now(),
            next_due: None,
            is_outdated: true,
            claims: 0,
            lost: None,
        }
    }

    /// Runs until the database is closed.
    pub async fn run(mut self) {
        loop {
            self.waiting.retain(|waiter| !waiter.reply.is_closed());
            if self.waiting.is_empty() {
                match self.waiters.recv().await {
                    Some(waiter) => self.waiting.push_back(waiter),
                    None => return,
                }
                continue;
            }
            match self.serve().await {
                Ok(true) => {}
                Ok(false) => {
                    if !self.wait().await {
                        return;
                    }
                }
                Err(error) => {
                    if let Some(waiter) = self.waiting.pop_front() {
                        let _ = waiter.reply.send(Err(error));
                    }
                }
            }
        }
    }

    /// Claims messages for the first waiter. Returns whether to try again now.
    async fn serve(&mut self) -> Result<bool> {
        let lease = self.lease().await?;
        if self.read_at.elapsed() > WINDOW_AGE && !self.window.is_empty() {
            self.window.clear();
            self.is_outdated = true;
        }
        if self.window.is_empty() {
            if !self.is_outdated && self.next_due.is_none_or(|due| due > self.core.now()) {
                return Ok(false);
            }
            self.read(&lease).await?;
            if self.window.is_empty() {
                return Ok(self.is_outdated);
            }
        }
        let Some(waiter) = self.waiting.pop_front() else { return Ok(true) };
        let count = waiter.limit.min(self.window.len()).min(MAX_CLAIMS);
        let candidates: Vec<_> = self.window.drain(..count).collect();
        match self.claim(candidates, &lease).await {
            Ok(None) => {
                self.lease = None;
                let core = &self.core;
                let lost = *self.lost.get_or_insert_with(|| core.deadline());
                match lost.check(EtcdError::LeasesLost) {
                    Ok(()) => self.waiting.push_front(waiter),
                    Err(error) => {
                        self.lost = None;
                        let _ = waiter.reply.send(Err(error.into()));
                    }
                }
            }
            // Others have claimed them.
            Ok(Some(claimed)) if claimed.is_empty() => self.waiting.push_front(waiter),
            Ok(Some(claimed)) => {
                self.lost = None;
                let deliver = |claimed| InFlight::delivery(claimed, self.jobs.clone(), lease.clone());
                // Messages that are not received are released when they are dropped.
                let _ = waiter.reply.send(Ok(claimed.into_iter().map(deliver).collect()));
            }
            Err(error) => {
                self.is_outdated = true;
                let _ = waiter.reply.send(Err(error));
            }
        }
        Ok(true)
    }

    /// Claims messages. Returns those that were claimed, or `None` if the lease has expired.
    async fn claim(&mut self, candidates: Vec<Candidate>, lease: &Lease) -> Result<Option<Vec<Claimed>>> {
        self.claims += 1;
        let token = [lease.id.to_be_bytes(), self.claims.to_be_bytes()].concat();
        let (reply, claimed) = oneshot::channel();
        let unit = ClaimUnit {
            candidates,
            token,
            lease: lease.id,
            listener: self.revision,
            is_expired: false,
            claimed: Vec::new(),
            reply,
            base: self.core.base(),
        };
        let _ = self.jobs.send(Job::Unit(Box::new(unit)));
        claimed.await.map_err(|_| EtcdError::Stopped)?
    }

    /// Reads due messages that this listener may claim, and when the next one is due.
    async fn read(&mut self, lease: &Lease) -> Result<()> {
        if self.stream.is_none() {
            // Opened before the messages are read, so that none is missed.
            self.stream = Some(open(&self.core).await.map_err(Failure::of_read)?);
        }
        self.is_outdated = false;
        self.read_at = Instant::now();
        self.next_due = None;
        let (mut start, _) = self.core.keys.part(Part::Messages);
        loop {
            let page = self.read_page(start, lease).await?;
            self.next_due = self.next_due.into_iter().chain(page.next_due).min();
            self.window.extend(page.candidates);
            match page.next {
                // All messages of the page are in flight, or left to other listeners.
                Some(next) if self.window.is_empty() => start = next,
                next => {
                    self.is_outdated = next.is_some();
                    return Ok(());
                }
            }
        }
    }

    /// Reads due messages from a key on.
    async fn read_page(&self, start: Vec<u8>, lease: &Lease) -> Result<Page> {
        let core = &self.core;
        let now = core.now();
        let (_, end) = core.keys.part(Part::Messages);
        let later = core.keys.key(Part::Messages, &now.saturating_add(1).to_be_bytes());
        let keys = |part| {
            let (start, end) = core.keys.part(part);
            RangeRequest { keys_only: true, ..proto::range(start, end) }
        };
        let ranges = vec![
            RangeRequest { limit: WINDOW, ..proto::range(start, later.clone()) },
            RangeRequest { limit: 1, keys_only: true, ..proto::range(later, end) },
            keys(Part::Claims),
            keys(Part::Started),
            keys(Part::Listeners),
        ];
        let (_, found) = core.client.read_txn(ranges).await.map_err(Failure::of_read)?;
        let [due_now, next, claims, started, listeners] = &found[..] else {
            return Err(EtcdError::Malformed("ranges are missing").into());
        };
        let claims: BTreeSet<_> = claims.kvs.iter().map(|kv| core.keys.rest(&kv.key)).collect();
        let started: BTreeMap<_, _> = started.kvs.iter().map(|kv| (core.keys.rest(&kv.key), kv.mod_revision)).collect();
        let listeners: Vec<_> = listeners.kvs.iter().map(|kv| core.keys.rest(&kv.key)).collect();
        let own = listeners.iter().position(|listener| *listener == lease.id.to_be_bytes());
        let mut next_due = next.kvs.first().map(|kv| due(core.keys.rest(&kv.key)));
        let mut candidates = Vec::new();
        for kv in &due_now.kvs {
            let message = Arc::new(Message::from_encoded(&kv.value));
            let position = core.keys.rest(&kv.key);
            let Some(mut candidate) = Candidate::new(position, kv.mod_revision, message) else { continue };
            if claims.contains(candidate.id()) {
                continue;
            }
            candidate.started = started.get(candidate.id()).copied().unwrap_or_default();
            let is_assigned = own.is_none_or(|own| assigned(candidate.id(), listeners.len()) == own);
            let reserved_until = candidate.due().saturating_add(RESERVED);
            if is_assigned || reserved_until <= now {
                candidates.push(candidate);
            } else {
                next_due = next_due.into_iter().chain([reserved_until]).min();
            }
        }
        let last = due_now.kvs.last().filter(|_| due_now.more);
        let next = last.map(|kv| [&kv.key[..], &[0]].concat());
        Ok(Page { candidates, next_due, next })
    }

    /// Waits until there may be messages. Returns false once the database is closed.
    async fn wait(&mut self) -> bool {
        let now = self.core.now();
        let until = self.next_due.map_or(POLL, |due| Duration::from_millis(due.saturating_sub(now)).min(POLL));
        let events = async {
            match &mut self.stream {
                None => sleep(RETRY).await,
                Some(stream) => loop {
                    match stream.next().await {
                        Some(response) if response.canceled => break,
                        Some(response) if !wakes(&self.core, &response.events) => {}
                        Some(_) => return true,
                        None => break,
                    }
                },
            }
            false
        };
        tokio::select! {
            waiter = self.waiters.recv() => match waiter {
                None => return false,
                Some(waiter) => self.waiting.push_back(waiter),
            },
            is_open = events => {
                if !is_open {
                    self.stream = None;
                }
                self.is_outdated = true;
            }
            () = sleep(until) => self.is_outdated = true,
        }
        true
    }

    async fn lease(&mut self) -> Result<Arc<Lease>> {
        if let Some(lease) = self.lease.as_ref().filter(|lease| !lease.is_expired()) {
            return Ok(lease.clone());
        }
        let core = &self.core;
        let key = |id: i64| core.keys.key(Part::Listeners, &id.to_be_bytes());
        let created = Lease::with_key(core, LEASE, key, Vec::new()).await;
        let (lease, revision) = created.map_err(Failure::of_read)?;
        let lease = Arc::new(lease);
        self.revision = revision;
        self.lease = Some(lease.clone());
        self.window.clear();
        self.is_outdated = true;
        Ok(lease)
    }
}

/// Watches the messages, claims and listeners.
async fn open(core: &Core) -> Result<WatchStream, Failure> {
    let current = core.client.range(proto::range(core.keys.description(), Vec::new())).await?;
    let create = |part| {
        let (key, range_end) = core.keys.part(part);
        WatchCreateRequest { key, range_end, start_revision: current.revision() + 1, fragment: true }
    };
    core.client.watch([Part::Messages, Part::Claims, Part::Listeners].map(create).to_vec()).await
}

/// Returns whether events may have made a message available: all but claims, and the ends of messages.
fn wakes(core: &Core, events: &[proto::Event]) -> bool {
    let (messages, _) = core.keys.part(Part::Messages);
    let (claims, _) = core.keys.part(Part::Claims);
    events.iter().any(|event| {
        let key = event.kv.as_ref().map(|kv| &kv.key[..]).unwrap_or_default();
        let is_put = event.r#type() == EventType::Put;
        if key.starts_with(&messages) { is_put } else { !(key.starts_with(&claims) && is_put) }
    })
}

/// Returns which of a number of listeners a message is assigned to.
fn assigned(id: &[u8], listeners: usize) -> usize {
    (layout::hash(id) as usize) % listeners.max(1)
}

//! The task that claims the messages of the queue for the listeners of an open database, and finishes them.
//!
//! A claimed message has the id of the session and the end of a lease, which is renewed until the message is finished. A message
//! whose lease has ended was claimed by a process that died: another takes it over, and requeues it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openkv_engine::{BoxFuture, Claim, Delivery, Error, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::error::Failure;
use crate::listener::Listener;
use crate::notice::Notice;
use crate::session::{Backoff, Session};
use crate::transaction::Writer;

/// A request to the task.
pub(crate) enum Request {
    Dequeue { limit: usize, reply: Reply<Vec<Delivery>> },
    Start(i64),
    Finish { id: i64, success: bool, reply: Reply<()> },
    Release { id: i64, is_started: bool },
}

type Reply<T> = oneshot::Sender<Result<T>>;

/// How often leases are renewed, and the messages of dead processes are looked for. A lease is five times as long.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// The number of messages in flight from which more are claimed only at intervals: see the queue of SQLite.
const MANY_IN_FLIGHT: usize = 1000;
const CLAIM_INTERVAL: Duration = Duration::from_millis(5);

/// How long to wait after a failure that listeners were told.
const PAUSE: Duration = Duration::from_secs(1);

struct Waiter {
    capacity: usize,
    reply: Reply<Vec<Delivery>>,
}

/// What is to be stored.
#[derive(Default)]
struct Changes {
    started: Vec<i64>,
    done: Vec<i64>,
    failed: Vec<i64>,
    released: Vec<i64>,
    replies: Vec<Reply<()>>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.started.is_empty() && self.done.is_empty() && self.failed.is_empty() && self.released.is_empty()
    }

    /// Returns the messages that are no longer in flight once this is stored.
    fn finished(&self) -> impl Iterator<Item = i64> {
        self.done.iter().chain(&self.failed).chain(&self.released).copied()
    }
}

/// The state of the queue in this process.
pub(crate) struct Task {
    session: Arc<Session>,
    listener: Arc<Listener>,
    requests: mpsc::UnboundedReceiver<Request>,
    /// For the requests of claims. The channel is closed once the database and all claims are.
    sender: mpsc::WeakUnboundedSender<Request>,
    writer: Option<Writer>,
    waiting: VecDeque<Waiter>,
    /// The messages in flight.
    running: Vec<i64>,
    changes: Changes,
    claim_at: Instant,
    renew_at: Instant,
}

/// A message that was claimed.
struct Message {
    id: i64,
    due: i64,
    bytes: Vec<u8>,
}

impl Task {
    /// Returns the task, and the sender of its requests.
    pub fn new(session: Arc<Session>, listener: Arc<Listener>) -> (Self, mpsc::UnboundedSender<Request>) {
        let (sender, requests) = mpsc::unbounded_channel();
        let task = Self {
            session,
            listener,
            requests,
            sender: sender.downgrade(),
            writer: None,
            waiting: VecDeque::new(),
            running: Vec::new(),
            changes: Changes::default(),
            claim_at: Instant::now(),
            renew_at: Instant::now(),
        };
        (task, sender)
    }

    /// Handles requests until the channel closes.
    pub async fn run(mut self) {
        let session = self.session.clone();
        let mut backoff = Backoff::new(&*session.random, session.retry_for);
        let mut is_open = true;
        loop {
            while is_open && let Some(request) = self.next_request(&mut is_open) {
                self.accept(request);
            }
            self.waiting.retain(|waiter| !waiter.reply.is_closed());
            if !is_open && self.changes.is_empty() {
                return;
            }
            if !self.is_due() {
                self.wait(&mut is_open).await;
                continue;
            }
            match self.step().await {
                Ok(()) => backoff = Backoff::new(&*session.random, session.retry_for),
                Err(failure) => {
                    self.writer = None;
                    if let Failure::Transient(error) = &failure {
                        tracing::debug!(%error, "the queue is tried again");
                        if backoff.wait().await {
                            continue;
                        }
                    }
                    self.fail(&failure.into_error());
                    backoff = Backoff::new(&*session.random, session.retry_for);
                }
            }
        }
    }

    fn next_request(&mut self, is_open: &mut bool) -> Option<Request> {
        match self.requests.try_recv() {
            Ok(request) => Some(request),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => {
                *is_open = false;
                None
            }
        }
    }

    fn accept(&mut self, request: Request) {
        match request {
            Request::Dequeue { limit, reply } => {
                if self.waiting.is_empty() && self.running.len() < MANY_IN_FLIGHT {
                    self.claim_at = self.claim_at.min(Instant::now());
                }
                self.waiting.push_back(Waiter { capacity: limit, reply });
            }
            Request::Start(id) => self.changes.started.push(id),
            Request::Finish { id, success: true, reply } => {
                self.changes.done.push(id);
                self.changes.replies.push(reply);
            }
            Request::Finish { id, success: false, reply } => {
                self.changes.failed.push(id);
                self.changes.replies.push(reply);
            }
            Request::Release { id, is_started: true } => self.changes.failed.push(id),
            Request::Release { id, is_started: false } => self.changes.released.push(id),
        }
    }

    fn claims(&self) -> bool {
        !self.waiting.is_empty() && self.claim_at <= Instant::now()
    }

    fn renews(&self) -> bool {
        !(self.waiting.is_empty() && self.running.is_empty()) && self.renew_at <= Instant::now()
    }

    fn is_due(&self) -> bool {
        !self.changes.is_empty() || self.claims() || self.renews()
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, is_open: &mut bool) {
        let is_idle = self.waiting.is_empty() && self.running.is_empty();
        let at = if self.waiting.is_empty() { self.renew_at } else { self.renew_at.min(self.claim_at) };
        tokio::select! {
            request = self.requests.recv(), if *is_open => match request {
                Some(request) => self.accept(request),
                None => *is_open = false,
            },
            () = self.listener.queue.notified() => self.claim_at = Instant::now(),
            () = sleep_until(at), if !is_idle => {}
        }
    }

    /// Stores changes, renews leases and claims messages, in one transaction.
    async fn step(&mut self) -> Result<(), Failure> {
        if self.writer.as_ref().is_none_or(Writer::is_lost) {
            let connection = self.session.connect().await?;
            let writer = Writer::new(self.session.clone(), connection).await?;
            // A transaction whose reply was lost may have claimed messages that no listener has received.
            let abandoned = writer.connection().prepare(&self.session.sql.abandoned).await?;
            writer.connection().client.execute(&abandoned, &[&&self.session.id[..], &self.running]).await?;
            self.writer = Some(writer);
        }
        let Some(writer) = &self.writer else { return Ok(()) };
        let (claims, renews) = (self.claims(), self.renews());
        let client = &writer.connection().client;
        client.batch_execute("begin isolation level read committed").await?;
        let transaction = Transaction { writer, me: &self.session.id[..], session: &self.session };
        let mut notice = Notice::default();
        transaction.store(&self.changes, renews.then_some(&self.running[..]), &mut notice).await?;
        let mut claimed = Vec::new();
        let mut claim_after = None;
        if claims {
            let capacity: usize = self.waiting.iter().map(|waiter| waiter.capacity).fold(0, usize::saturating_add);
            claimed = transaction.claim(capacity, &self.changes.failed).await?;
            if claimed.len() < capacity {
                claim_after = Some(transaction.next_due().await?);
            }
        }
        if notice != Notice::default() {
            writer.notify(&notice).await?;
        }
        client.batch_execute("commit").await?;
        writer.connection().check_replicated().map_err(Failure::Transient)?;

        let changes = std::mem::take(&mut self.changes);
        let finished: Vec<_> = changes.finished().collect();
        self.running.retain(|id| !finished.contains(id));
        changes.replies.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
        if renews {
            self.renew_at = Instant::now() + RENEW_INTERVAL;
        }
        if claims {
            let least = if self.running.len() >= MANY_IN_FLIGHT { CLAIM_INTERVAL } else { Duration::ZERO };
            self.claim_at = Instant::now() + claim_after.unwrap_or_default().max(least);
            self.dispatch(claimed);
        }
        Ok(())
    }

    /// Distributes messages evenly among the listeners.
    fn dispatch(&mut self, mut claimed: Vec<Message>) {
        claimed.sort_unstable_by_key(|message| (message.due, message.id));
        self.running.extend(claimed.iter().map(|message| message.id));
        let Some(sender) = self.sender.upgrade() else {
            self.changes.released.extend(claimed.iter().map(|message| message.id));
            return;
        };
        let mut waiting: Vec<_> = self.waiting.drain(..).map(|waiter| (waiter, Vec::new())).collect();
        let mut i = 0;
        for Message { id, bytes, .. } in claimed {
            // Terminates: there are no more messages than the total capacity.
            while waiting[i].1.len() == waiting[i].0.capacity {
                i = (i + 1) % waiting.len();
            }
            let claim =
                Claimed { id, requests: sender.clone(), is_started: AtomicBool::new(false), is_finished: false };
            waiting[i].1.push(Delivery::new(bytes, claim));
            i = (i + 1) % waiting.len();
        }
        for (waiter, deliveries) in waiting {
            if deliveries.is_empty() {
                self.waiting.push_back(waiter);
            } else {
                // Deliveries that are not received are released when they are dropped.
                let _ = waiter.reply.send(Ok(deliveries));
            }
        }
    }

    /// Sends an error to all listeners, and to those who finish messages: these are redelivered.
    fn fail(&mut self, error: &Error) {
        let changes = std::mem::take(&mut self.changes);
        let finished: Vec<_> = changes.finished().collect();
        self.running.retain(|id| !finished.contains(id));
        changes.replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
        self.waiting.drain(..).for_each(|waiter| drop(waiter.reply.send(Err(error.clone()))));
        self.claim_at = Instant::now() + PAUSE;
        self.renew_at = self.claim_at;
    }
}

/// A transaction of the queue.
struct Transaction<'t> {
    writer: &'t Writer,
    me: &'t [u8],
    session: &'t Session,
}

impl Transaction<'_> {
    async fn execute(&self, statement: &str, ids: &[i64]) -> Result<(), Failure> {
        if !ids.is_empty() {
            let connection = self.writer.connection();
            let statement = connection.prepare(statement).await?;
            connection.client.execute(&statement, &[&self.me, &ids]).await?;
        }
        Ok(())
    }

    /// Stores changes. With the messages in flight, also renews their leases, and requeues the messages of dead processes.
    async fn store(&self, changes: &Changes, running: Option<&[i64]>, notice: &mut Notice) -> Result<(), Failure> {
        let sql = &self.session.sql;
        self.execute(&sql.started, &changes.started).await?;
        self.execute(&sql.done, &changes.done).await?;
        let mut failed = changes.failed.clone();
        let mut released = changes.released.clone();
        if let Some(running) = running {
            self.execute(&sql.renew, running).await?;
            let connection = self.writer.connection();
            let take_over = connection.prepare(&sql.take_over).await?;
            for row in connection.client.query(&take_over, &[&self.me]).await? {
                let id = row.get(0);
                if row.get(1) { failed.push(id) } else { released.push(id) }
            }
        }
        notice.queue = !(failed.is_empty() && released.is_empty());
        self.execute(&sql.unclaim, &released).await?;
        if !failed.is_empty() {
            self.give_up(&failed, notice).await?;
            self.execute(&sql.retry, &failed).await?;
        }
        Ok(())
    }

    /// Removes the failed messages that have no attempts left, and stores them under their keys.
    async fn give_up(&self, failed: &[i64], notice: &mut Notice) -> Result<(), Failure> {
        let connection = self.writer.connection();
        let give_up = connection.prepare(&self.session.sql.give_up).await?;
        let mut undelivered = Vec::new();
        for row in connection.client.query(&give_up, &[&self.me, &failed]).await? {
            tracing::warn!(id = row.get::<_, i64>(0), "gave up on a message: its last delivery failed");
            let (message, keys): (Vec<u8>, Vec<Vec<u8>>) = (row.get(1), row.get(2));
            undelivered.extend(keys.into_iter().map(|key| (key, message.clone())));
        }
        if !undelivered.is_empty() {
            let Notice { version, keys, .. } = self.writer.put_undelivered(&undelivered).await?;
            (notice.version, notice.keys) = (version, keys);
        }
        Ok(())
    }

    /// Claims ready messages, except those that this transaction requeues.
    async fn claim(&self, capacity: usize, except: &[i64]) -> Result<Vec<Message>, Failure> {
        let connection = self.writer.connection();
        let claim = connection.prepare(&self.session.sql.claim).await?;
        let capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
        let rows = connection.client.query(&claim, &[&self.me, &capacity, &except]).await?;
        Ok(rows.iter().map(|row| Message { id: row.get(0), due: row.get(1), bytes: row.get(2) }).collect())
    }

    /// Returns how long it is until the next message is ready, but no longer than until the next renewal.
    async fn next_due(&self) -> Result<Duration, Failure> {
        let connection = self.writer.connection();
        let next_due = connection.prepare(&self.session.sql.next_due).await?;
        let row = connection.client.query_one(&next_due, &[]).await?;
        let (due, now): (Option<i64>, i64) = (row.get(0), row.get(1));
        let delay = due.map_or(u64::MAX, |due| due.saturating_sub(now).max(0) as u64);
        Ok(Duration::from_millis(delay).min(RENEW_INTERVAL))
    }
}

/// The claim of a message.
struct Claimed {
    id: i64,
    requests: mpsc::UnboundedSender<Request>,
    is_started: AtomicBool,
    is_finished: bool,
}

impl Claim for Claimed {
    fn start(&self) {
        if !self.is_started.swap(true, Ordering::Relaxed) {
            // Fails if the runtime was stopped.
            let _ = self.requests.send(Request::Start(self.id));
        }
    }

    fn finish(mut self: Box<Self>, success: bool) -> BoxFuture<()> {
        self.is_finished = true;
        let (reply, result) = oneshot::channel();
        let _ = self.requests.send(Request::Finish { id: self.id, success, reply });
        Box::pin(async move { result.await.map_err(|_| Error::Closed)? })
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.is_finished {
            let is_started = *self.is_started.get_mut();
            let _ = self.requests.send(Request::Release { id: self.id, is_started });
        }
    }
}

//! The message queue. Used by the writer's thread.
//!
//! A message that is claimed for a listener moves from the table `queue` to `queue_running`, with a deadline that is renewed
//! until it is finished. A message whose deadline is no longer renewed was claimed by a process that died, and is requeued
//! according to its schedule.
//!
//! An attempt counts once the handler was called. Until then, the schedule in the row has an additional first delay of 0: any
//! process that requeues the message, Deno included, consumes only that. The true schedule is stored after the handler was
//! called, by the writer's thread: the handler does not wait for this commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::mpsc;

use crate::clock::Moment;
use crate::sqlite::message;
use crate::sqlite::write::apply::{self, json, set_undelivered};
use crate::sqlite::write::jobs::{Claim, Job, ReplySender, Token};
use crate::sqlite::write::transaction::Transaction;
use crate::{Error, Result};

/// When the next message is ready. In SQLite, numbers sort before text: a time that is text is corrupt, see [`REPAIR`].
const NEXT_READY: &str = "select min(ts), exists (select 1 from queue where ts >= '') from queue where ts < ''";
const REPAIR: &str = "update or ignore queue set ts = ?1 where ts >= ''";
const READY: &str = "select rowid, ts, id, data, backoff_schedule, keys_if_undelivered from queue
    where ts <= ?1 order by ts, id limit ?2";
const REMOVE_READY: &str = "delete from queue where rowid = ?1";
const ADD_RUNNING: &str = "insert or ignore into queue_running (deadline, id, data, backoff_schedule, keys_if_undelivered) values (?1, ?2, ?3, ?4, ?5)";
const RUNNING: &str = "select rowid, deadline from queue_running";
const RENEW: &str = "update or ignore queue_running set deadline = ?1 where rowid = ?2 and id = ?3";
const COUNT_ATTEMPT: &str = "update queue_running set backoff_schedule = ?1 where rowid = ?2 and id = ?3";
const GET_RUNNING: &str = "select id, data, backoff_schedule, keys_if_undelivered from queue_running where rowid = ?1";
const REMOVE_RUNNING: &str = "delete from queue_running where rowid = ?1";
const REMOVE_FINISHED: &str = "delete from queue_running where rowid = ?1 and id = ?2";

/// How long after the last renewal a claim counts as dead, in milliseconds.
const LEASE: u64 = 5000;

/// How often to renew the deadlines of claimed messages and to check for dead claims, in milliseconds.
const RENEW_INTERVAL: u64 = 1000;

/// How long a deadline that has passed must remain unchanged before its claim counts as dead, in milliseconds. The clock may have
/// stepped past it, or a lock may have kept its owner from renewing it.
const GRACE: u64 = 2000;

/// How long to back off after a failure, in milliseconds.
const BACK_OFF: u64 = 1000;

/// The number of messages in flight from which more are claimed only every [`CLAIM_INTERVAL`] milliseconds. Handlers may wait for
/// messages that are not delivered yet, so their number has no limit; but slow handlers must not cause a queue of millions to be
/// loaded into memory.
const MANY_IN_FLIGHT: usize = 1000;
const CLAIM_INTERVAL: u64 = 5;

/// A message of this process in the table `queue_running`.
pub(crate) struct Running {
    rowid: i64,
    id: String,
    /// When it was due, in milliseconds since the Unix epoch.
    ready_at: i64,
    /// The delays before further attempts.
    schedule: Vec<u64>,
    attempt: Attempt,
    /// Whether the listener has received it. It has not if it was dropped while waiting.
    received: Arc<AtomicBool>,
}

/// The state of an attempt to handle a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// The handler was not called yet.
    Claimed,
    /// The handler was called, but the attempt is not stored yet.
    Called,
    /// The attempt is stored.
    Counted,
}

/// A listener that waits for messages.
struct Waiter {
    /// How many messages it accepts.
    capacity: usize,
    reply: ReplySender<Vec<Claim>>,
}

/// The deadline of a message of another process, and the monotonic time since which it is unchanged.
#[derive(Clone, Copy)]
struct Observed {
    deadline: i64,
    since: u64,
}

/// The queue's state in this process.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiter>,
    running: HashMap<Token, Running>,
    last_token: Token,
    /// When the next message is ready, in milliseconds since the Unix epoch, as of the last query.
    next_ready: Option<u64>,
    /// Whether `next_ready` must be queried again.
    stale: bool,
    /// The messages of other processes, by their rows.
    observed: HashMap<i64, Observed>,
    /// The monotonic time at which to renew deadlines and check for dead claims.
    renew_at: u64,
    /// The monotonic time at which to store the attempts of handlers that were called, if any.
    count_at: Option<u64>,
    /// The monotonic time of the last claim.
    claimed_at: u64,
    /// The monotonic time before which no messages are claimed, after a failure.
    claim_not_before: u64,
}

impl Queue {
    /// Returns whether a listener waits for messages.
    pub fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns whether messages are claimed or being handled.
    pub fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Adds a listener.
    pub fn wait(&mut self, capacity: usize, reply: ReplySender<Vec<Claim>>) {
        self.stale |= self.next_ready.is_none();
        self.waiting.push_back(Waiter { capacity, reply });
    }

    /// Drops the listeners that no longer wait.
    pub fn prune_cancelled(&mut self) {
        self.waiting.retain(|waiter| !waiter.reply.is_closed());
    }

    /// Marks `next_ready` as stale: the table may have changed.
    pub fn changed(&mut self) {
        self.stale = true;
    }

    /// Returns how long until deadlines are to be renewed and dead claims checked for, in milliseconds.
    pub fn renewal_due(&self, now: Moment) -> Option<u64> {
        (self.is_awaited() || self.is_running()).then(|| now.until(self.renew_at))
    }

    /// Returns how long until attempts are to be stored, in milliseconds.
    pub fn count_due(&self, now: Moment) -> Option<u64> {
        self.count_at.map(|at| now.until(at))
    }

    /// Returns how long until messages may be delivered, in milliseconds.
    pub fn delivery_due(&self, now: Moment) -> Option<u64> {
        if !self.is_awaited() {
            return None;
        }
        let ready = if self.stale { 0 } else { now.until_wall(self.next_ready?) };
        let is_slowed = self.running.len() >= MANY_IN_FLIGHT;
        let claim_at = if is_slowed { self.claimed_at + CLAIM_INTERVAL } else { 0 };
        Some(ready.max(now.until(claim_at.max(self.claim_not_before))))
    }

    /// Queries when the next message is ready.
    pub fn refresh_next_ready(&mut self, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare_cached(NEXT_READY)?;
        self.next_ready = statement.query_row([], |row| {
            let is_corrupt: bool = row.get(1)?;
            Ok(if is_corrupt { Some(0) } else { integer(row, 0)?.map(|time| time.max(0) as u64) })
        })?;
        self.stale = false;
        Ok(())
    }

    /// Claims messages for all listeners, in a transaction. Dispatch them after its commit.
    pub fn claim(&self, transaction: &Transaction<'_>) -> Result<Vec<(Running, Vec<u8>)>> {
        let connection = transaction.connection();
        let capacity: usize = self.waiting.iter().map(|waiter| waiter.capacity).sum();
        connection.prepare_cached(REPAIR)?.execute([transaction.now as i64])?;
        let mut ready = connection.prepare_cached(READY)?;
        let mut rows = ready.query((transaction.now as i64, capacity as i64))?;
        let mut add = connection.prepare_cached(ADD_RUNNING)?;
        let mut claimed = Vec::new();
        let mut old = Vec::new();
        while let Some(row) = rows.next()? {
            old.push(row.get::<_, i64>(0)?);
            let ready_at = integer(row, 1)?.unwrap_or_default();
            let mut id = id(transaction, row, 2)?;
            let (data, schedule) = (message::bytes(row, 3)?, message::schedule(message::text(row, 4)?));
            let unchanged = json([&[0], &schedule[..]].concat())?;
            // Duplicate ids exist only in a corrupt file.
            while add.execute((deadline(transaction), &id, &data, &unchanged, message::text(row, 5)?))? == 0 {
                id = apply::new_message_id(transaction);
            }
            let rowid = connection.last_insert_rowid();
            let received = Arc::default();
            claimed.push((Running { rowid, id, ready_at, schedule, attempt: Attempt::Claimed, received }, data));
        }
        drop(rows);
        let mut remove = connection.prepare_cached(REMOVE_READY)?;
        old.into_iter().try_for_each(|rowid| remove.execute([rowid]).map(drop))?;
        Ok(claimed)
    }

    /// Distributes claimed messages evenly among the listeners. Messages for cancelled listeners come back as jobs.
    pub fn dispatch(&mut self, claimed: Vec<(Running, Vec<u8>)>, jobs: &mpsc::UnboundedSender<Job>, now: Moment) {
        self.claimed_at = now.monotonic;
        let mut shares: Vec<Vec<Claim>> = self.waiting.iter().map(|_| Vec::new()).collect();
        let mut i = 0;
        for (running, message) in claimed {
            self.last_token += 1;
            let (token, received) = (self.last_token, running.received.clone());
            self.running.insert(token, running);
            let claim = Claim::new(message, token, received, jobs.clone());
            // Terminates: `claim` claims no more than the total capacity.
            while shares[i].len() == self.waiting[i].capacity {
                i = (i + 1) % shares.len();
            }
            shares[i].push(claim);
            i = (i + 1) % shares.len();
        }
        for (waiter, share) in std::mem::take(&mut self.waiting).into_iter().zip(shares) {
            if share.is_empty() {
                self.waiting.push_back(waiter);
            } else {
                let _ = waiter.reply.send(Ok(share));
            }
        }
    }

    /// Records that the handler of a message was called.
    pub fn start(&mut self, token: Token) {
        if let Some(running) = self.running.get_mut(&token) {
            running.attempt = Attempt::Called;
            self.count_at.get_or_insert(0);
        }
    }

    /// Stores the attempts of the handlers that were called, in a transaction. Returns the tokens of their messages.
    pub fn count_attempts(&self, transaction: &Transaction<'_>) -> Result<Vec<Token>> {
        let mut count = transaction.connection().prepare_cached(COUNT_ATTEMPT)?;
        let mut counted = Vec::new();
        for (token, running) in self.running.iter().filter(|(_, running)| running.attempt == Attempt::Called) {
            count.execute((json(&running.schedule)?, running.rowid, &running.id))?;
            counted.push(*token);
        }
        Ok(counted)
    }

    /// Returns whether there are attempts that are not stored yet.
    pub fn has_uncounted(&self) -> bool {
        self.running.values().any(|running| running.attempt == Attempt::Called)
    }

    /// Marks attempts as stored, after the commit.
    pub fn counted(&mut self, counted: Vec<Token>) {
        for token in counted {
            if let Some(running) = self.running.get_mut(&token) {
                running.attempt = Attempt::Counted;
            }
        }
        self.count_at = None;
    }

    /// Backs off before the next try to store attempts, after a failure.
    pub fn back_off_counting(&mut self, now: Moment) {
        self.count_at = Some(now.monotonic + BACK_OFF);
    }

    /// Returns the row ids of the dead messages of other processes.
    pub fn observe(&mut self, connection: &Connection, now: Moment) -> Result<Vec<i64>> {
        self.renew_at = now.monotonic + RENEW_INTERVAL;
        let own: HashSet<i64> = self.running.values().map(|running| running.rowid).collect();
        let mut observed = HashMap::new();
        let mut dead = Vec::new();
        let mut statement = connection.prepare_cached(RUNNING)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (rowid, deadline) = (row.get(0)?, integer(row, 1)?.unwrap_or_default());
            if own.contains(&rowid) {
                continue;
            }
            let before = self.observed.get(&rowid).filter(|before| before.deadline == deadline);
            let now_observed = before.copied().unwrap_or(Observed { deadline, since: now.monotonic });
            let unchanged = now.monotonic.saturating_sub(now_observed.since);
            let has_passed = deadline <= now.wall as i64;
            // A deadline that stays in the future for longer than a lease was set before the clock stepped back.
            if unchanged >= LEASE + RENEW_INTERVAL || has_passed && unchanged >= GRACE {
                dead.push(rowid);
            }
            observed.insert(rowid, now_observed);
        }
        self.observed = observed;
        Ok(dead)
    }

    /// Renews the deadlines of the messages of this process, and requeues the dead ones of others, in a transaction.
    pub fn renew(&self, transaction: &Transaction<'_>, dead: &[i64]) -> Result<()> {
        let mut renew = transaction.connection().prepare_cached(RENEW)?;
        for running in self.running.values() {
            renew.execute((deadline(transaction), running.rowid, &running.id))?;
        }
        dead.iter().try_for_each(|rowid| requeue_dead(transaction, *rowid))
    }

    /// Backs off before the next claim, and sends the error to all listeners.
    pub fn fail(&mut self, error: &Error, now: Moment) {
        self.claim_not_before = now.monotonic + BACK_OFF;
        self.stale = true;
        for waiter in self.waiting.drain(..) {
            let _ = waiter.reply.send(Err(error.clone()));
        }
    }

    /// Removes a message that was handled, or requeues it according to its schedule, in a transaction.
    pub fn finish(&self, transaction: &Transaction<'_>, token: Token, success: bool) -> Result<()> {
        match self.running.get(&token) {
            None => Ok(()),
            Some(Running { rowid, id, .. }) if success => {
                transaction.connection().prepare_cached(REMOVE_FINISHED)?.execute((rowid, id))?;
                Ok(())
            }
            Some(running) => requeue(transaction, running),
        }
    }

    /// Puts a message back unchanged, or requeues it if its handler was called, in a transaction.
    pub fn release(&self, transaction: &Transaction<'_>, token: Token) -> Result<()> {
        match self.running.get(&token) {
            None => Ok(()),
            Some(running) if running.attempt == Attempt::Claimed => unclaim(transaction, running),
            Some(running) => requeue(transaction, running),
        }
    }

    /// Forgets a message that was finished or released, even if that could not be stored: its deadline is no longer renewed.
    pub fn forget(&mut self, token: Token) {
        self.running.remove(&token);
    }

    /// Returns the messages to release when a file is closed: those that no listener has received, or `all` when the process
    /// exits.
    pub fn abandoned(&self, all: bool) -> Vec<Token> {
        let abandoned = self.running.iter().filter(|(_, running)| all || !running.received.load(Ordering::Acquire));
        abandoned.map(|(token, _)| *token).collect()
    }

    /// Sends an empty list to all listeners.
    pub fn close(&mut self) {
        for waiter in self.waiting.drain(..) {
            let _ = waiter.reply.send(Ok(Vec::new()));
        }
    }
}

/// Returns the deadline of a claim that is made or renewed now.
fn deadline(transaction: &Transaction<'_>) -> i64 {
    (transaction.now + LEASE) as i64
}

/// Puts a message back unchanged.
fn unclaim(transaction: &Transaction<'_>, running: &Running) -> Result<()> {
    move_back(transaction, running.rowid, Some(&running.id), |_| Some((running.ready_at, running.schedule.clone())))
}

/// Puts a message back for the next attempt of its schedule, or stores it under its keys.
fn requeue(transaction: &Transaction<'_>, running: &Running) -> Result<()> {
    move_back(transaction, running.rowid, Some(&running.id), |_| next_attempt(transaction, running.schedule.clone()))
}

/// Puts back a message that another process has claimed, by its row.
fn requeue_dead(transaction: &Transaction<'_>, rowid: i64) -> Result<()> {
    move_back(transaction, rowid, None, |schedule| next_attempt(transaction, schedule))
}

fn next_attempt(transaction: &Transaction<'_>, mut schedule: Vec<u64>) -> Option<(i64, Vec<u64>)> {
    if schedule.is_empty() {
        return None;
    }
    let wait = schedule.remove(0);
    Some((i64::try_from(transaction.now.saturating_add(wait)).unwrap_or(i64::MAX), schedule))
}

/// Moves a message from `queue_running` back to `queue`. `next` returns its time and schedule, from the stored schedule; if `None`,
/// the message is stored under its `keys_if_undelivered` instead. Does nothing if the row is gone or has another `id`: another
/// process considered the claim dead.
fn move_back(
    transaction: &Transaction<'_>,
    rowid: i64,
    expected: Option<&str>,
    next: impl FnOnce(Vec<u64>) -> Option<(i64, Vec<u64>)>,
) -> Result<()> {
    let connection = transaction.connection();
    let mut running = connection.prepare_cached(GET_RUNNING)?;
    let columns = running.query_row([rowid], |row| {
        let stored = row.get_ref(0)?.as_str().map(ToOwned::to_owned).ok();
        let schedule = message::schedule(message::text(row, 2)?);
        Ok((stored, id(transaction, row, 0), message::bytes(row, 1)?, schedule, message::text(row, 3)?.to_owned()))
    });
    let Some((stored, id, data, schedule, keys)) = columns.optional()? else {
        return Ok(());
    };
    if expected.is_some_and(|expected| stored.as_deref() != Some(expected)) {
        return Ok(());
    }
    match next(schedule) {
        Some((time, schedule)) => {
            let schedule = json(schedule)?;
            apply::requeue(transaction, time, id?, &data, &schedule, &keys)?;
        }
        None => {
            tracing::warn!(id = ?id.as_ref().ok(), "gave up on a message: its last delivery failed");
            set_undelivered(transaction, message::keys(&keys), &data)?;
        }
    }
    connection.prepare_cached(REMOVE_RUNNING)?.execute([rowid])?;
    Ok(())
}

/// Returns the id of a message. An id that is not text, which only a corrupt file has, is replaced: the message can still be
/// delivered.
fn id(transaction: &Transaction<'_>, row: &Row<'_>, column: usize) -> Result<String> {
    match row.get_ref(column)?.as_str() {
        Ok(id) => Ok(id.to_owned()),
        Err(_) => Ok(apply::new_message_id(transaction)),
    }
}

/// Returns a time, or `None` if it is null or corrupt.
fn integer(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(integer) => Some(integer),
        ValueRef::Real(real) => Some(real as i64),
        _ => None,
    })
}

//! The queue of messages, as the writer's thread runs it. A message that is taken for delivery moves from the table
//! `queue` to `queue_running`, with a deadline that is put off while its handler runs. One whose deadline has passed was
//! taken by a process that died, and is delivered again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::oneshot;

use super::apply::{ENQUEUE, json, set_undelivered};
use super::transaction::Transaction;
use crate::{Error, Result};

const NEXT_READY: &str = "select min(ts) from queue";
const READY: &str =
    "select ts, id, data, backoff_schedule, keys_if_undelivered from queue where ts <= ?1 order by ts, id limit ?2";
const REMOVE_READY: &str = "delete from queue where ts = ?1 and id = ?2";
const ADD_RUNNING: &str =
    "insert into queue_running (deadline, id, data, backoff_schedule, keys_if_undelivered) values (?1, ?2, ?3, ?4, ?5)";
const RENEW: &str = "update queue_running set deadline = ?1 where id = ?2";
const RUNNING: &str = "select data, backoff_schedule, keys_if_undelivered from queue_running where id = ?1";
const REMOVE_RUNNING: &str = "delete from queue_running where id = ?1";
const DEAD: &str = "select id from queue_running where deadline <= ?1 order by deadline";

/// How long after the last renewal a message counts as dead, in milliseconds.
const DEADLINE: u64 = 5000;

/// How often to renew the deadlines of messages in delivery, and to look for dead ones, in milliseconds.
const TEND_INTERVAL: u64 = 1000;

/// A message that was taken for delivery.
pub(super) struct Taken {
    pub id: String,
    pub message: Vec<u8>,
    /// To be kept until the message is finished.
    pub alive: Arc<()>,
}

/// A listener that waits for messages.
struct Waiter {
    /// How many messages it has room for.
    room: usize,
    answer: oneshot::Sender<Result<Vec<Taken>>>,
}

/// The queue's state in this process.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiter>,
    /// The messages in delivery. One that is no longer alive was dropped without being finished.
    running: HashMap<String, Weak<()>>,
    /// When the next message can be delivered, as far as is known.
    next_ready: Option<u64>,
    /// Whether `next_ready` is to be looked up again.
    stale: bool,
    /// When to renew deadlines and look for dead messages.
    tend_at: u64,
}

impl Queue {
    /// Whether anyone waits for messages.
    pub fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Adds a waiter.
    pub fn wait(&mut self, room: usize, answer: oneshot::Sender<Result<Vec<Taken>>>) {
        self.stale |= self.next_ready.is_none();
        self.waiting.push_back(Waiter { room, answer });
    }

    /// Drops the waiters that no longer wait.
    pub fn forget_who_left(&mut self) {
        self.waiting.retain(|waiter| !waiter.answer.is_closed());
    }

    /// Notes that the table may have changed.
    pub fn changed(&mut self) {
        self.stale = true;
    }

    /// When to renew deadlines and look for dead messages, in milliseconds since the Unix epoch.
    pub fn tend_due(&self) -> Option<u64> {
        (self.is_awaited() || !self.running.is_empty()).then_some(self.tend_at)
    }

    /// When messages can be delivered, as far as is known, in milliseconds since the Unix epoch.
    pub fn delivery_due(&self) -> Option<u64> {
        match (self.is_awaited(), self.stale) {
            (false, _) => None,
            (true, true) => Some(0),
            (true, false) => self.next_ready,
        }
    }

    /// Renews the deadlines of the messages in delivery, and puts dead ones back.
    pub fn tend(&mut self, transaction: &Transaction<'_>) -> Result<()> {
        let now = transaction.now;
        self.tend_at = now + TEND_INTERVAL;
        self.running.retain(|_, alive| alive.strong_count() > 0);
        let mut renew = transaction.connection().prepare_cached(RENEW)?;
        for id in self.running.keys() {
            renew.execute(((now + DEADLINE) as i64, id))?;
        }
        let mut dead = transaction.connection().prepare_cached(DEAD)?;
        let dead: Vec<String> = dead.query_map([now as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for id in dead {
            self.retry(transaction, &id)?;
        }
        Ok(())
    }

    /// Rests after a failure.
    pub fn rest(&mut self, now: u64) {
        self.tend_at = now + TEND_INTERVAL;
    }

    /// Looks up when the next message can be delivered, before a transaction is begun for it.
    pub fn look(&mut self, connection: &Connection) -> Result<()> {
        let next: Option<i64> = connection.prepare_cached(NEXT_READY)?.query_row([], |row| row.get(0))?;
        self.next_ready = next.map(|time| time.max(0) as u64);
        self.stale = false;
        Ok(())
    }

    /// Takes messages for all that wait, in a transaction. They are to be handed out once it is committed.
    pub fn take(&mut self, transaction: &Transaction<'_>) -> Result<Vec<Taken>> {
        let connection = transaction.connection();
        let room: usize = self.waiting.iter().map(|waiter| waiter.room).sum();
        let mut ready = connection.prepare_cached(READY)?;
        let mut rows = ready.query((transaction.now as i64, room as i64))?;
        let mut remove = connection.prepare_cached(REMOVE_READY)?;
        let mut add = connection.prepare_cached(ADD_RUNNING)?;
        let mut taken = Vec::new();
        let mut times = Vec::new();
        while let Some(row) = rows.next()? {
            times.push(row.get::<_, i64>(0)?);
            let id: String = row.get(1)?;
            let message = bytes(row, 2)?;
            add.execute(((transaction.now + DEADLINE) as i64, &id, &message, text(row, 3)?, text(row, 4)?))?;
            taken.push(Taken { id, message, alive: Arc::new(()) });
        }
        for (time, message) in times.iter().zip(&taken) {
            remove.execute((time, &message.id))?;
        }
        self.look(connection)?;
        Ok(taken)
    }

    /// Hands messages out evenly to those that wait. Answers those that nobody wanted any more.
    pub fn hand_out(&mut self, taken: Vec<Taken>) -> Vec<Taken> {
        for message in &taken {
            self.running.insert(message.id.clone(), Arc::downgrade(&message.alive));
        }
        let mut shares: Vec<Vec<Taken>> = self.waiting.iter().map(|_| Vec::new()).collect();
        let mut i = 0;
        for message in taken {
            // There is room for all of them, so the search ends.
            while shares[i].len() == self.waiting[i].room {
                i = (i + 1) % shares.len();
            }
            shares[i].push(message);
            i = (i + 1) % shares.len();
        }
        let mut unwanted = Vec::new();
        for (waiter, share) in std::mem::take(&mut self.waiting).into_iter().zip(shares) {
            if share.is_empty() {
                self.waiting.push_back(waiter);
            } else if let Err(Ok(share)) = waiter.answer.send(Ok(share)) {
                unwanted.extend(share);
            }
        }
        unwanted
    }

    /// Puts messages back that nobody wanted, in a transaction.
    pub fn put_back(&mut self, transaction: &Transaction<'_>, messages: &[Taken]) -> Result<()> {
        for message in messages {
            self.running.remove(&message.id);
            requeue(transaction, &message.id, |_| Some((transaction.now, None)))?;
        }
        self.stale = true;
        Ok(())
    }

    /// Answers an error to all that wait.
    pub fn fail(&mut self, error: &Error) {
        for waiter in self.waiting.drain(..) {
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }

    /// Finishes a message, in a transaction.
    pub fn finish(&mut self, transaction: &Transaction<'_>, id: &str, success: bool) -> Result<()> {
        if success {
            self.running.remove(id);
            transaction.connection().prepare_cached(REMOVE_RUNNING)?.execute([id])?;
            Ok(())
        } else {
            self.retry(transaction, id)
        }
    }

    /// Puts a message that was not handled back for the next delivery of its schedule, or gives it to its keys.
    fn retry(&mut self, transaction: &Transaction<'_>, id: &str) -> Result<()> {
        self.running.remove(id);
        self.stale = true;
        requeue(transaction, id, |schedule| {
            let (wait, rest) = schedule.split_first()?;
            Some((transaction.now.saturating_add(*wait), Some(rest.to_vec())))
        })
    }
}

/// Moves a message from `queue_running` back to `queue`, at a time and with a schedule, or with its old one. With none, it
/// is given to the keys that it names for this.
fn requeue(
    transaction: &Transaction<'_>,
    id: &str,
    next: impl FnOnce(&[u64]) -> Option<(u64, Option<Vec<u64>>)>,
) -> Result<()> {
    let connection = transaction.connection();
    let mut running = connection.prepare_cached(RUNNING)?;
    let columns =
        running.query_row([id], |row| Ok((bytes(row, 0)?, text(row, 1)?.to_owned(), text(row, 2)?.to_owned())));
    let Some((message, schedule, keys)) = columns.optional()? else {
        return Ok(());
    };
    // The reference writes null for no schedule. What is no JSON at all is damage, and not worth losing a message.
    let waits: Option<Vec<u64>> = serde_json::from_str(&schedule).unwrap_or_default();
    match next(&waits.unwrap_or_default()) {
        Some((time, rest)) => {
            let schedule = rest.map_or(Ok(schedule), json)?;
            let time = i64::try_from(time).unwrap_or(i64::MAX);
            connection.prepare_cached(ENQUEUE)?.execute((time, id, message, schedule, keys))?;
        }
        None => set_undelivered(transaction, serde_json::from_str(&keys).unwrap_or_default(), &message)?,
    }
    connection.prepare_cached(REMOVE_RUNNING)?.execute([id])?;
    Ok(())
}

/// The bytes of a message. Where the column holds none, the message is none, and its handler finds that out: others must not
/// wait behind it.
fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(column)?.as_bytes().unwrap_or_default().to_vec())
}

/// A column of JSON, or an empty list where it is damaged. The reference declares one of them a blob, and stores a text.
fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str().unwrap_or("[]"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Database;
    use crate::sqlite::{Location, Options, Sqlite};

    #[tokio::test]
    async fn a_damaged_message_does_not_keep_others_from_being_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.sqlite3");
        let database =
            Sqlite::open(Location::File { path: path.clone(), follow_links: true }, Options::default()).unwrap();
        let file = rusqlite::Connection::open(&path).unwrap();
        let columns = "(deadline, id, data, backoff_schedule, keys_if_undelivered)";
        let damaged = "values (0, 'a', x'ff', x'00', x'00'), (0, 'b', 'text', '[]', '[]')";
        file.execute_batch(&format!("insert into queue_running {columns} {damaged}, (0, 'c', x'01', '[0]', '[]')"))
            .unwrap();

        let taken = tokio::time::timeout(Duration::from_secs(60), database.dequeue()).await;
        let messages: Vec<_> = taken.unwrap().unwrap().iter().map(|delivery| delivery.message.clone()).collect();
        assert_eq!(messages, [[1]]);
    }
}

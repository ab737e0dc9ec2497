//! The model of a database: a map, a queue and a version.

use std::collections::BTreeMap;

use openkv_engine::{Commit, Operand, Value, Versionstamp};

use super::history::{Change, Message, Part, Parts, Selection, Stamp, Write, key, number};

/// The default backoff schedule, in milliseconds.
const DEFAULT_BACKOFF: [u32; 5] = [100, 1000, 5000, 30_000, 60_000];

/// An entry, as returned by reads.
pub type Row = (Parts, Value, Versionstamp);

#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// In milliseconds since the Unix epoch.
    pub now: u64,
    entries: BTreeMap<Parts, Entry>,
    /// The messages to deliver, by their time and number.
    queue: BTreeMap<(u64, u64), Queued>,
    /// The messages in flight, by their number.
    claimed: BTreeMap<u64, Queued>,
    /// The versionstamp of the last commit.
    last: Option<Versionstamp>,
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    versionstamp: Versionstamp,
    expire_at: Option<u64>,
}

#[derive(Clone, Debug)]
struct Queued {
    backoff: Vec<u32>,
    undelivered: Vec<Parts>,
}

impl Reference {
    /// Creates an empty database at a time.
    pub fn new(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    /// Returns the versionstamp of a check.
    pub fn stamp(&self, key: &Parts, stamp: &Stamp) -> Option<Versionstamp> {
        match stamp {
            Stamp::Current => self.live(key).map(|entry| entry.versionstamp),
            Stamp::Absent => None,
            Stamp::Before(commits) => Some(Versionstamp::from_version(self.version().saturating_sub(*commits))),
        }
    }

    /// Returns the versionstamp of the last commit.
    pub fn last(&self) -> Option<Versionstamp> {
        self.last
    }

    /// Returns the versionstamp of the next commit, if versions are consecutive.
    pub fn next(&self) -> Versionstamp {
        Versionstamp::from_version(self.version() + 1)
    }

    fn version(&self) -> u64 {
        self.last.map_or(0, |last| last.as_bytes()[..8].iter().fold(0, |version, byte| version << 8 | u64::from(*byte)))
    }

    /// Commits a write, with the versionstamps of its checks, the numbers of its messages, and the versionstamp of the commit. The
    /// error is its message.
    pub fn write(
        &mut self,
        write: &Write,
        stamps: &[Option<Versionstamp>],
        messages: &[u64],
        versionstamp: Versionstamp,
    ) -> Result<Commit, String> {
        let holds =
            |i: &usize| self.stamp(&write.checks[*i].0, &Stamp::Current).is_some_and(|now| stamps[*i] == Some(now));
        let absent = |i: &usize| stamps[*i].is_none() && self.live(&write.checks[*i].0).is_none();
        let failed: Vec<usize> = (0..stamps.len()).filter(|i| !holds(i) && !absent(i)).collect();
        if !failed.is_empty() {
            return Ok(Commit::Conflict { failed });
        }
        let mut after = self.clone();
        after.last = Some(versionstamp);
        for (key, change) in &write.mutations {
            after.change(key, change, versionstamp)?;
        }
        for (Message { delay, backoff, undelivered }, id) in write.messages.iter().zip(messages) {
            let backoff = backoff.clone().unwrap_or(DEFAULT_BACKOFF.to_vec());
            after.queue.insert((self.now + delay, *id), Queued { backoff, undelivered: undelivered.clone() });
        }
        *self = after;
        Ok(Commit::Done(versionstamp))
    }

    fn change(&mut self, key: &Parts, change: &Change, versionstamp: Versionstamp) -> Result<(), String> {
        match change {
            Change::Set { value, expire_in, versionstamped } => {
                let expire_at = expire_in.map(|time| self.now.saturating_add_signed(time));
                let mut key = key.clone();
                if *versionstamped {
                    key.push(Part::Text(versionstamp.to_string().into()));
                }
                self.entries.insert(key, Entry { value: value.clone(), versionstamp, expire_at });
            }
            Change::Delete => drop(self.entries.remove(key)),
            Change::Combine { operand, value } => {
                let stored = self.live(key);
                let combined = combine(*operand, stored.map(|entry| &entry.value), value)?;
                let expire_at = stored.and_then(|entry| entry.expire_at);
                self.entries.insert(key.clone(), Entry { value: combined, versionstamp, expire_at });
            }
        }
        Ok(())
    }

    /// Deletes the first entries of a range, up to a limit. Returns their number.
    pub fn delete_range(&mut self, selection: &Selection, limit: usize) -> u64 {
        let rows = self.list(selection);
        let deleted = rows.iter().take(limit).filter_map(|(key, ..)| self.entries.remove(key)).count();
        if deleted > 0 {
            self.last = Some(self.next());
        }
        deleted as u64
    }

    /// Returns the entry of a key.
    pub fn get(&self, key: &Parts) -> Option<Row> {
        self.live(key).map(|entry| (key.clone(), entry.value.clone(), entry.versionstamp))
    }

    /// Returns the entries of a range.
    pub fn list(&self, selection: &Selection) -> Vec<Row> {
        self.entries.keys().filter(|key| selection.selects(key)).filter_map(|key| self.get(key)).collect()
    }

    fn live(&self, key: &Parts) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expire_at.is_none_or(|time| time > self.now))
    }

    /// Returns whether the queue contains messages.
    pub fn has_messages(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Returns whether a message is ready.
    pub fn is_ready(&self) -> bool {
        self.queue.first_key_value().is_some_and(|((time, _), _)| *time <= self.now)
    }

    /// Claims the ready messages, up to a limit. Returns their numbers.
    pub fn claim(&mut self, limit: usize) -> Vec<u64> {
        let ready: Vec<_> = self.queue.range(..=(self.now, u64::MAX)).take(limit).map(|(key, _)| *key).collect();
        for key in &ready {
            let message = self.queue.remove(key).expect("the message is in the queue");
            self.claimed.insert(key.1, message);
        }
        ready.into_iter().map(|(_, id)| id).collect()
    }

    /// Returns a key under which a message in flight is stored when it is finished, if it is given up then.
    pub fn undelivered_key(&self, id: u64, success: bool) -> Option<&Parts> {
        let message = self.claimed.get(&id).filter(|message| !success && message.backoff.is_empty())?;
        message.undelivered.first()
    }

    /// Finishes a message in flight. If it is given up, it is stored by a commit with this versionstamp.
    pub fn finish(&mut self, id: u64, success: bool, versionstamp: Versionstamp) {
        let mut message = self.claimed.remove(&id).expect("the message is in flight");
        if success {
            return;
        }
        if !message.backoff.is_empty() {
            let wait = message.backoff.remove(0);
            self.queue.insert((self.now + u64::from(wait), id), message);
        } else if !message.undelivered.is_empty() {
            self.last = Some(versionstamp);
            for key in message.undelivered {
                let entry = Entry { value: number(id as f64), versionstamp, expire_at: None };
                self.entries.insert(key, entry);
            }
        }
    }
}

/// Combines a stored value with an operand.
fn combine(operand: Operand, stored: Option<&Value>, value: &Value) -> Result<Value, String> {
    let name = operand.name();
    match (stored, value) {
        (None, Value::U64(_)) => Ok(value.clone()),
        (Some(Value::U64(stored)), Value::U64(value)) => Ok(Value::U64(match operand {
            Operand::Sum => stored.wrapping_add(*value),
            Operand::Min => *stored.min(value),
            Operand::Max => *stored.max(value),
        })),
        (Some(_), Value::U64(_)) => {
            Err(format!("Failed to perform '{name}' mutation on a non-U64 value in the database"))
        }
        _ if operand != Operand::Sum => Err(format!("Failed to perform '{name}' mutation on a non-U64 operand")),
        _ => {
            let operand = as_number(value).ok_or("Some of the parameters are not valid V8 values")?;
            match stored {
                None => Ok(number(operand)),
                Some(Value::U64(_)) => Err("Cannot sum KvU64 with Number".into()),
                Some(stored) => Ok(number(as_number(stored).ok_or("unsupported value type")? + operand)),
            }
        }
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::V8(bytes) if bytes.get(2) == Some(&b'N') => Some(f64::from_le_bytes(bytes[3..].try_into().ok()?)),
        _ => None,
    }
}

impl Selection {
    /// Returns the error of an invalid selector.
    pub fn error(&self) -> Option<&'static str> {
        let outside = |bound: &Option<Parts>| match (bound, &self.prefix) {
            // In encoded form, as in Deno: the encoding of "a\0" starts with that of "a".
            (Some(bound), Some(prefix)) => {
                bound == prefix || !key(bound).as_bytes().starts_with(key(prefix).as_bytes())
            }
            _ => false,
        };
        match (&self.start, &self.end) {
            (start, _) if outside(start) => Some("Start key is not in the keyspace defined by prefix"),
            (_, end) if outside(end) => Some("End key is not in the keyspace defined by prefix"),
            (Some(start), Some(end)) if start > end => Some("Start key is greater than end key"),
            (None, _) if self.prefix.is_none() => Some("Invalid range"),
            _ => None,
        }
    }

    fn selects(&self, key: &Parts) -> bool {
        let has_prefix = |prefix: &Parts| key.len() > prefix.len() && key.starts_with(prefix);
        match (&self.prefix, &self.start, &self.end) {
            (None, Some(start), None) => key == start,
            (prefix, start, end) => {
                prefix.as_ref().is_none_or(has_prefix)
                    && start.as_ref().is_none_or(|start| key >= start)
                    && end.as_ref().is_none_or(|end| key < end)
            }
        }
    }
}

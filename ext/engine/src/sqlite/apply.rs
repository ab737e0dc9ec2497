//! One atomic write within a transaction: its checks, then its mutations, then its messages.

use rusqlite::{Connection, OptionalExtension};

use crate::{
    AtomicWrite, Check, Enqueue, Error, Key, Mutation, MutationKind, Operand, Random, Result, Value, ValueRef,
    Versionstamp,
};

const LIVE_VERSION: &str = "select version from kv where k = ?1 and (expiration_ms < 0 or expiration_ms > ?2)";
const LIVE_VALUE: &str =
    "select v, v_encoding, expiration_ms from kv where k = ?1 and (expiration_ms < 0 or expiration_ms > ?2)";
const SET: &str = "insert into kv (k, v, v_encoding, version, expiration_ms) values (?1, ?2, ?3, ?4, ?5)
    on conflict (k) do update set v = ?2, v_encoding = ?3, version = ?4, expiration_ms = ?5";
const DELETE: &str = "delete from kv where k = ?1";
const ENQUEUE: &str =
    "insert into queue (ts, id, data, backoff_schedule, keys_if_undelivered) values (?1, ?2, ?3, ?4, ?5)";

/// The `expiration_ms` of a value that does not expire.
const NEVER: i64 = -1;

/// The waits before further deliveries of a message that names none, in milliseconds.
const DEFAULT_BACKOFF: [u32; 5] = [100, 1000, 5000, 30_000, 60_000];

/// What a write is applied with.
pub(super) struct Context<'a> {
    pub connection: &'a Connection,
    pub random: &'a dyn Random,
    /// The time of the commit, in milliseconds since the Unix epoch.
    pub now: u64,
    /// The version that the write gets if it is committed.
    pub version: i64,
}

impl Context<'_> {
    /// Applies a write. Answers whether all its checks held; where one did not, nothing was changed. After an error,
    /// the caller rolls back what was.
    pub fn apply(&self, write: &AtomicWrite) -> Result<bool> {
        for check in &write.checks {
            if !self.holds(check)? {
                return Ok(false);
            }
        }
        write.mutations.iter().try_for_each(|mutation| self.mutate(mutation))?;
        write.enqueues.iter().try_for_each(|enqueue| self.enqueue(enqueue))?;
        Ok(true)
    }

    fn holds(&self, check: &Check) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(LIVE_VERSION)?;
        let version: Option<i64> =
            statement.query_row((check.key.as_bytes(), self.now as i64), |row| row.get(0)).optional()?;
        Ok(version.map(|version| Versionstamp::from_version(version as u64)) == check.versionstamp)
    }

    fn mutate(&self, mutation: &Mutation) -> Result<()> {
        match &mutation.kind {
            MutationKind::Set { value, expire_at, versionstamped } => {
                let expiry = expire_at.map_or(NEVER, |time| i64::try_from(time).unwrap_or(i64::MAX));
                if *versionstamped {
                    let mut key = mutation.key.clone();
                    key.push_string(&Versionstamp::from_version(self.version as u64).to_string());
                    self.set(&key, value.as_ref(), expiry)
                } else {
                    self.set(&mutation.key, value.as_ref(), expiry)
                }
            }
            MutationKind::Delete => {
                self.connection.prepare_cached(DELETE)?.execute([mutation.key.as_bytes()])?;
                Ok(())
            }
            MutationKind::Combine { operand, value } => self.combine(&mutation.key, *operand, value),
        }
    }

    fn set(&self, key: &Key, value: ValueRef<'_>, expiry: i64) -> Result<()> {
        let number;
        let bytes = match value {
            ValueRef::V8(bytes) | ValueRef::Bytes(bytes) => bytes,
            ValueRef::U64(value) => {
                number = value.to_le_bytes();
                &number
            }
        };
        let mut statement = self.connection.prepare_cached(SET)?;
        statement.execute((key.as_bytes(), bytes, value.encoding() as i64, self.version, expiry))?;
        Ok(())
    }

    fn combine(&self, key: &Key, operand: Operand, value: &Value) -> Result<()> {
        let operation = operand.name();
        let Value::U64(value) = *value else {
            return Err(Error::OperandNotU64 { operation });
        };
        let mut statement = self.connection.prepare_cached(LIVE_VALUE)?;
        let mut rows = statement.query((key.as_bytes(), self.now as i64))?;
        let (combined, expiry) = match rows.next()? {
            None => (value, NEVER),
            Some(row) => match ValueRef::from_stored(row.get_ref(0)?.as_blob().unwrap_or_default(), row.get(1)?)? {
                ValueRef::U64(stored) => (operand.combine(stored, value), row.get(2)?),
                _ => return Err(Error::StoredNotU64 { operation }),
            },
        };
        drop(rows);
        self.set(key, ValueRef::U64(combined), expiry)
    }

    fn enqueue(&self, enqueue: &Enqueue) -> Result<()> {
        let mut random = [0; 16];
        self.random.fill(&mut random);
        let id = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
        let backoff = json(enqueue.backoff_schedule.as_deref().unwrap_or(&DEFAULT_BACKOFF))?;
        let keys: Vec<&[u8]> = enqueue.keys_if_undelivered.iter().map(Key::as_bytes).collect();
        let deliver_at = i64::try_from(enqueue.deliver_at).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(ENQUEUE)?;
        statement.execute((deliver_at, id, &enqueue.message, backoff, json(&keys)?))?;
        Ok(())
    }
}

fn json(value: impl serde::Serialize) -> Result<String> {
    serde_json::to_string(&value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()).into())
}

//! Commits groups of writes, one after the other, each exactly once.
//!
//! The session has a marker, a key under its lease. Each transaction requires that the marker has a lower number than its own, and
//! raises it, whether or not its comparisons hold. Thus it takes effect at most once, however often it is sent and however late it
//! arrives, and a repetition finds out what became of the first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openkv_engine::Result;
use tokio::time::{Instant, sleep};

use crate::EtcdError;
use crate::client::proto::{self, CompareResult, KeyValue, Request, RequestOp, ResponseOp, TxnRequest};
use crate::client::shape;
use crate::core::Core;
use crate::description::Description;
use crate::error::Failure;
use crate::layout::{self, Part};
use crate::lease::Lease;
use crate::read::restart;
use crate::unit::{Unit, Verdict};
use crate::view::{Known, Plan, View};

/// Commits groups of writes.
pub(crate) struct Committer {
    core: Arc<Core>,
    session: Option<Session>,
    /// The lease of commit ids, which is not renewed, and when it was created.
    id_lease: Option<(i64, Instant)>,
}

struct Session {
    lease: Lease,
    marker: Vec<u8>,
    /// The number of the last transaction.
    number: u64,
}

/// The time to live of a session, in seconds. It limits for how long the outcome of a write can be found out.
const SESSION: u32 = 60;

/// The time to live of commit ids, in seconds, and for how long new ids use the same lease. The difference exceeds
/// [`CommitId::REMEMBERED`](openkv_engine::CommitId::REMEMBERED).
const COMMIT_IDS: u32 = 30 * 60;
const COMMIT_IDS_USED: Duration = Duration::from_secs(15 * 60);

/// The maximum number of comparisons or operations in a list of a transaction. By default, etcd accepts 128 on a path through nested
/// transactions: one for the marker, those of the group, and those of a part of it.
const LIST: usize = 62;

/// The maximum number of comparisons of a group, besides those of the description and the lock. A write with more excludes other
/// commits while it reads its keys, instead of comparing them.
pub(crate) const MAX_COMPARES: usize = LIST - 2;

/// The maximum number of keys that a transaction reads if a comparison fails, besides the description and the lock.
const MAX_READS: usize = LIST - 3;

/// How long another process may hold the lock of versionstamped commits before it is assumed to have stopped.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(2);

/// The state of a marker whose transaction was committed, or found a comparison not to hold.
const COMMITTED: u8 = 0;
const NOT_COMMITTED: u8 = 1;

/// The result of a transaction.
pub(crate) enum Executed {
    Committed {
        revision: i64,
    },
    /// A comparison did not hold, and nothing was written.
    Failed {
        /// What is known of the keys of the plan now, if it was read.
        known: Option<BTreeMap<Vec<u8>, Known>>,
        /// The revision of the lock of versionstamped commits, or 0.
        lock: i64,
    },
    /// The lease of commit ids had expired, and nothing was written.
    LeaseLost,
}

impl Committer {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, session: None, id_lease: None }
    }

    /// Commits a group.
    pub async fn commit(&mut self, mut units: Vec<Box<dyn Unit>>) {
        match self.try_commit(&mut units).await {
            Ok((verdicts, version)) => {
                for (index, (unit, verdict)) in (0..).zip(units.into_iter().zip(verdicts)) {
                    let is_accepted = verdict == Verdict::Accepted;
                    unit.complete(Ok(is_accepted.then(|| layout::versionstamp(0, version, index))));
                }
            }
            Err(error) => units.into_iter().for_each(|unit| unit.complete(Err(error.clone()))),
        }
    }

    /// Returns the verdicts of the units, and the version of the commit.
    async fn try_commit(&mut self, units: &mut [Box<dyn Unit>]) -> Result<(Vec<Verdict>, u64)> {
        let mut known = BTreeMap::new();
        let mut lock = None;
        let mut is_large = false;
        let deadline = self.core.deadline();
        loop {
            if lock.is_none() && (is_large || units.iter().any(|unit| unit.is_versionstamped())) {
                lock = Some(self.lock().await?);
                known.clear();
            }
            let id_lease = if units.iter().any(|unit| unit.id().is_some()) { self.id_lease().await? } else { 0 };
            let base = self.core.base();
            let version = lock.map(|revision| layout::version(revision, base));
            let keys = self.core.keys.clone();
            let mut view = View::new(&keys, self.core.now(), base, version, std::mem::take(&mut known));
            view.id_lease = id_lease;
            let verdicts: Vec<_> = (0..)
                .zip(units.iter_mut())
                .map(|(index, unit)| {
                    view.index = index;
                    unit.evaluate(&mut view)
                })
                .collect();
            let is_any_accepted = verdicts.contains(&Verdict::Accepted);
            if let Some(to_read) = view.to_read(is_large || !is_any_accepted) {
                known = self.read(&to_read).await?;
                continue;
            }
            if !is_any_accepted {
                if let Some(revision) = lock {
                    self.unlock(revision).await?;
                }
                return Ok((verdicts, 0));
            }
            let plan = view.finish(is_large);
            if plan.compares.len() > MAX_COMPARES && !is_large {
                // Locked anew, so that the keys are read while no other process commits.
                is_large = true;
                if let Some(revision) = lock.take() {
                    self.unlock(revision).await?;
                }
                continue;
            }
            match self.execute(&plan, lock).await? {
                Executed::Committed { revision } => {
                    self.core.splits.apply(&plan.splits);
                    return Ok((verdicts, version.unwrap_or(layout::version(revision, base))));
                }
                Executed::LeaseLost => deadline.check(EtcdError::LeasesLost)?,
                Executed::Failed { known: found, lock: held } => {
                    deadline.check(EtcdError::Contention)?;
                    known = found.unwrap_or_default();
                    if held != lock.unwrap_or_default() {
                        lock = None;
                        self.wait_for_lock(held).await?;
                    }
                }
            }
        }
    }

    /// Commits a plan that was made without a group.
    ///
    /// # Errors
    /// See [`Committer::execute`].
    pub async fn execute_alone(&mut self, plan: &Plan) -> Result<Executed> {
        let executed = self.execute(plan, None).await?;
        if let Executed::Failed { lock, .. } = executed {
            self.wait_for_lock(lock).await?;
        }
        Ok(executed)
    }

    /// Commits a plan exactly once.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the session expired, or the time was over, before the outcome was known.
    pub async fn execute(&mut self, plan: &Plan, lock: Option<i64>) -> Result<Executed> {
        let deadline = self.core.deadline();
        loop {
            let description = self.core.description.lock().clone();
            let keys = self.core.keys.clone();
            let session = self.session().await?;
            session.number += 1;
            let number = session.number;
            let key = session.marker.clone();
            let put = |state| proto::put(key.clone(), encoded(number, state), session.lease.id);
            let range = proto::range(key.clone(), Vec::new());
            let is_lower = proto::compare_value(key.clone(), CompareResult::Less, number.to_be_bytes().to_vec());

            let mut compare = vec![is_lower.clone(), proto::unchanged_since(keys.description(), description.revision)];
            if plan.changes_entries {
                compare.push(proto::unchanged_since(keys.lock(), lock.unwrap_or_default()));
            }
            compare.extend(plan.compares.iter().cloned());
            let mut operations = plan.operations.clone();
            operations.extend(lock.map(|_| proto::delete(keys.lock(), Vec::new())));
            let mut success = split(operations);
            // Not in a nested transaction: their size does not count for the quota.
            success.push(put(COMMITTED));
            let read: &[Vec<u8>] = if plan.reads.len() <= MAX_READS { &plan.reads } else { &[] };
            let read_keys = [keys.description(), keys.lock()].into_iter().chain(read.iter().cloned());
            let reads = read_keys.map(|key| RequestOp::from(Request::Range(proto::range(key, Vec::new()))));
            let not_committed = TxnRequest {
                compare: vec![is_lower],
                success: [put(NOT_COMMITTED)].into_iter().chain(reads).collect(),
                failure: vec![Request::Range(range.clone()).into()],
            };
            let request = TxnRequest { compare, success, failure: vec![Request::Txn(not_committed).into()] };

            let (response, was_ambiguous) = match self.core.client.txn(request).await {
                Ok((response, _)) if response.succeeded => {
                    return Ok(Executed::Committed { revision: response.revision() });
                }
                Ok(response) => response,
                // The marker existed and was not raised, so that no attempt has been committed, and none can be: the lease of
                // commit ids has expired.
                Err(Failure { error: EtcdError::SessionExpired, .. }) => {
                    self.id_lease = None;
                    return Ok(Executed::LeaseLost);
                }
                Err(failure @ Failure { error: EtcdError::NoSpace, .. }) => {
                    // A transaction with which the quota is used up is rejected, and may be processed all the same.
                    let unknown = |failure| Failure { is_ambiguous: true, ..failure }.of_write();
                    let marker = self.core.client.range(range).await.map_err(unknown)?.kvs.pop();
                    let Some(marker) = marker else { return Err(unknown(failure)) };
                    return processed(&marker, number, lock).ok_or_else(|| failure.of_write());
                }
                Err(failure) => return Err(failure.of_write()),
            };
            let unknown = |error| Failure { error, is_ambiguous: true }.of_write();
            let inner = response.responses.into_iter().next().and_then(ResponseOp::into_txn);
            let inner = inner.ok_or_else(|| unknown(EtcdError::Malformed("results are missing")))?;
            let mut results = inner.responses.into_iter();
            if inner.succeeded {
                return self.failed(results.skip(1), read);
            }
            // An earlier attempt has raised the marker, or the session has expired.
            if let Some(marker) = shape::entry(results.next(), &key).map_err(unknown)? {
                let executed = processed(&marker, number, lock);
                return executed.ok_or_else(|| unknown(EtcdError::Malformed("it has another marker")));
            }
            self.session = None;
            if was_ambiguous {
                return Err(unknown(EtcdError::SessionExpired));
            }
            deadline.check(EtcdError::LeasesLost)?;
        }
    }

    /// Interprets the results of the reads of a transaction that was not committed.
    fn failed(&self, mut results: impl Iterator<Item = ResponseOp>, read: &[Vec<u8>]) -> Result<Executed> {
        let unknown = |error| Failure { error, is_ambiguous: true }.of_write();
        let keys = &self.core.keys;
        let mut next = |key: &[u8]| shape::entry(results.next(), key).map_err(unknown);
        let Some(kv) = next(&keys.description())? else { return Err(EtcdError::Deleted.into()) };
        let lock = next(&keys.lock())?.map_or(0, |kv| kv.mod_revision);
        *self.core.description.lock() = Description::decode(kv.mod_revision, &kv.value, &self.core.url)?;
        let known = read.iter().map(|key| Ok((key.clone(), Known::of(next(key)?)))).collect::<Result<_>>()?;
        Ok(Executed::Failed { known: Some(known), lock })
    }

    /// Reads keys in one snapshot.
    async fn read(&self, keys: &[Vec<u8>]) -> Result<BTreeMap<Vec<u8>, Known>> {
        let ranges: Vec<_> = keys.iter().map(|key| proto::range(key.clone(), Vec::new())).collect();
        let results = restart(&self.core, || self.core.client.read_keys(&ranges, 0)).await.map_err(Failure::of_read)?;
        let known = results.into_iter().map(|found| Known::of(found.kvs.into_iter().next()));
        Ok(keys.iter().cloned().zip(known).collect())
    }

    async fn session(&mut self) -> Result<&mut Session> {
        if self.session.as_ref().is_none_or(|session| session.lease.is_expired()) {
            let core = &self.core;
            let mut id = [0; 16];
            core.options.random.fill(&mut id);
            let marker = core.keys.key(Part::Markers, &id);
            // Comparisons of the value fail as long as there is none.
            let created = Lease::with_key(core, SESSION, |_| marker.clone(), encoded(0, COMMITTED)).await;
            let (lease, _) = created.map_err(Failure::of_read)?;
            self.session = Some(Session { lease, marker, number: 0 });
        }
        self.session.as_mut().ok_or_else(|| EtcdError::SessionExpired.into())
    }

    /// Returns the lease of new commit ids.
    async fn id_lease(&mut self) -> Result<i64> {
        if let Some((id, since)) = self.id_lease
            && since.elapsed() < COMMIT_IDS_USED
        {
            return Ok(id);
        }
        let since = Instant::now();
        let granted = self.core.client.grant(&*self.core.options.random, COMMIT_IDS.into()).await;
        let id = granted.map_err(Failure::of_read)?;
        self.id_lease = Some((id, since));
        Ok(id)
    }

    /// Excludes commits of other processes, so that the versionstamp of the next commit is known before: it is that of the lock.
    /// Returns the revision of the lock.
    pub async fn lock(&mut self) -> Result<i64> {
        let key = self.core.keys.lock();
        let deadline = self.core.deadline();
        loop {
            let session = self.session().await?;
            let (owner, lease) = (session.marker.clone(), session.lease.id);
            let request = TxnRequest {
                compare: vec![proto::unchanged_since(key.clone(), 0)],
                success: vec![proto::put(key.clone(), owner.clone(), lease)],
                failure: vec![Request::Range(proto::range(key.clone(), Vec::new())).into()],
            };
            let (response, _) = match self.core.client.txn(request).await {
                Err(Failure { error: EtcdError::SessionExpired, .. }) => {
                    self.session = None;
                    deadline.check(EtcdError::LeasesLost)?;
                    continue;
                }
                result => result.map_err(Failure::of_read)?,
            };
            if response.succeeded {
                return Ok(response.revision());
            }
            deadline.check(EtcdError::Contention)?;
            match shape::entry(response.responses.into_iter().next(), &key)? {
                // An earlier attempt has acquired it.
                Some(kv) if kv.value == owner => return Ok(kv.mod_revision),
                Some(kv) => self.wait_for_lock(kv.mod_revision).await?,
                None => {}
            }
        }
    }

    /// Releases the lock, unless it was lost.
    pub async fn unlock(&self, revision: i64) -> Result<()> {
        let key = self.core.keys.lock();
        let request = TxnRequest {
            compare: vec![proto::unchanged_since(key.clone(), revision)],
            success: vec![proto::delete(key, Vec::new())],
            failure: Vec::new(),
        };
        self.core.client.txn(request).await.map(drop).map_err(Failure::of_read)
    }

    /// Waits until a lock of another process is released. Releases it if that takes too long: its holder then fails to commit,
    /// and begins anew.
    async fn wait_for_lock(&self, revision: i64) -> Result<()> {
        if revision == 0 {
            return Ok(());
        }
        let start = Instant::now();
        loop {
            let found = self.core.client.range(proto::range(self.core.keys.lock(), Vec::new())).await;
            let found = found.map_err(Failure::of_read)?;
            if found.kvs.first().is_none_or(|kv| kv.mod_revision != revision) {
                return Ok(());
            }
            if start.elapsed() > LOCK_TIMEOUT {
                return self.unlock(revision).await;
            }
            sleep(LOCK_POLL).await;
        }
    }
}

/// Returns the value of a marker.
fn encoded(number: u64, state: u8) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[state]].concat()
}

/// Returns what became of a transaction, by the marker that it raises. Returns `None` if it was not processed.
fn processed(marker: &KeyValue, number: u64, lock: Option<i64>) -> Option<Executed> {
    if marker.value == encoded(number, COMMITTED) {
        return Some(Executed::Committed { revision: marker.mod_revision });
    }
    let is_processed = marker.value == encoded(number, NOT_COMMITTED);
    is_processed.then(|| Executed::Failed { known: None, lock: lock.unwrap_or_default() })
}

/// Distributes operations to lists of the size that etcd accepts.
fn split(operations: Vec<RequestOp>) -> Vec<RequestOp> {
    if operations.len() <= LIST {
        return operations;
    }
    let chunks = operations.chunks(LIST).map(|chunk| TxnRequest { success: chunk.to_vec(), ..TxnRequest::default() });
    split(chunks.map(|transaction| Request::Txn(transaction).into()).collect())
}

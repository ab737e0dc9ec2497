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
use crate::client::proto::{self, CompareResult, Request, RequestOp, TxnRequest, TxnResponse};
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
            let marker_key = session.marker.clone();
            let state = |state: u8| [&number.to_be_bytes()[..], &[state]].concat();
            let marker = |state| proto::put(marker_key.clone(), state, session.lease.id);

            let mut compares = vec![proto::unchanged_since(keys.description(), description.revision)];
            if plan.changes_entries {
                compares.push(proto::unchanged_since(keys.lock(), lock.unwrap_or_default()));
            }
            compares.extend(plan.compares.iter().cloned());
            let mut success = plan.operations.clone();
            success.extend(lock.map(|_| proto::delete(keys.lock(), Vec::new())));
            success.push(marker(state(COMMITTED)));
            let reads_keys = plan.reads.len() <= LIST - 3;
            let read: &[Vec<u8>] = if reads_keys { &plan.reads } else { &[] };
            let mut failure = vec![marker(state(NOT_COMMITTED))];
            let read = [keys.description(), keys.lock()].into_iter().chain(read.iter().cloned());
            failure.extend(read.map(|key| RequestOp::from(Request::Range(proto::range(key, Vec::new())))));
            let inner = TxnRequest { compare: compares, success: split(success), failure };
            let request = TxnRequest {
                compare: vec![proto::compare_value(
                    marker_key.clone(),
                    CompareResult::Less,
                    number.to_be_bytes().to_vec(),
                )],
                success: vec![Request::Txn(inner).into()],
                failure: vec![Request::Range(proto::range(marker_key.clone(), Vec::new())).into()],
            };
            let (response, was_ambiguous) = match self.core.client.txn(request).await {
                Ok(response) => response,
                // The marker existed and was not raised, so that no attempt has been committed, and none can be: the lease of
                // commit ids has expired.
                Err(Failure { error: EtcdError::SessionExpired, .. }) => {
                    self.id_lease = None;
                    return Ok(Executed::LeaseLost);
                }
                Err(failure) => return Err(failure.of_write()),
            };
            if response.succeeded {
                return self.executed(response, plan, reads_keys);
            }
            // An earlier attempt has raised the marker, or the session has expired.
            let found = shape::entry(response.responses.into_iter().next(), &marker_key);
            let found = found.map_err(|error| Failure { error, is_ambiguous: was_ambiguous }.of_write())?;
            let Some(kv) = found else {
                self.session = None;
                if was_ambiguous {
                    let failure = Failure { error: EtcdError::SessionExpired, is_ambiguous: true };
                    return Err(failure.of_write());
                }
                deadline.check(EtcdError::LeasesLost)?;
                continue;
            };
            if kv.value == state(COMMITTED) {
                return Ok(Executed::Committed { revision: kv.mod_revision });
            }
            // It was not committed.
            return Ok(Executed::Failed { known: None, lock: lock.unwrap_or_default() });
        }
    }

    /// Interprets the response of a transaction that was processed now.
    fn executed(&self, response: TxnResponse, plan: &Plan, reads_keys: bool) -> Result<Executed> {
        let unknown = |error| Failure { error, is_ambiguous: true }.of_write();
        let keys = &self.core.keys;
        let revision = response.revision();
        let inner = response.responses.into_iter().next().and_then(proto::ResponseOp::into_txn);
        let inner = inner.ok_or_else(|| unknown(EtcdError::Malformed("results are missing")))?;
        if inner.succeeded {
            return Ok(Executed::Committed { revision });
        }
        // After the change of the marker.
        let mut found = inner.responses.into_iter().skip(1);
        let mut read = |key: &[u8]| shape::entry(found.next(), key).map_err(unknown);
        let Some(kv) = read(&keys.description())? else { return Err(EtcdError::Deleted.into()) };
        let lock = read(&keys.lock())?.map_or(0, |kv| kv.mod_revision);
        *self.core.description.lock() = Description::decode(kv.mod_revision, &kv.value, &self.core.url)?;
        let known = plan.reads.iter().filter(|_| reads_keys).map(|key| Ok((key.clone(), Known::of(read(key)?))));
        let known = known.collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Executed::Failed { known: reads_keys.then_some(known), lock })
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
            let value = [&[0; 8][..], &[COMMITTED]].concat();
            let created = Lease::with_key(core, SESSION, |_| marker.clone(), value).await;
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

/// Distributes operations to lists of the size that etcd accepts.
fn split(operations: Vec<RequestOp>) -> Vec<RequestOp> {
    if operations.len() <= LIST {
        return operations;
    }
    let chunks = operations.chunks(LIST).map(|chunk| TxnRequest { success: chunk.to_vec(), ..TxnRequest::default() });
    split(chunks.map(|transaction| Request::Txn(transaction).into()).collect())
}

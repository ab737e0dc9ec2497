use std::collections::BTreeSet;
use std::sync::Arc;

use openkv_engine::{Result, Turn};
use tokio::sync::{mpsc, oneshot};

use crate::EtcdError;
use crate::client::proto::{self, Compare, CompareResult, CompareTarget, RangeRequest, TargetUnion};
use crate::commit::{Committer, Executed, MAX_COMPARES};
use crate::core::Core;
use crate::error::Failure;
use crate::layout::{Part, Stored};
use crate::read::restart;
use crate::unit::{Size, Unit};
use crate::view::Plan;

/// A call that writes.
pub(crate) enum Job {
    Unit(Box<dyn Unit>),
    DeleteRange { turn: Turn, range: Range, reply: oneshot::Sender<Result<u64>> },
}

/// A deletion of a range of encoded keys.
pub(crate) struct Range {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
    /// The maximum number of entries to delete.
    pub limit: u32,
}

/// The size of a group, in operations and bytes. etcd accepts requests of 1.5 MiB.
const MAX_OPERATIONS: usize = 1000;
const MAX_BYTES: usize = 512 * 1024;

/// The maximum number of units in a group.
const MAX_UNITS: usize = 500;

/// The number of entries to read at a time before they are deleted.
const PAGE: usize = 500;

/// Executes writes in order until the channel closes. Writes that are queued while others are committed share the next transaction.
pub(crate) async fn run(core: Arc<Core>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut committer = Committer::new(core.clone());
    let mut next = None;
    loop {
        let job = match next.take() {
            Some(job) => Some(job),
            None => jobs.recv().await,
        };
        match job {
            None => return,
            Some(Job::Unit(mut unit)) => {
                if let Some(turn) = unit.turn() {
                    turn.wait().await;
                }
                let mut group = Group::default();
                group.push(unit);
                next = group.fill(&mut jobs);
                committer.commit(group.units).await;
            }
            Some(Job::DeleteRange { mut turn, range, reply }) => {
                turn.wait().await;
                let result = delete_range(&core, &mut committer, &range).await;
                // It is no longer in flight when its future is done. The caller may have dropped it.
                drop(turn);
                let _ = reply.send(result);
            }
        }
    }
}

/// Units that are committed in one transaction.
#[derive(Default)]
struct Group {
    units: Vec<Box<dyn Unit>>,
    size: Size,
    ids: BTreeSet<openkv_engine::CommitId>,
}

impl Group {
    fn push(&mut self, unit: Box<dyn Unit>) {
        let Size { compares, operations, bytes } = unit.size();
        self.size.compares += compares;
        self.size.operations += operations;
        self.size.bytes += bytes;
        self.ids.extend(unit.id());
        self.units.push(unit);
    }

    /// Adds queued units, up to the first that has to wait for the group. Returns that job.
    fn fill(&mut self, jobs: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
        while self.units.len() < MAX_UNITS {
            let mut job = jobs.try_recv().ok()?;
            let is_admitted = match &mut job {
                Job::Unit(unit) => self.admits(&mut **unit),
                Job::DeleteRange { .. } => false,
            };
            match job {
                Job::Unit(unit) if is_admitted => self.push(unit),
                job => return Some(job),
            }
        }
        None
    }

    fn admits(&self, unit: &mut dyn Unit) -> bool {
        let Size { compares, operations, bytes } = unit.size();
        self.size.compares + compares <= MAX_COMPARES
            && self.size.operations + operations <= MAX_OPERATIONS
            && self.size.bytes + bytes <= MAX_BYTES
            // The second of two writes with the same id finds the first after its commit.
            && unit.id().is_none_or(|id| !self.ids.contains(&id))
            && unit.turn().is_none_or(|turn| turn.has_come())
    }
}

/// Deletes the first entries of a range in one transaction. Returns their number.
async fn delete_range(core: &Core, committer: &mut Committer, range: &Range) -> Result<u64> {
    let now = core.now();
    let deadline = core.deadline();
    loop {
        let first = restart(core, || first_entries(core, range, 0, now)).await.map_err(Failure::of_read)??;
        if first.live == 0 {
            return Ok(0);
        }
        if first.live == u64::from(range.limit) {
            // Others must not delete entries of them meanwhile: further ones would take their place.
            if let Some(deleted) = delete_exclusively(core, committer, range, now).await? {
                return Ok(deleted);
            }
            deadline.check(EtcdError::Contention)?;
            continue;
        }
        let mut plan = deletion(core, &range.start, &range.end);
        if range.limit != u32::MAX {
            plan.compares.push(not_added_since(core, range, first.revision));
        }
        let Executed::Committed { revision } = committer.execute_alone(&plan).await? else {
            deadline.check(EtcdError::Contention)?;
            continue;
        };
        if revision == first.revision + 1 {
            return Ok(first.live);
        }
        // Others have committed since: counted as the deletion found them.
        let deleted = first_entries(core, range, revision - 1, now).await;
        return Ok(deleted.map_err(|failure| Failure { is_ambiguous: true, ..failure }.of_write())??.live);
    }
}

/// Deletes the first entries of a range while no other process commits. Returns `None` if that took too long.
async fn delete_exclusively(core: &Core, committer: &mut Committer, range: &Range, now: u64) -> Result<Option<u64>> {
    let lock = committer.lock().await?;
    let first = restart(core, || first_entries(core, range, 0, now)).await.map_err(Failure::of_read)??;
    if first.live > 0 {
        let plan = deletion(core, &range.start, &first.end);
        if let Executed::Committed { .. } = committer.execute(&plan, Some(lock)).await? {
            return Ok(Some(first.live));
        }
    }
    committer.unlock(lock).await?;
    Ok((first.live == 0).then_some(0))
}

fn deletion(core: &Core, start: &[u8], end: &[u8]) -> Plan {
    let delete = |part| proto::delete(core.keys.key(part, start), core.keys.key(part, end));
    Plan { operations: [Part::Entries, Part::Splits].map(delete).to_vec(), changes_entries: true, ..Plan::default() }
}

/// Returns the comparison that fails if entries of a range were added or changed after a revision.
fn not_added_since(core: &Core, range: &Range, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Less.into(),
        target: CompareTarget::Mod.into(),
        key: core.keys.entry(&range.start),
        target_union: Some(TargetUnion::ModRevision(revision + 1)),
        range_end: core.keys.entry(&range.end),
    }
}

/// The first live entries of a range, up to its limit.
struct FirstEntries {
    /// The revision at which they were read.
    revision: i64,
    /// The end of their range.
    end: Vec<u8>,
    /// Their number.
    live: u64,
}

/// Counts the first live entries of a range at a revision or, if that is 0, at the latest.
async fn first_entries(
    core: &Core,
    range: &Range,
    mut revision: i64,
    now: u64,
) -> Result<Result<FirstEntries>, Failure> {
    let (mut start, mut live) = (range.start.clone(), 0);
    while live < u64::from(range.limit) && start < range.end {
        let limit = PAGE.min(range.limit as usize);
        let request = RangeRequest {
            limit: limit as i64,
            revision,
            ..proto::range(core.keys.entry(&start), core.keys.entry(&range.end))
        };
        let page = core.client.range(request).await?;
        if revision == 0 {
            revision = page.revision();
        }
        for kv in &page.kvs {
            if live == u64::from(range.limit) {
                break;
            }
            match Stored::decode(&kv.value) {
                Ok(stored) => live += u64::from(stored.is_live(now)),
                Err(error) => return Ok(Err(error)),
            }
            start = [core.keys.rest(&kv.key), &[0]].concat();
        }
        if !page.more && live < u64::from(range.limit) {
            start = range.end.clone();
        }
    }
    Ok(Ok(FirstEntries { revision, end: start, live }))
}

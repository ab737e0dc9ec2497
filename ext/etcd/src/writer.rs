use std::collections::BTreeSet;
use std::sync::Arc;

use openkv_engine::{Result, Turn};
use tokio::sync::{mpsc, oneshot};

use crate::client::proto::{self, Compare, CompareResult, CompareTarget, RangeRequest, TargetUnion};
use crate::commit::{Committer, Executed, MAX_COMPARES};
use crate::core::Core;
use crate::error::Failure;
use crate::layout::{Part, Stored};
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

/// Deletes the first entries of a range in one transaction, which requires that none was added or changed since they were counted.
async fn delete_range(core: &Core, committer: &mut Committer, range: &Range) -> Result<u64> {
    loop {
        let (revision, end, live) = first_entries(core, range).await?;
        if live == 0 {
            return Ok(0);
        }
        let bounds = |part| (core.keys.key(part, &range.start), core.keys.key(part, &end));
        let (start, past) = bounds(Part::Entries);
        let unchanged = Compare {
            result: CompareResult::Less.into(),
            target: CompareTarget::Mod.into(),
            key: start.clone(),
            target_union: Some(TargetUnion::ModRevision(revision + 1)),
            range_end: past.clone(),
        };
        let (first_split, past_splits) = bounds(Part::Splits);
        let plan = Plan {
            compares: vec![unchanged],
            operations: vec![proto::delete(start, past), proto::delete(first_split, past_splits)],
            changes_entries: true,
            ..Plan::default()
        };
        if let Executed::Committed { .. } = committer.execute_alone(&plan).await? {
            return Ok(live);
        }
    }
}

/// Counts the first live entries of a range, up to its limit. Returns the revision, the end of their range, and their number.
async fn first_entries(core: &Core, range: &Range) -> Result<(i64, Vec<u8>, u64)> {
    let now = core.now();
    let (mut start, mut revision, mut live) = (range.start.clone(), 0, 0);
    while live < u64::from(range.limit) && start < range.end {
        let limit = PAGE.min(range.limit as usize);
        let request = RangeRequest {
            limit: limit as i64,
            revision,
            ..proto::range(core.keys.entry(&start), core.keys.entry(&range.end))
        };
        let page = core.client.range(request).await.map_err(Failure::of_read)?;
        if revision == 0 {
            revision = page.header.as_ref().map_or(0, |header| header.revision);
        }
        for kv in &page.kvs {
            if live == u64::from(range.limit) {
                break;
            }
            live += u64::from(Stored::decode(&kv.value)?.is_live(now));
            start = [core.keys.rest(&kv.key), &[0]].concat();
        }
        if !page.more && live < u64::from(range.limit) {
            start = range.end.clone();
        }
    }
    Ok((revision, start, live))
}

//! Leaders of a cluster of etcd.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use openkv_etcd::cluster::Cluster;

use super::Args;
use super::load::{Load, Totals};

/// How often the leader is lost.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a cluster may take to elect a leader.
const TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Kills or isolates leaders of one cluster. A killed node starts again once there is a new leader, an isolated one returns after a
/// while.
pub fn run(rounds: u64, args: &Args) -> Result<Totals, String> {
    let started = if args.partition { Cluster::start_in_namespaces() } else { Cluster::start() };
    let mut cluster = started.ok_or("the cluster cannot be started")?;
    leader(&cluster, None)?;
    let mut totals = Totals::default();
    let mut load = Load::start(&cluster.url("failover"), args.workers, args.seed, &mut totals)?;
    let (is_over, has_failed) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let losing = scope.spawn(|| {
            let mut rounds = (0..rounds).take_while(|_| !has_failed.load(Ordering::Acquire));
            let lost = rounds.try_for_each(|_| {
                let next = Instant::now() + INTERVAL;
                let lost = leader(&cluster, None)?;
                if args.partition {
                    cluster.isolate(lost, true);
                    thread::sleep(INTERVAL / 2);
                } else {
                    cluster.kill_node(lost);
                }
                let elected = leader(&cluster, Some(lost));
                if args.partition {
                    cluster.isolate(lost, false);
                } else {
                    cluster.start_node(lost);
                }
                thread::sleep(next.saturating_duration_since(Instant::now()));
                elected.map(|_| ())
            });
            is_over.store(true, Ordering::Release);
            lost
        });
        let mut run = || -> Result<(), String> {
            while !is_over.load(Ordering::Acquire) {
                load.run_history()?;
            }
            Ok(())
        };
        let histories = run();
        has_failed.store(histories.is_err(), Ordering::Release);
        let lost = losing.join().map_err(|_| "a thread panicked")?;
        histories.and(lost)
    })?;
    load.finish()?;
    Ok(totals)
}

/// Waits until there is a leader, other than one that was lost.
fn leader(cluster: &Cluster, lost: Option<usize>) -> Result<usize, String> {
    let begin = Instant::now();
    loop {
        match cluster.leader().filter(|leader| Some(*leader) != lost) {
            Some(leader) => return Ok(leader),
            None if begin.elapsed() > TIMEOUT => return Err(format!("the cluster has no leader after {TIMEOUT:?}")),
            None => thread::sleep(POLL),
        }
    }
}

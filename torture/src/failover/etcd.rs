//! Leaders of a cluster of etcd.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use openkv_etcd::cluster::Cluster;

use super::Args;
use super::load::{Load, Totals};

/// How often the leader is killed.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a cluster may take to elect a leader.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Kills leaders of one cluster. A killed node starts again once there is a new leader.
pub fn run(rounds: u64, args: &Args) -> Result<Totals, String> {
    let mut cluster = Cluster::start().ok_or("etcd is not installed")?;
    leader(&cluster)?;
    let mut totals = Totals::default();
    let mut load = Load::start(&cluster.url("failover"), args.workers, args.seed, &mut totals)?;
    let (is_over, has_failed) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let killing = scope.spawn(|| {
            let mut rounds = (0..rounds).take_while(|_| !has_failed.load(Ordering::Acquire));
            let killed = rounds.try_for_each(|_| {
                let next = Instant::now() + INTERVAL;
                let killed = leader(&cluster)?;
                cluster.kill_node(killed);
                let elected = leader(&cluster);
                cluster.start_node(killed);
                thread::sleep(next.saturating_duration_since(Instant::now()));
                elected.map(|_| ())
            });
            is_over.store(true, Ordering::Release);
            killed
        });
        let mut run = || -> Result<(), String> {
            while !is_over.load(Ordering::Acquire) {
                load.run_history()?;
            }
            Ok(())
        };
        let histories = run();
        has_failed.store(histories.is_err(), Ordering::Release);
        let killed = killing.join().map_err(|_| "a thread panicked")?;
        histories.and(killed)
    })?;
    load.finish()?;
    Ok(totals)
}

/// Waits until there is a leader.
fn leader(cluster: &Cluster) -> Result<usize, String> {
    let begin = Instant::now();
    loop {
        match cluster.leader() {
            Some(leader) => return Ok(leader),
            None if begin.elapsed() > TIMEOUT => return Err(format!("the cluster has no leader after {TIMEOUT:?}")),
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
}

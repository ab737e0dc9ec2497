//! Kills or partitions servers while processes read and write: the primary of PostgreSQL, whose synchronous standby is promoted by this program or by
//! Patroni, or the leader of a cluster of etcd.

mod etcd;
mod load;
mod patroni;
mod postgres;

use std::time::Instant;

use crate::Outcome;
use load::Totals;

/// The arguments of `failover`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Kill leaders of etcd instead of primaries of PostgreSQL.
    #[arg(long)]
    pub etcd: bool,
    /// Cut the leaders of etcd off from the other nodes instead of killing them, which requires the privileges of root.
    #[arg(long, requires = "etcd")]
    pub partition: bool,
    /// Let Patroni replace the killed primaries.
    #[arg(long, conflicts_with = "etcd")]
    pub patroni: bool,
    /// The number of killed servers: 20 primaries, or 120 leaders, one every 5 seconds.
    #[arg(long)]
    pub rounds: Option<u64>,
    /// The number of processes.
    #[arg(long, default_value_t = 4)]
    pub workers: usize,
    /// The seed of the operations and of the moments.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Kills servers under load. Each history of operations must be linearizable, including those during which a server is killed, and
/// nothing may change after the end of a history.
///
/// # Errors
/// A history that is not linearizable, as when an acknowledged write is lost or applied twice, or an operation that failed.
pub fn run(args: &Args) -> Outcome {
    let begin = Instant::now();
    let (killed, totals) = if args.etcd {
        let rounds = args.rounds.unwrap_or(120);
        let lost = if args.partition { "partitioned" } else { "killed" };
        (format!("{rounds} {lost} leaders of etcd"), etcd::run(rounds, args)?)
    } else if args.patroni {
        let rounds = args.rounds.unwrap_or(20);
        (format!("{rounds} killed primaries of PostgreSQL under Patroni"), patroni::run(rounds, args)?)
    } else {
        let rounds = args.rounds.unwrap_or(20);
        (format!("{rounds} killed primaries of PostgreSQL"), postgres::run(rounds, args)?)
    };
    let Totals { histories, operations, writes, longest } = totals;
    let Args { workers, seed, .. } = args;
    Ok(format!(
        "failover: {killed}, {histories} histories of {workers} processes with {operations} operations in total, {writes} of them \
         committed writes, seed {seed}: linearizable, none lost, applied twice or half, none failed; the longest operation took \
         {longest:.1?}; {:.1?}",
        begin.elapsed()
    ))
}

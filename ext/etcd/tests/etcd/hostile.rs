//! Servers that send anything: each call ends, with an error that says why, and the database works again with a server that is
//! sound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use openkv_engine::{
    AtomicWrite, CommitId, Database, Enqueue, Error, Key, Mutation, MutationKind, Selector, SystemRandom, Value,
};
use openkv_etcd::cluster::{self, Cluster};
use openkv_etcd::{Options, open};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::relay::{Replacing, Reply};
use crate::support::{key, numbers, opened, set};
use crate::wire::{Field, Fields, mutated};

/// How long calls are retried, and how long a call may take on a slow machine.
const RETRY: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(60);

/// How often a call is made that fails for another reason than the one it must fail for.
const ATTEMPTS: usize = 10;

/// The calls that are made.
const READS: [&str; 5] = ["get", "list", "reverse list", "count", "watch"];
const WRITES: [&str; 6] = ["set", "sum", "versionstamped set", "deleteRange", "enqueue", "dequeue"];

/// Makes a call of a database.
type Call = dyn Fn(&Setup) -> Result<(), String>;

/// A database behind relays, and what runs its calls.
struct Setup {
    replacing: Replacing,
    database: Database,
    runtime: Runtime,
}

impl Setup {
    fn new(cluster: &Cluster, name: &str) -> Self {
        // Also waits until the cluster has a leader.
        drop(opened(&cluster.url(name)));
        let replacing = Replacing::start(cluster);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = replacing.relays.url(name);
        let open = || runtime.block_on(open(&url, Options::default().retry_for(RETRY)));
        // A loaded machine may need several attempts.
        let database = std::iter::repeat_with(open).find_map(Result::ok).unwrap();
        let setup = Self { replacing, database, runtime };
        setup.recover();
        setup
    }

    fn run<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<(), String> {
        let ended = self.runtime.block_on(async { timeout(LONGEST, call).await });
        let result = ended.expect("a call did not end").map(drop).map_err(|error| error.to_string());
        assert!(!result.as_ref().is_err_and(|error| error.contains("has stopped")), "{result:?}");
        result
    }

    fn call(&self, name: &str) -> Result<(), String> {
        let database = &self.database;
        let list = || database.list(numbers()).limit(5);
        let write = |write| self.run(database.write(write));
        match name {
            "get" => self.run(database.get(&key(1))),
            "list" => self.run(list().try_collect::<Vec<_>>()),
            "reverse list" => self.run(list().reverse().try_collect::<Vec<_>>()),
            "count" => self.run(database.count(&numbers())),
            "watch" => self.run(async { database.watch(&[key(1)])?.next().await.unwrap_or(Ok(Vec::new())) }),
            "set" => write(AtomicWrite::new().mutate(set(key(1), 1))),
            "sum" => write(AtomicWrite::new().mutate(Mutation::sum(key(2), 1))),
            "versionstamped set" => {
                let kind = MutationKind::Set { value: Value::U64(1), expire_at: None, versionstamped: true };
                write(AtomicWrite::new().mutate(Mutation { key: Key::from(["log"]), kind }))
            }
            "deleteRange" => self.run(database.delete_range(&Selector::prefix(&Key::from(["log"])))),
            "enqueue" => write(AtomicWrite::new().enqueue(Enqueue::new(vec![7]))),
            "dequeue" => self.run(async {
                match database.dequeue_one().await? {
                    Some(delivery) => delivery.done().await,
                    None => Ok(()),
                }
            }),
            name => panic!("{name}"),
        }
    }

    /// Passes messages on, until all calls succeed.
    fn recover(&self) {
        self.replacing.pass();
        // The first calls find out what of the client's state is outdated.
        while let Some(failed) = READS.iter().chain(&WRITES).find_map(|name| self.call(name).err()) {
            assert!(!failed.contains("cannot be decoded"), "{failed}");
        }
    }

    /// Makes calls while messages are replaced. Returns the errors of those that failed.
    fn failures(&self, names: &[&'static str]) -> Vec<(&'static str, String)> {
        names.iter().filter_map(|name| Some((*name, self.call(name).err()?))).collect()
    }

    /// Makes a call that fails, until it does for a reason: on a loaded machine, no node may respond in time. Returns the last
    /// result.
    fn failure(&self, reason: &str, call: impl Fn(&Self) -> Result<(), String>) -> Result<(), String> {
        let is_other = |result: &Result<(), String>| result.as_ref().is_err_and(|error| !error.contains(reason));
        (0..ATTEMPTS).map(|_| call(self)).find(|result| !is_other(result)).unwrap_or_else(|| call(self))
    }
}

/// Asserts that calls fail for a reason while messages are replaced, and succeed afterwards.
fn assert_fail(
    name: &str,
    calls: &[&'static str],
    reason: &str,
    choose: impl FnMut(&str, Vec<u8>) -> Reply + Send + 'static,
) {
    let Some(cluster) = cluster::shared() else { return };
    let setup = Setup::new(cluster, name);
    setup.replacing.replace(choose);
    for name in calls {
        let failed = setup.failure(reason, |setup| setup.call(name));
        assert!(failed.as_ref().is_err_and(|error| error.contains(reason)), "{name}: {failed:?}");
    }
    setup.recover();
}

fn all() -> Vec<&'static str> {
    [&READS[..], &WRITES].concat()
}

/// The error of what is not a response.
const MALFORMED: &str = "etcd sent a response that does not match the call: ";

/// Changes the fields of responses that have revisions.
fn changed(name: &str, message: Vec<u8>, change: impl FnOnce(&mut Fields)) -> Reply {
    if !["Range", "Txn"].contains(&name) {
        return Reply::Message(message);
    }
    let mut fields = Fields::parse(&message).unwrap();
    change(&mut fields);
    Reply::Message(fields.encode())
}

#[test]
fn garbage_fails_calls() {
    let mut random = StdRng::seed_from_u64(1);
    assert_fail("garbage", &all(), "no etcd node of ", move |_, _| {
        let len = random.random_range(1..1000);
        // No message of the API begins with the end of a group.
        Reply::Message([0x0c].into_iter().chain((0..len).map(|_| random.random())).collect())
    });
}

#[test]
fn garbage_without_frames_fails_calls() {
    assert_fail("unframed", &all(), "no etcd node of ", |_, _| Reply::Raw(vec![0xff; 100]));
}

#[test]
fn empty_responses_fail_calls() {
    assert_fail("empty", &all(), MALFORMED, |_, _| Reply::Message(Vec::new()));
}

#[test]
fn silent_server_fails_calls_in_time() {
    assert_fail("silent", &all(), "no etcd node of ", |_, _| Reply::Silence);
}

#[test]
fn endless_responses_are_not_received_as_a_whole() {
    let Some(cluster) = cluster::shared() else { return };
    let setup = Setup::new(cluster, "endless");
    setup.replacing.replace(|_, _| Reply::Endless);
    let failures = setup.failures(&all());
    assert_eq!(failures.len(), all().len(), "{failures:?}");
    assert!(failures.iter().all(|(_, error)| error.contains("too large")), "{failures:?}");
    assert!(setup.replacing.endless() < 16 << 20, "{}", setup.replacing.endless());
    setup.recover();
}

#[test]
fn responses_without_a_header_fail_calls() {
    assert_fail("headless", &all(), MALFORMED, |name, message| {
        changed(name, message, |fields| fields.0.retain(|field| field.number != 1))
    });
}

#[test]
fn revisions_that_have_no_successor_fail_calls() {
    let set_revision = |header: &mut Fields| {
        header.0.iter_mut().filter(|field| field.number == 3).for_each(|revision| revision.set_varint(i64::MAX as u64));
    };
    assert_fail("revisions", &all(), MALFORMED, move |name, message| {
        changed(name, message, |fields| {
            fields.0.iter_mut().filter(|field| field.number == 1).for_each(|header| header.nested(set_revision));
        })
    });
}

#[test]
fn entries_in_another_order_fail_lists() {
    let Some(cluster) = cluster::shared() else { return };
    crate::support::fill(&opened(&cluster.url("unordered")), 10);
    assert_fail("unordered", &["list", "reverse list"], MALFORMED, |name, message| {
        changed(name, message, |fields| fields.0.reverse())
    });
}

#[test]
fn commits_without_results_have_an_unknown_outcome() {
    let Some(cluster) = cluster::shared() else { return };
    let setup = Setup::new(cluster, "results");
    setup.replacing.replace(|name, message| {
        changed(name, message, |fields| fields.0.retain(|field| name != "Txn" || field.number == 1))
    });
    let set = setup.database.write(AtomicWrite::new().mutate(set(key(9), 1)));
    let error = setup.runtime.block_on(set).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(crate::support::get(&opened(&cluster.url("results")), &key(9)), Some(1));
    setup.recover();
}

#[test]
fn leases_that_are_never_found_fail_writes_in_time() {
    let Some(cluster) = cluster::shared() else { return };
    let setup = Setup::new(cluster, "leases");
    setup.replacing.replace(|name, message| match name {
        "Txn" => Reply::Status(5, "etcdserver: requested lease not found".into()),
        _ => Reply::Message(message),
    });
    let with_id = |setup: &Setup| {
        let write = AtomicWrite::new().mutate(set(key(1), 1)).id(CommitId::new(&SystemRandom));
        setup.run(setup.database.write(write))
    };
    let calls: [&Call; 3] = [&|setup| setup.call("set"), &|setup| setup.call("versionstamped set"), &with_id];
    let reason = "did not find leases that it had granted";
    for call in calls {
        let failed = setup.failure(reason, call);
        assert!(failed.as_ref().is_err_and(|error| error.contains(reason)), "{failed:?}");
    }
    setup.recover();
}

#[test]
fn commits_that_never_succeed_fail_in_time() {
    // The marker is missing, as if the session had expired each time.
    assert_fail("rejected", &["set", "sum", "enqueue"], "etcd", |name, message| {
        changed(name, message, |fields| {
            let is_write = fields.0.iter_mut().filter(|field| field.number == 3).any(|response| {
                let mut is_write = false;
                response.nested(|response| is_write = response.0.iter().any(|field| [2, 4].contains(&field.number)));
                is_write
            });
            if is_write {
                fields.0.retain(|field| field.number == 1);
                let message = |number, field| Field::message(number, &Fields(Vec::from_iter(field)));
                let range = message(1, None);
                let transaction = message(4, Some(message(3, Some(range))));
                fields.0.push(message(3, Some(transaction)));
            }
        })
    });
}

#[test]
fn snapshots_that_are_always_compacted_fail_reads_in_time() {
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    let reason = "the revision was compacted while it was read";
    assert_fail("compacted", &["get", "list", "reverse list", "count"], reason, move |name, message| match name {
        "Range" | "Txn" => Reply::Status(11, compacted.into()),
        _ => Reply::Message(message),
    });
}

#[test]
fn mutated_responses_end_calls() {
    const MUTATIONS: u64 = 1000;
    let Some(cluster) = cluster::shared() else { return };
    let setup = Setup::new(cluster, "mutated");
    let count = Arc::new(AtomicU64::new(0));
    let mutations = count.clone();
    let mut random = StdRng::seed_from_u64(7);
    setup.replacing.replace(move |_, message| {
        if random.random_bool(0.7) {
            return Reply::Message(message);
        }
        mutations.fetch_add(1, Ordering::Relaxed);
        Reply::Message(mutated(&message, &mut random))
    });
    while count.load(Ordering::Relaxed) < MUTATIONS {
        // So that there are messages, whatever happened to them before.
        let _ = setup.failures(&["enqueue", "enqueue", "enqueue"]);
        let _ = setup.failures(&all());
    }
    setup.recover();
}

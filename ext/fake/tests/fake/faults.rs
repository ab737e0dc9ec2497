//! A failed request has changed nothing, and a lost reply is reported as an unknown outcome.

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, CommitId, Enqueue, Error, Mutation, Value};
use openkv_fake::{Fault, Options, open};

use crate::support::{fill, key, numbers, opened, stored};

#[test]
fn failed_write_writes_nothing() {
    let database = opened(Options::default().fault(0, Fault::Fail));
    let error = database.set_blocking(key(0), Value::U64(1)).unwrap_err();
    assert!(matches!(error, Error::Storage(_)) && error.is_failure() && error.is_transient());
    assert!(database.get_blocking(&key(0)).unwrap().is_none());
}

#[test]
fn write_with_a_lost_reply_is_stored_once() {
    let database = opened(Options::default().fault(0, Fault::Lose));
    let error = database.set_blocking(key(0), Value::U64(1)).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)) && error.is_failure() && !error.is_transient());
    assert_eq!(database.get_blocking(&key(0)).unwrap().unwrap().value, Value::U64(1));
}

#[test]
fn lost_answer_to_a_write_with_an_id_is_given_again() {
    let database = opened(Options::default().fault(0, Fault::Lose));
    let enqueue = Enqueue::new(b"\xff\x0fI\x02".to_vec());
    let write = AtomicWrite::new().mutate(Mutation::sum(key(0), 1)).enqueue(enqueue).id(CommitId([7; 16]));
    assert!(matches!(database.write_blocking(write.clone()), Err(Error::OutcomeUnknown(_))));
    let versionstamp = database.write_blocking(write).unwrap().versionstamp();
    let entry = database.get_blocking(&key(0)).unwrap().unwrap();
    assert_eq!((entry.value, Some(entry.versionstamp)), (Value::U64(1), versionstamp));
    assert_eq!(block_on(database.dequeue()).unwrap().len(), 1);
}

#[test]
fn failed_read_ends_listings_counts_and_deletions() {
    for fault in [Fault::Fail, Fault::Lose] {
        let options = (1..=4).fold(Options::default(), |options, request| options.fault(request, fault));
        let database = opened(options);
        fill(&database, 300);
        let mut list = database.list(numbers()).blocking();
        assert!(matches!(list.next(), Some(Err(Error::Storage(_)))) && list.next().is_none());
        assert!(matches!(database.get_blocking(&key(0)), Err(Error::Storage(_))));
        assert!(matches!(block_on(database.count(&numbers())), Err(Error::Storage(_))));
        assert!(matches!(block_on(database.delete_range(&numbers())), Err(Error::Storage(_))));
        assert_eq!(stored(&database).len(), 300);
    }
}

#[test]
fn deletion_with_a_lost_reply_has_an_unknown_outcome() {
    let database = opened(Options::default().fault(2, Fault::Lose));
    fill(&database, 3);
    assert!(matches!(block_on(database.delete_range(&numbers())), Err(Error::OutcomeUnknown(_))));
    assert!(stored(&database).is_empty());
}

#[test]
fn faults_depend_on_the_seed() {
    let outcomes = |seed: u64| {
        let options = format!("seed={seed},errors=0.2,lost=0.2").parse::<Options>().unwrap();
        // The opening may fail as well.
        let Ok(database) = block_on(open(":memory:", options)) else { return Vec::new() };
        let outcome = |i| match database.set_blocking(key(i), Value::U64(i)) {
            Ok(()) => "stored",
            Err(Error::OutcomeUnknown(_)) => "unknown",
            Err(_) => "failed",
        };
        (0..50).map(outcome).collect()
    };
    let seeds: Vec<_> = (0..8).map(outcomes).collect();
    assert_eq!(seeds, (0..8).map(outcomes).collect::<Vec<_>>());
    let all = seeds.concat();
    assert!(["stored", "unknown", "failed"].iter().all(|outcome| all.contains(outcome)));
    assert!(seeds.iter().any(|outcomes| *outcomes != seeds[0]));
}

#[test]
fn failed_open_can_be_retried() {
    let options = || "errors=1".parse::<Options>().unwrap();
    assert!(matches!(block_on(open("unreachable", options())), Err(Error::Storage(_))));
    assert!(matches!(block_on(open("unreachable", options())), Err(Error::Storage(_))));
}

//! Watches through the trait.

use std::sync::Arc;

use denokv_proto::{Database, KvEntry, WatchKeyOutput, WatchStream};
use futures_util::{FutureExt, StreamExt};
use openkv_engine::sqlite::Location;

use crate::support::*;

/// Returns the next entries of a watch, or `None` once it has ended.
async fn next(watch: &mut WatchStream) -> Option<Vec<Option<KvEntry>>> {
    let outputs = soon(watch.next()).await?.unwrap();
    let entries = outputs.into_iter().map(|output| match output {
        WatchKeyOutput::Changed { entry } => entry,
        WatchKeyOutput::Unchanged => panic!("deno_kv shows an unchanged key as one without a value"),
    });
    Some(entries.collect())
}

fn values(entries: Option<Vec<Option<KvEntry>>>) -> Vec<Option<String>> {
    entries.unwrap().iter().map(|entry| entry.as_ref().map(|entry| shown(&entry.value))).collect()
}

fn number(number: u64) -> Option<String> {
    Some(format!("U64({number})"))
}

#[tokio::test]
async fn watch_returns_current_entries_and_changes_by_another_handle() {
    let directory = tempfile::tempdir().unwrap();
    let (database, other) = (open(file(&directory), &Arc::default()), open(file(&directory), &Arc::default()));
    commit(&other, set("a", 1)).await;
    let mut watch = database.watch(vec![key("a"), key("b"), key("a")]);
    assert_eq!(values(next(&mut watch).await), [number(1), None, number(1)]);

    commit(&other, set("c", 1)).await;
    let version = commit(&other, set("b", 2)).await;
    let entries = next(&mut watch).await;
    assert_eq!(entries.as_ref().unwrap()[1].as_ref().unwrap().versionstamp, version);
    assert_eq!(values(entries), [number(1), number(2), number(1)]);

    commit(&other, mutate("a", denokv_proto::MutationKind::Delete)).await;
    assert_eq!(values(next(&mut watch).await), [None, number(2), None]);
    commit(&other, set("c", 2)).await;
    assert!(watch.next().now_or_never().is_none(), "no watched key changed");
}

#[tokio::test]
async fn watch_sees_changes_since_the_call() {
    let database = memory();
    let mut watch = database.watch(vec![key("a")]);
    commit(&database, set("a", 1)).await;
    commit(&database, set("a", 2)).await;
    assert_eq!(values(next(&mut watch).await), [number(2)]);
    assert!(watch.next().now_or_never().is_none());
}

#[tokio::test]
async fn watch_reports_expiry() {
    let clock = Arc::new(ManualClock::default());
    let database = open(Location::Memory, &clock);
    let mut write = set("a", 1);
    write.mutations[0].expire_at = Some(time(50));
    commit(&database, write).await;
    let mut watch = database.watch(vec![key("a")]);
    assert_eq!(values(next(&mut watch).await), [number(1)]);
    clock.set(50);
    assert_eq!(values(next(&mut watch).await), [None]);
}

#[tokio::test]
async fn watch_ends_when_the_database_is_closed() {
    let database = memory();
    let mut watch = database.watch(vec![key("a")]);
    let mut unpolled = database.watch(vec![key("a")]);
    assert_eq!(values(next(&mut watch).await), [None]);
    database.close();
    assert!(next(&mut watch).await.is_none());
    assert!(next(&mut unpolled).await.is_none());
    assert!(next(&mut database.watch(vec![key("a")])).await.is_none());
}

#[tokio::test]
async fn watch_checks_limits() {
    let database = memory();
    let mut none = database.watch(vec![]);
    assert!(next(&mut none).await.unwrap().is_empty());
    assert!(next(&mut none).await.is_none());

    let mut many = database.watch(vec![key("a"); 11]);
    assert_eq!(rejected(soon(many.next()).await.unwrap()), type_error("Too many keys (max 10)"));
    assert!(next(&mut many).await.is_none());
}

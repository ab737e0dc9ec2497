//! When entries expire.

use super::*;
use crate::Expiry;

#[test]
fn expiries_are_those_of_live_entries_in_the_order_of_calls() {
    let directory = tempfile::tempdir().unwrap();
    for location in [Location::Memory, Location::file(directory.path().join("kv.sqlite3"))] {
        let (options, clock) = options();
        let database = super::super::open(location, options).unwrap();
        let write = |name: &str, time| {
            let kind = MutationKind::Set { value: text(name), expire_at: time, versionstamped: false };
            database.write(AtomicWrite::new().mutate(Mutation { key: key(name), kind }))
        };
        let expiries = |names: &[&str]| {
            let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
            let expiries = database.expiries(&keys);
            let times = |found: Vec<Option<Expiry>>| found.into_iter().map(|found| found.map(|found| found.expires_at));
            async move { expiries.await.map(|found| times(found).collect::<Vec<_>>()) }
        };
        let writes = [write("a", Some(Time::At(50))), write("b", None)];
        let pending = expiries(&["b", "c", "a"]);
        let later = write("a", Some(Time::At(70)));
        assert_eq!(block_on(pending).unwrap(), [Some(None), None, Some(Some(50))]);
        for write in writes.into_iter().chain([later]) {
            block_on(write).unwrap().into_result().unwrap();
        }
        assert_eq!(block_on(expiries(&["a", "a"])).unwrap(), [Some(Some(70)), Some(Some(70))]);
        clock.0.store(70, Ordering::Relaxed);
        assert_eq!(block_on(expiries(&["a"])).unwrap(), [None]);
        let versionstamp = database.get_blocking(&key("b")).unwrap().unwrap().versionstamp;
        assert_eq!(block_on(database.expiries(&[key("b")])).unwrap()[0].unwrap().versionstamp, versionstamp);
        let many = vec![key("a"); 1001];
        assert!(matches!(block_on(database.expiries(&many)), Err(Error::TooManyEntries { max: 1000 })));
        database.close();
        assert!(matches!(block_on(expiries(&["a"])), Err(Error::Closed)));
    }
}

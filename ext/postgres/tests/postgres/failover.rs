//! Standbys, and their promotion.

use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Consistency, Error, Mutation, Read, ReadOptions, Value};
use openkv_postgres::cluster::{self, Server};

use crate::support::{commit, key, open, value};

/// Returns a primary and its synchronous standby, and the URL of both.
fn pair() -> Option<(Server, Server, String)> {
    let programs = cluster::installed()?;
    let primary = Server::primary(&programs, "fsync = off").unwrap();
    let standby = primary.standby("fsync = off").unwrap();
    primary.require_standby().unwrap();
    let url = format!("postgres://openkv@{},{}/postgres", primary.host(), standby.host());
    Some((primary, standby, url))
}

#[test]
fn clients_continue_with_the_promoted_standby() {
    let Some((primary, standby, url)) = pair() else { return };
    let database = open(&url).unwrap();
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert!(block_on(watch.next()).unwrap().unwrap()[0].is_none());
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let url = url.clone();
            thread::spawn(move || {
                let database = open(&url).unwrap();
                let mut last = None;
                for _ in 0..100 {
                    let sum = |number| Mutation::sum(key(number), 1);
                    let version = commit(&database, AtomicWrite::new().mutate(sum(0)).mutate(sum(1 + writer)));
                    assert!(Some(version) > last);
                    last = Some(version);
                }
            })
        })
        .collect();
    while value(&database, 0).unwrap_or_default() < 100 {}
    primary.kill();
    standby.promote().unwrap();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let values: Vec<_> = (0..5).map(|number| value(&database, number)).collect();
    assert_eq!(values, [400, 100, 100, 100, 100].map(Some));
    while block_on(watch.next()).unwrap().unwrap()[0].as_ref().unwrap().value != Value::U64(400) {}
}

#[test]
fn eventual_reads_use_a_standby_that_does_not_lag() {
    let Some((primary, standby, url)) = pair() else { return };
    let database = open(&url).unwrap();
    database.set_blocking(key(0), Value::U64(1)).unwrap();
    let a = key(0);
    let eventual = || {
        let options = ReadOptions::default().consistency(Consistency::Eventual);
        let lists = block_on(database.read(&[Read::Key(&a)], options)).unwrap();
        lists[0][0].value.clone()
    };
    let is_used =
        || standby.query("select count(*) from pg_stat_activity where application_name = 'openkv'").unwrap() != "0";
    while !is_used() {
        assert_eq!(eventual(), Some(Value::U64(1)));
    }
    // A standby that does not apply commits lags behind the writes of this client: it is not used.
    standby.query("select pg_wal_replay_pause()").unwrap();
    for i in 2..10 {
        database.set_blocking(key(0), Value::U64(i)).unwrap();
        assert_eq!(eventual(), Some(Value::U64(i)));
    }
    standby.query("select pg_wal_replay_resume()").unwrap();
    // Without the standby, the primary is read.
    primary.query("alter system reset synchronous_standby_names").unwrap();
    primary.query("select pg_reload_conf()").unwrap();
    standby.kill();
    assert_eq!(eventual(), Some(Value::U64(9)));
}

#[test]
fn standby_alone_is_read_only() {
    let Some((primary, standby, url)) = pair() else { return };
    open(&url).unwrap().set_blocking(key(0), Value::U64(1)).unwrap();
    let alone = format!("postgres://openkv@{}/postgres", standby.host());
    let error = open(&alone).unwrap_err().to_string();
    assert!(error.contains("it is a standby, which is read-only"), "{error}");
    // Until the standby has applied the commit that created the tables.
    let database = loop {
        match open(&format!("{alone}?target_session_attrs=any")) {
            Ok(database) => break database,
            Err(error) => assert!(error.to_string().contains("create the tables"), "{error}"),
        }
    };
    while value(&database, 0) != Some(1) {}
    assert!(matches!(database.set_blocking(key(0), Value::U64(2)), Err(Error::ReadOnly)));
    drop(primary);
}

#[test]
fn commit_whose_wait_for_the_standby_was_cancelled_waits_again() {
    let Some((primary, standby, url)) = pair() else { return };
    let database = open(&url).unwrap();
    database.set_blocking(key(0), Value::U64(0)).unwrap();
    standby.pause(true);
    let set = database.write(AtomicWrite::new().mutate(Mutation::sum(key(0), 1)));
    let setting = thread::spawn(move || block_on(set));
    let waiting = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
    let mut cancelled = 0;
    while cancelled < 3 {
        cancelled += primary.query(waiting).unwrap().lines().filter(|line| *line == "t").count();
        assert!(!setting.is_finished(), "a commit that is not replicated was confirmed");
    }
    standby.pause(false);
    setting.join().unwrap().unwrap().into_result().unwrap();
    primary.kill();
    standby.promote().unwrap();
    assert_eq!(value(&database, 0), Some(1));
}

#[test]
fn commit_without_a_standby_has_an_unknown_outcome() {
    let Some((primary, standby, url)) = pair() else { return };
    let address = openkv_postgres::Address::parse(&url).unwrap();
    let options = crate::support::options().retry_for(Duration::from_secs(2));
    let database = block_on(openkv_postgres::open(address, options)).unwrap();
    database.set_blocking(key(0), Value::U64(0)).unwrap();
    standby.pause(true);
    let error = database.set_blocking(key(0), Value::U64(1)).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert!(error.to_string().contains("start the standby"), "{error}");
    standby.pause(false);
    database.set_blocking(key(0), Value::U64(2)).unwrap();
    assert_eq!(value(&database, 0), Some(2));
    // A server that does not respond at all.
    primary.pause(true);
    let error = database.get_blocking(&key(0)).unwrap_err().to_string();
    assert!(error.contains("did not respond within 2 seconds"), "{error}");
    primary.pause(false);
    assert_eq!(value(&database, 0), Some(2));
}

#[test]
fn full_disk_is_an_error_and_clients_continue_when_there_is_space() {
    let Some(programs) = cluster::installed() else { return };
    let server = Server::primary(&programs, "fsync = off\ntemp_file_limit = -1").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m,mode=0777", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a small file system cannot be mounted");
        return;
    }
    struct Unmount<'d>(&'d std::path::Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(directory.path());
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(server.data()).unwrap());
    std::os::unix::fs::chown(directory.path(), Some(owner), None).unwrap();
    server.query(&format!("create tablespace small location '{}'", directory.path().display())).unwrap();
    let database = open(&server.url("disk")).unwrap();
    server.query("alter table disk.entries set tablespace small").unwrap();
    let mut bytes = vec![0; 60_000];
    openkv_engine::Random::fill(&openkv_engine::SystemRandom, &mut bytes);
    let mut stored = 0;
    let error = loop {
        match database.set_blocking(key(stored), Value::Bytes(bytes.clone())) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    assert_eq!(block_on(database.count(&crate::support::numbers())).unwrap(), stored, "nothing was written");
    block_on(database.delete_range(&crate::support::numbers())).unwrap();
    server.query("vacuum full disk.entries").unwrap_or_default();
    server.query("alter table disk.entries set tablespace pg_default").unwrap();
    database.set_blocking(key(0), Value::Bytes(bytes)).unwrap();
    assert_eq!(block_on(database.count(&crate::support::numbers())).unwrap(), 1);
}

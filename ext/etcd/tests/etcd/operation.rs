//! Users of a cluster, and what they may access.

use futures_executor::block_on;
use openkv_engine::{Database, Value};
use openkv_etcd::cluster::Cluster;
use openkv_etcd::{Options, open};

use crate::relay::{Replacing, Reply};
use crate::support::{get, key, opened};

/// Starts a cluster with the user `app`, who may access the database `app`. Authentication is not enabled yet.
fn with_user() -> Option<Cluster> {
    let cluster = Cluster::start_with(&["--auth-token-ttl=1"])?;
    for args in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "app"],
        &["role", "grant-permission", "--prefix", "app", "readwrite", "app/"],
        &["user", "add", "app:secret"],
        &["user", "grant-role", "app", "app"],
    ] {
        cluster.ctl(args);
    }
    Some(cluster)
}

/// Runs `etcdctl` as the administrator.
fn administer(cluster: &Cluster, args: &[&str]) {
    cluster.ctl(&[&["--user=root:root"], args].concat());
}

/// The end of the error of a call without a valid user.
const NO_USER: &str = "set OPENKV_ETCD_USER and OPENKV_ETCD_PASSWORD";

/// The end of the error of a call without access.
const NO_ACCESS: &str = "grant the user read and write access to its prefix";

#[test]
fn user_needs_a_password_and_access_to_the_prefix_alone() {
    let Some(cluster) = with_user() else { return };
    cluster.ctl(&["auth", "enable"]);
    let open = |name: &str, options: Options| block_on(open(&cluster.url(name), options));
    let user = |password: &str| Options::default().credentials("app", password);
    for options in [Options::default(), user("wrong")] {
        let error = open("app", options).map(drop).unwrap_err().to_string();
        assert!(error.ends_with(NO_USER), "{error}");
    }
    let error = open("other", user("secret")).map(drop).unwrap_err().to_string();
    assert!(error.ends_with(NO_ACCESS), "{error}");

    let database = open("app", user("secret")).unwrap();
    block_on(database.set(key(0), Value::U64(1))).unwrap();
    // Nothing reports the expiry of a token.
    std::thread::sleep(std::time::Duration::from_secs(4));
    block_on(database.set(key(0), Value::U64(2))).unwrap();
    assert_eq!(get(&database, &key(0)), Some(2));
}

#[test]
fn rejected_token_is_renewed_once_for_all_calls() {
    let Some(cluster) = with_user() else { return };
    cluster.ctl(&["auth", "enable"]);
    let replacing = Replacing::start(&cluster);
    let options = Options::default().credentials("app", "secret");
    let database = block_on(open(&replacing.relays.url("app"), options)).unwrap();
    for round in 1..=5 {
        // All calls in flight are rejected, until one has requested a new token.
        let calls = replacing.calls();
        let before = calls.of("Authenticate");
        replacing.replace(move |name, message| {
            if name == "Range" && calls.of("Authenticate") == before {
                return Reply::Status(16, "etcdserver: invalid auth token".into());
            }
            Reply::Message(message)
        });
        let reads: Vec<_> = (0..100).map(|_| database.get(&key(0))).collect();
        reads.into_iter().for_each(|read| assert_eq!(block_on(read).unwrap(), None));
        assert_eq!(replacing.calls().of("Authenticate"), before + 1, "{round}");
    }
}

#[test]
fn access_may_change_while_a_database_is_open() {
    let Some(cluster) = with_user() else { return };
    let url = cluster.url("app");
    let anonymous = opened(&url);
    let database = block_on(open(&url, Options::default().credentials("app", "secret"))).unwrap();
    let set = |database: &Database| block_on(database.set(key(0), Value::U64(1))).map_err(|error| error.to_string());
    set(&anonymous).unwrap();
    set(&database).unwrap();

    cluster.ctl(&["auth", "enable"]);
    let error = set(&anonymous).unwrap_err();
    assert!(error.ends_with(NO_USER), "{error}");
    set(&database).unwrap();

    administer(&cluster, &["role", "revoke-permission", "--prefix", "app", "app/"]);
    let error = set(&database).unwrap_err();
    assert!(error.ends_with(NO_ACCESS), "{error}");
    let error = block_on(database.get(&key(0))).unwrap_err().to_string();
    assert!(error.ends_with(NO_ACCESS), "{error}");
    administer(&cluster, &["role", "grant-permission", "--prefix", "app", "readwrite", "app/"]);
    set(&database).unwrap();

    administer(&cluster, &["user", "delete", "app"]);
    let error = set(&database).unwrap_err();
    assert!(error.ends_with(NO_USER), "{error}");

    administer(&cluster, &["auth", "disable"]);
    set(&anonymous).unwrap();
    set(&database).unwrap();
}

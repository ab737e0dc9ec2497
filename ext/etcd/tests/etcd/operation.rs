//! Users of a cluster, and what they may access.

use futures_executor::block_on;
use openkv_engine::Value;
use openkv_etcd::{Options, open};

use crate::support::{get, key};
use openkv_etcd::cluster::Cluster;

#[test]
fn user_needs_a_password_and_access_to_the_prefix_alone() {
    let Some(cluster) = Cluster::start_with(&["--auth-token-ttl=1"]) else { return };
    for args in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "app"],
        &["role", "grant-permission", "--prefix", "app", "readwrite", "app/"],
        &["user", "add", "app:secret"],
        &["user", "grant-role", "app", "app"],
        &["auth", "enable"],
    ] {
        cluster.ctl(args);
    }
    let open = |name: &str, options: Options| block_on(open(&cluster.url(name), options));
    let user = |password: &str| Options::default().credentials("app", password);
    for options in [Options::default(), user("wrong")] {
        let error = open("app", options).map(drop).unwrap_err().to_string();
        assert!(error.ends_with("set OPENKV_ETCD_USER and OPENKV_ETCD_PASSWORD"), "{error}");
    }
    let error = open("other", user("secret")).map(drop).unwrap_err().to_string();
    assert!(error.ends_with("grant the user read and write access to its prefix"), "{error}");

    let database = open("app", user("secret")).unwrap();
    block_on(database.set(key(0), Value::U64(1))).unwrap();
    // Nothing reports the expiry of a token.
    std::thread::sleep(std::time::Duration::from_secs(4));
    block_on(database.set(key(0), Value::U64(2))).unwrap();
    assert_eq!(get(&database, &key(0)), Some(2));
}

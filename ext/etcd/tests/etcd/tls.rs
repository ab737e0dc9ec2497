//! A cluster that requires TLS, and certificates of clients.

use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{Database, Value};
use openkv_etcd::cluster::Cluster;
use openkv_etcd::{Environment, Options, open};

use crate::support::{get, key};

#[test]
fn certificates_of_the_cluster_and_of_the_client_are_verified() {
    let Some(cluster) = Cluster::start_secure() else { return };
    let url = cluster.url("secure");
    let mut environment = Environment::default();
    environment.root_certificates = Some(cluster.file("ca.pem"));
    let anonymous = environment.clone();
    environment.certificate = Some(cluster.file("client.pem"));
    environment.key = Some(cluster.file("client.key"));
    let complete = environment.clone();
    environment.root_certificates = Some(cluster.file("client.pem"));
    let distrustful = environment;

    let database = block_on(open(&url, Options::default().environment(complete.clone()))).unwrap();
    let mut watch = database.watch(&[key(0)]).unwrap();
    assert_eq!(block_on(watch.next()).unwrap().unwrap(), [None]);
    block_on(database.set(key(0), Value::U64(1))).unwrap();
    assert_eq!(get(&database, &key(0)), Some(1));
    assert_eq!(block_on(watch.next()).unwrap().unwrap()[0].as_ref().unwrap().value, Value::U64(1));

    let failed = |url: &str, environment: &Environment| {
        let options = Options::default().environment(environment.clone()).retry_for(Duration::from_millis(500));
        block_on(open(url, options)).map(|_: Database| ()).unwrap_err().to_string()
    };
    // The node closes the connection while the client is writing: each time, the client says why nevertheless.
    for _ in 0..10 {
        let error = failed(&url, &anonymous);
        assert!(error.contains("received fatal alert: "), "{error}");
    }
    let error = failed(&url, &distrustful);
    assert!(error.contains("invalid peer certificate"), "{error}");
    let error = failed(&url.replace("127.0.0.1", "localhost"), &complete);
    assert!(error.contains("not valid for name"), "{error}");
    let error = failed(&url.replace("etcds://", "etcd://"), &Environment::default());
    assert!(error.contains("no etcd node of "), "{error}");
}

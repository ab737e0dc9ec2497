//! `Deno.openKv` and commands with URLs of databases in etcd.

use openkv_etcd::cluster;

use crate::services::{OPEN, check_files_only, check_sharing, denied, run};
use crate::support::Sandbox;

#[test]
fn programs_and_clients_of_a_server_share_a_database() {
    let Some(cluster) = cluster::shared() else { return };
    check_sharing(&cluster.url("shared"));
}

#[test]
fn url_requires_permissions_for_each_node_and_what_completes_it() {
    let Some(cluster) = cluster::shared() else { return };
    let sandbox = Sandbox::new();
    let url = cluster.url("permitted");
    let nodes = url.trim_start_matches("etcd://").trim_end_matches("/permitted");
    let (first, _) = nodes.split_once(',').unwrap();
    let (_, last) = nodes.rsplit_once(',').unwrap();
    let opened = |flags: &[&str]| run(&sandbox, flags, &[], &url, OPEN).stdout();
    assert_eq!(opened(&[]), denied(&format!("net access to {first:?}"), "--allow-net"));
    let without_last = nodes.trim_end_matches(&format!(",{last}"));
    let flag = format!("--allow-net={without_last}");
    assert_eq!(opened(&[&flag]), denied(&format!("net access to {last:?}"), "--allow-net"));
    let flag = format!("--allow-net={nodes}");
    assert_eq!(opened(&[&flag]), denied("env access to \"OPENKV_ETCD_USER\"", "--allow-env"));
    assert_eq!(opened(&[&flag, "--allow-env=OPENKV_ETCD_USER,OPENKV_ETCD_PASSWORD"]), "opened\n");
}

#[test]
fn certificates_require_permissions_for_their_files() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("root.pem").display().to_string();
    let variables = [("OPENKV_ETCD_CACERT", root.as_str())];
    let opened =
        |flags: &[&str]| run(&sandbox, &[&["--allow-net"], flags].concat(), &variables, "etcds://127.0.0.1:1/db", OPEN);
    let env = "--allow-env=OPENKV_ETCD_USER,OPENKV_ETCD_PASSWORD";
    assert_eq!(opened(&[env]).stdout(), denied("env access to \"OPENKV_ETCD_CACERT\"", "--allow-env"));
    let file = denied(&format!("read access to {root:?}"), "--allow-read");
    assert_eq!(opened(&["--allow-env"]).stdout(), file);
    sandbox.write("root.pem", "no certificate");
    let invalid =
        format!("TypeError failed to read the certificate or key in {root:?}: the file contains no certificate\n");
    assert_eq!(opened(&["--allow-env", "--allow-read"]).stdout(), invalid);
}

#[test]
fn unusable_urls_are_errors_that_say_why() {
    let sandbox = Sandbox::new();
    let opened = |url: &str, variables: &[(&str, &str)]| run(&sandbox, &["-A"], variables, url, OPEN).stdout();
    let invalid = "TypeError invalid database URL \"etcd://127.0.0.1\": it has no name of a database: ";
    assert!(opened("etcd://127.0.0.1", &[]).starts_with(invalid));
    let incomplete = "TypeError OPENKV_ETCD_USER is set without OPENKV_ETCD_PASSWORD: set both, or neither\n";
    assert_eq!(opened("etcd://127.0.0.1:1/db", &[("OPENKV_ETCD_USER", "app")]), incomplete);
    let serve = |url: &str| sandbox.openkv(["db", "serve", url, "--token", "a=some-token-of-a-test"]).stderr;
    let served = serve("etcd://127.0.0.1:1/");
    assert!(served.contains("the name must have 1 to 64 letters"), "{served}");
    let served = serve("etcds://127.0.0.1:1/db");
    assert!(served.contains("set OPENKV_ETCD_CACERT to a PEM file"), "{served}");
}

#[test]
fn commands_for_files_reject_urls() {
    check_files_only("etcd://127.0.0.1/shop", "docs/etcd.md");
}

//! `Deno.openKv` and commands with URLs of databases in PostgreSQL.

use openkv_postgres::cluster;

use crate::services::{OPEN, check_files_only, check_sharing, denied, run};
use crate::support::Sandbox;

#[test]
fn programs_and_clients_of_a_server_share_a_database() {
    let Some(server) = cluster::shared() else { return };
    check_sharing(&server.url("shared"));
}

#[test]
fn url_requires_permissions_for_each_host_and_what_completes_it() {
    let Some(server) = cluster::shared() else { return };
    let sandbox = Sandbox::new();
    let host = server.host();
    let opened = |flags: &[&str], url: &str| run(&sandbox, flags, &[], url, OPEN).stdout();
    let whole = format!("postgres://{}:any@{host}/postgres?schema=permitted", cluster::USER);
    assert_eq!(opened(&[], &whole), denied(&format!("net access to {host:?}"), "--allow-net"));
    assert_eq!(opened(&[&format!("--allow-net={host}")], &whole), "opened\n");
    let two = whole.replace(&host, &format!("{host},127.0.0.1:1"));
    let second = denied("net access to \"127.0.0.1:1\"", "--allow-net");
    assert_eq!(opened(&[&format!("--allow-net={host}")], &two), second);
    let no_password = server.url("permitted");
    assert_eq!(opened(&["--allow-net"], &no_password), denied("env access to \"PGUSER\"", "--allow-env"));
    assert_eq!(opened(&["--allow-net", "--allow-env"], &no_password), "opened\n");
    let root = format!("{whole}&sslrootcert={}", sandbox.path("root.pem").display());
    let file = denied(&format!("read access to {:?}", sandbox.path("root.pem")), "--allow-read");
    assert_eq!(opened(&["--allow-net"], &root), file);
}

#[test]
fn unusable_urls_are_errors_that_say_why() {
    let sandbox = Sandbox::new();
    let opened = |url: &str| run(&sandbox, &["-A"], &[], url, OPEN).stdout();
    let unknown = opened("postgres://127.0.0.1/db?unknown=1");
    assert!(unknown.starts_with("TypeError invalid database URL: the parameter \"unknown\" is unknown"), "{unknown}");
    let refused = opened("postgres://app:secret@127.0.0.1:1/db");
    assert!(
        refused.starts_with("TypeError unable to connect to 'postgres://app@127.0.0.1:1/db': 127.0.0.1:1: "),
        "{refused}"
    );
    assert!(refused.contains("Connection refused"), "{refused}");
    let served = sandbox
        .openkv(["db", "serve", "postgres://127.0.0.1/db?sslmode=none", "--token", "a=some-token-of-a-test"])
        .stderr;
    assert!(served.contains("invalid database URL: sslmode=none is not supported"), "{served}");
}

#[test]
fn commands_for_files_reject_urls() {
    check_files_only("postgres://app:secret@db/shop", "docs/postgres.md");
}

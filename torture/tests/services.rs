//! Short forms of the commands on etcd and PostgreSQL. They start processes of the program, which therefore runs as one.
#![cfg(unix)]

use std::process::Command;

/// Runs a command, which must find no violated guarantee.
#[track_caller]
fn holds(args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_openkv_torture")).args(args).output().expect("the program starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn holds_in_etcd(args: &[&str]) {
    if openkv_etcd::cluster::is_installed() {
        holds(args);
    }
}

#[track_caller]
fn holds_in_postgres(args: &[&str]) {
    if openkv_postgres::cluster::installed().is_some() {
        holds(args);
    }
}

#[test]
fn histories_in_etcd_are_linearizable() {
    holds_in_etcd(&["linear", "--on", "etcd", "--histories", "15"]);
}

#[test]
fn histories_in_postgres_are_linearizable() {
    holds_in_postgres(&["linear", "--on", "postgres", "--histories", "15"]);
}

#[test]
fn killed_clients_of_etcd_lose_no_acknowledged_write() {
    holds_in_etcd(&["crash", "--on", "etcd", "--rounds", "5"]);
}

#[test]
fn killed_clients_of_postgres_lose_no_acknowledged_write() {
    holds_in_postgres(&["crash", "--on", "postgres", "--rounds", "5"]);
}

#[test]
fn etcd_agrees_with_the_model() {
    holds_in_etcd(&["model", "--on", "etcd", "--histories", "15", "--programs", "0"]);
}

#[test]
fn postgres_agrees_with_the_model() {
    holds_in_postgres(&["model", "--on", "postgres", "--histories", "15", "--programs", "0"]);
}

#[test]
fn killed_leaders_of_etcd_lose_no_acknowledged_write() {
    holds_in_etcd(&["failover", "--etcd", "--rounds", "2"]);
}

#[test]
fn killed_primaries_of_postgres_lose_no_acknowledged_write() {
    holds_in_postgres(&["failover", "--rounds", "1"]);
}

#[test]
fn primaries_that_patroni_replaces_lose_no_acknowledged_write() {
    if Command::new("patroni").arg("--version").output().is_ok() {
        if openkv_etcd::cluster::is_installed() {
            holds_in_postgres(&["failover", "--patroni", "--rounds", "1"]);
        }
    } else {
        let required = std::env::var("OPENKV_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "patroni"), "Patroni is required, and not installed");
        eprintln!("skipped: Patroni is not installed (Debian: patroni)");
    }
}

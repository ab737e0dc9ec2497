//! Clients of two servers over a cluster of etcd, whose leader is killed meanwhile: they see a pause, and no error.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Command, Stdio};

use openkv_etcd::cluster::Cluster;

use crate::clients::{node_modules, runs};
use crate::db_serve::{Served, TOKEN};
use crate::support::{Running, Sandbox, repository, say, skip};

/// Runs `tests/clients/failover.mjs` with a command, kills the leader, and starts the node again.
#[track_caller]
fn sees_no_error(mut client: Command) {
    let Some(mut cluster) = Cluster::start() else { return };
    let sandbox = Sandbox::new();
    let url = cluster.url("clients");
    let servers = [(); 2].map(|()| Served::start(&sandbox, &[&url]));
    client.arg(repository("tests/clients/failover.mjs")).args(servers.iter().map(|server| &server.url));
    client.current_dir(sandbox.path("")).env("DENO_KV_ACCESS_TOKEN", TOKEN).env("DENO_NO_UPDATE_CHECK", "1");
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Running(client.spawn().expect("the client starts"));
    let mut input = process.0.stdin.take().unwrap();
    let mut output = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let mut errors = process.0.stderr.take().unwrap();
    let mut line = || {
        let line = output.next().transpose().unwrap();
        line.unwrap_or_else(|| {
            let mut printed = String::new();
            errors.read_to_string(&mut printed).unwrap();
            panic!("the client ended: {printed}");
        })
    };
    assert_eq!(line(), "started");
    let leader = cluster.leader().expect("the cluster has a leader");
    cluster.kill_node(leader);
    input.write_all(b"killed\n").unwrap();
    assert_eq!(line(), "continued");
    cluster.start_node(leader);
    drop(input);
    say(&line());
    assert!(process.0.wait().unwrap().success());
}

#[test]
fn deno_continues_when_a_node_of_etcd_is_killed() {
    if !runs("deno") {
        return skip("deno", "as a client of servers over etcd: it is not on the PATH");
    }
    let mut deno = Command::new("deno");
    deno.args(["run", "-A", "--quiet", "--unstable-kv"]);
    sees_no_error(deno);
}

#[test]
fn node_continues_when_a_node_of_etcd_is_killed() {
    let modules = node_modules();
    if !modules.join("@deno/kv").is_dir() || !runs("node") {
        let modules = modules.display();
        return skip(
            "node",
            &format!("as a client of servers over etcd: it is not on the PATH, or {modules} lacks @deno/kv"),
        );
    }
    let mut node = Command::new("node");
    node.arg("--import").arg(repository("tests/clients/node.mjs")).env("NODE_MODULES", &modules);
    sees_no_error(node);
}

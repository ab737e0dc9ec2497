//! `Deno.openKv` and commands with URLs of databases in etcd.

use openkv_etcd::cluster;

use crate::db_serve::{Served, TOKEN};
use crate::support::{Output, Sandbox};

fn run(sandbox: &Sandbox, flags: &[&str], variables: &[(&str, &str)], url: &str, script: &str) -> Output {
    sandbox.write("main.ts", script);
    let mut command = sandbox.command(["run", "--no-prompt"].iter().chain(flags).chain(&["main.ts", url]));
    command.env("DENO_KV_ACCESS_TOKEN", TOKEN).envs(variables.iter().copied());
    Output::of(command, "")
}

/// Prints the name and the message of the error, or "opened".
const OPEN: &str = r#"
try {
  (await Deno.openKv(Deno.args[0])).close();
  console.log("opened");
} catch (error) {
  const { name, message } = error as Error;
  console.log(name, message);
}
"#;

#[test]
fn programs_and_clients_of_a_server_share_a_database() {
    let Some(cluster) = cluster::shared() else { return };
    let (sandbox, url) = (Sandbox::new(), cluster.url("shared"));
    let set = r#"
        const kv = await Deno.openKv(Deno.args[0]);
        const watched = (async () => {
          for await (const [entry] of kv.watch<[Map<string, number>]>([["map"]])) if (entry.value !== null) return entry.value;
        })();
        console.log((await kv.set(["map"], new Map([["a", 1]]))).ok, await watched);
        await kv.enqueue("hello");
        await new Promise<void>((resolve) => kv.listenQueue((message) => { console.log(message); resolve(); }));
        kv.close();
    "#;
    assert_eq!(run(&sandbox, &["-A"], &[], &url, set).stdout(), "true Map(1) { \"a\" => 1 }\nhello\n");
    let get = r#"
        const kv = await Deno.openKv(Deno.args[0]);
        console.log(await kv.get(["map"]).then(({ value }) => value));
        console.log(await Array.fromAsync(kv.list({ prefix: [] }, { consistency: "eventual" }), ({ key }) => key));
        kv.close();
    "#;
    let expected = "Map(1) { \"a\" => 1 }\n[ [ \"map\" ] ]\n";
    assert_eq!(run(&sandbox, &["-A"], &[], &url, get).stdout(), expected);
    let served = Served::start(&sandbox, &[&url]);
    assert_eq!(run(&sandbox, &["-A"], &[], &served.url, get).stdout(), expected);
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
    let denied = |what: &str, flag: &str| format!("NotCapable Requires {what}, run again with the {flag} flag\n");
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
    let denied = "NotCapable Requires env access to \"OPENKV_ETCD_CACERT\", run again with the --allow-env flag\n";
    assert_eq!(opened(&[env]).stdout(), denied);
    let denied = format!("NotCapable Requires read access to {root:?}, run again with the --allow-read flag\n");
    assert_eq!(opened(&["--allow-env"]).stdout(), denied);
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
    let sandbox = Sandbox::new();
    let output = sandbox.openkv(["db", "compact", "etcd://127.0.0.1/shop"]);
    assert_ne!(output.code, Some(0));
    assert!(output.stderr.contains("this command is for files, not for URLs: see docs/etcd.md"), "{}", output.stderr);
}

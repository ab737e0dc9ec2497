//! `Deno.openKv` and commands with URLs of databases in PostgreSQL.

use openkv_postgres::cluster;

use crate::db_serve::{Served, TOKEN};
use crate::support::{Output, Sandbox};

fn run(sandbox: &Sandbox, flags: &[&str], url: &str, script: &str) -> Output {
    sandbox.write("main.ts", script);
    let mut command = sandbox.command(["run", "--no-prompt"].iter().chain(flags).chain(&["main.ts", url]));
    command.env("DENO_KV_ACCESS_TOKEN", TOKEN);
    Output::of(command, "")
}

/// Prints the name and the message of the error, without ports, or "opened".
const OPEN: &str = r#"
try {
  (await Deno.openKv(Deno.args[0])).close();
  console.log("opened");
} catch (error) {
  const { name, message } = error as Error;
  console.log(name, message.replaceAll(/127\.0\.0\.1:\d{2,}/g, "HOST"));
}
"#;

#[test]
fn programs_and_clients_of_a_server_share_a_database() {
    let Some(server) = cluster::shared() else { return };
    let (sandbox, url) = (Sandbox::new(), server.url("shared"));
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
    assert_eq!(run(&sandbox, &["-A"], &url, set).stdout(), "true Map(1) { \"a\" => 1 }\nhello\n");
    let get = r#"
        const kv = await Deno.openKv(Deno.args[0]);
        console.log(await kv.get(["map"]).then(({ value }) => value));
        console.log(await Array.fromAsync(kv.list({ prefix: [] }, { consistency: "eventual" }), ({ key }) => key));
        kv.close();
    "#;
    let expected = "Map(1) { \"a\" => 1 }\n[ [ \"map\" ] ]\n";
    assert_eq!(run(&sandbox, &["-A"], &url, get).stdout(), expected);
    let served = Served::start(&sandbox, &[&url]);
    assert_eq!(run(&sandbox, &["-A"], &served.url, get).stdout(), expected);
}

#[test]
fn url_requires_permissions_for_each_host_and_what_completes_it() {
    let Some(server) = cluster::shared() else { return };
    let sandbox = Sandbox::new();
    let host = server.host();
    let opened = |flags: &[&str], url: &str| run(&sandbox, flags, url, OPEN).stdout();
    let whole = format!("postgres://{}:any@{host}/postgres?schema=permitted", cluster::USER);
    let denied = |what: &str, flag: &str| format!("NotCapable Requires {what}, run again with the {flag} flag\n");
    assert_eq!(opened(&[], &whole), denied("net access to \"HOST\"", "--allow-net"));
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
    let opened = |url: &str| run(&sandbox, &["-A"], url, OPEN).stdout();
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
    let sandbox = Sandbox::new();
    let output = sandbox.openkv(["db", "compact", "postgres://app:secret@db/shop"]);
    assert_ne!(output.code, Some(0));
    assert!(
        output.stderr.contains("this command is for files, not for URLs: see docs/postgres.md"),
        "{}",
        output.stderr
    );
}

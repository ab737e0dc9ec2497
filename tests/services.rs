//! What the tests of databases in etcd and in PostgreSQL share.

use crate::db_serve::{Served, TOKEN};
use crate::support::{Output, Sandbox};

/// Prints the name and the message of the error, or "opened".
pub const OPEN: &str = r#"
try {
  (await Deno.openKv(Deno.args[0])).close();
  console.log("opened");
} catch (error) {
  const { name, message } = error as Error;
  console.log(name, message);
}
"#;

/// Runs a script that receives a URL, with flags and environment variables.
pub fn run(sandbox: &Sandbox, flags: &[&str], variables: &[(&str, &str)], url: &str, script: &str) -> Output {
    sandbox.write("main.ts", script);
    let mut command = sandbox.command(["run", "--no-prompt"].iter().chain(flags).chain(&["main.ts", url]));
    command.env("DENO_KV_ACCESS_TOKEN", TOKEN).envs(variables.iter().copied());
    Output::of(command, "")
}

/// Returns what [`OPEN`] prints without a permission.
pub fn denied(what: &str, flag: &str) -> String {
    format!("NotCapable Requires {what}, run again with the {flag} flag\n")
}

/// Checks that programs, and clients of a server, share an empty database.
pub fn check_sharing(url: &str) {
    let sandbox = Sandbox::new();
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
    assert_eq!(run(&sandbox, &["-A"], &[], url, set).stdout(), "true Map(1) { \"a\" => 1 }\nhello\n");
    let get = r#"
        const kv = await Deno.openKv(Deno.args[0]);
        console.log(await kv.get(["map"]).then(({ value }) => value));
        console.log(await Array.fromAsync(kv.list({ prefix: [] }, { consistency: "eventual" }), ({ key }) => key));
        kv.close();
    "#;
    let expected = "Map(1) { \"a\" => 1 }\n[ [ \"map\" ] ]\n";
    assert_eq!(run(&sandbox, &["-A"], &[], url, get).stdout(), expected);
    let served = Served::start(&sandbox, &[url]);
    assert_eq!(run(&sandbox, &["-A"], &[], &served.url, get).stdout(), expected);
}

/// Checks that a command for files refers to a page of the documentation.
pub fn check_files_only(url: &str, page: &str) {
    let sandbox = Sandbox::new();
    let output = sandbox.openkv(["db", "compact", url]);
    assert_ne!(output.code, Some(0));
    let expected = format!("this command is for files, not for URLs: see {page}");
    assert!(output.stderr.contains(&expected), "{}", output.stderr);
}

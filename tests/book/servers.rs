//! The examples of docs/serving.md, docs/postgres.md and docs/etcd.md. Their servers listen on free ports instead of those of the pages.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{blocks, run_commands, shell};
use crate::clients::{node_modules, runs};
use crate::support::{Running, Sandbox, skip};

/// The address of the server in the examples.
const ADDRESS: &str = "127.0.0.1:4512";

/// A server that the commands of an example start.
struct Server {
    _process: Running,
    /// The first line that it prints.
    line: String,
    address: String,
}

impl Server {
    /// Runs commands of which the last starts a server, and waits until it listens.
    #[track_caller]
    fn start(sandbox: &Sandbox, commands: &str) -> Self {
        // The shell must not outlive the server.
        let mut command = shell(sandbox, &commands.replace("openkv db serve", "exec openkv db serve"));
        command.env("REPORTS_TOKEN", "a token for reports").stdout(Stdio::piped());
        let mut process = Running(command.spawn().expect("the shell starts"));
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().split_once("://").unwrap_or_else(|| panic!("{commands} prints {line:?}"));
        Self { address: address.to_owned(), _process: process, line }
    }
}

/// Returns the texts of the blocks of a page, which must be in these languages.
#[track_caller]
fn texts<const N: usize>(page: &str, languages: [&str; N]) -> [String; N] {
    let blocks = blocks(page);
    let found: Vec<_> = blocks.iter().map(|block| block.language.as_str()).collect();
    assert_eq!(found, languages, "the languages of the blocks of docs/{page}");
    let mut texts = blocks.into_iter().map(|block| block.text);
    std::array::from_fn(|_| texts.next().expect("the number of blocks is that of the languages"))
}

#[test]
fn examples_of_serving() {
    let sandbox = Sandbox::new();
    let languages = ["sh", "text", "ts", "sh", "text", "js", "sh", "sh", "json", "sh", "sh"];
    let [start, line, script, run, printed, node_script, run_node, maintain, config, start_tls, certificate] =
        texts("serving.md", languages);
    let success = |commands: &str| {
        let output = run_commands(&sandbox, commands);
        assert_eq!(output.code, Some(0), "{commands} prints\n{}{}", output.stdout, output.stderr);
        output.stdout
    };

    let server = Server::start(&sandbox, &format!("{} --addr 127.0.0.1:0", start.trim_end()));
    assert_eq!(server.line, line.replace(ADDRESS, &server.address));
    sandbox.write("main.ts", script.replace(ADDRESS, &server.address));
    let mut outputs = String::new();
    for command in run.lines() {
        if command.contains(" deno run ") && !runs("deno") {
            skip("deno", "as a client of the example: it is not on the PATH");
        } else {
            outputs += &success(command);
        }
    }
    assert!(!outputs.is_empty() && printed.starts_with(&outputs), "{outputs}");
    if runs("node") && node_modules().join("@deno/kv").is_dir() {
        std::os::unix::fs::symlink(node_modules(), sandbox.path("node_modules")).unwrap();
        sandbox.write("main.mjs", node_script.replace(ADDRESS, &server.address));
        let output = success(&run_node);
        assert!(output.starts_with("goodbye from Node\n"), "{output}");
    } else {
        skip("node", "as a client of the example: it is not on the PATH, or lacks @deno/kv");
    }
    success(&maintain);
    drop(server);

    success(&certificate);
    let server = Server::start(&sandbox, &start_tls.replace("0.0.0.0:4512", "127.0.0.1:0"));
    let (_, port) = server.address.rsplit_once(':').unwrap();
    sandbox.write("main.ts", script.replace(&format!("http://{ADDRESS}"), &format!("https://localhost:{port}")));
    let output = success("DENO_KV_ACCESS_TOKEN=$(cat token) openkv run -A --cert cert.pem main.ts");
    assert!(output.starts_with("hello, remote world\n"), "{output}");
    drop(server);

    sandbox.write("serve.json", config.replace("0.0.0.0:4512", "127.0.0.1:0").replace("127.0.0.1:4513", "127.0.0.1:0"));
    success("cp token web.token");
    let server = Server::start(&sandbox, "openkv db serve --config serve.json");
    assert!(server.line.starts_with("listening on https://127.0.0.1:"), "{}", server.line);
}

#[cfg(feature = "postgres")]
#[test]
fn examples_of_postgres() {
    use openkv_postgres::cluster::{Server, installed};

    let Some(programs) = installed() else { return };
    let server = Server::primary(&programs, "fsync = off").unwrap();
    let [script, create, grant] = texts("postgres.md", ["ts", "sql", "sql"]);
    let sandbox = Sandbox::new();
    let open = |user: &str, rest: &str| {
        let url = format!("postgres://{user}@{}/postgres", server.host());
        sandbox.run(&(script.replace("postgres://app@db1,db2/shop", &url) + rest)).stdout()
    };
    server.query(&create).unwrap();
    assert_eq!(open("kv_owner", "kv.close();"), "");
    server.query(&grant).unwrap();
    let write = r#"
        await kv.set(["greeting"], "hello");
        console.log((await kv.get(["greeting"])).value);
        kv.close();
    "#;
    assert_eq!(open("app:...", write), "hello\n");
}

#[cfg(feature = "etcd")]
#[test]
fn examples_of_etcd() {
    let Some(cluster) = openkv_etcd::cluster::shared() else { return };
    let [script] = texts("etcd.md", ["ts"]);
    let script = script.replace("etcd://host1:2379,host2:2379,host3:2379/name", &cluster.url("book"));
    let rest = r#"
        await kv.set(["greeting"], "hello");
        console.log((await kv.get(["greeting"])).value);
        kv.close();
    "#;
    assert_eq!(Sandbox::new().run(&(script + rest)).stdout(), "hello\n");
}

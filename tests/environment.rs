//! What scripts change in their environment gives them no permission, and moves no file of theirs or of the runtime.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use crate::modules::Server;
use crate::support::Sandbox;

/// Uses all that a variable may lead elsewhere, and prints a line for each.
const SCRIPT: &str = r#"
    const [name, value, server, closed] = Deno.args;
    Deno.env.set(name, value);
    async function show(what: string, use: () => unknown) {
        try {
            console.log(what, await use());
        } catch (error) {
            console.log(what, error.name);
        }
    }
    await show("kv", async () => (await Deno.openKv()).close());
    await show("kv in own", async () => (await Deno.openKv("own/x.db")).close());
    await show("fetch", async () => await (await fetch(server + "/a.ts")).text());
    await show("import", async () => (await import(server + "/a.ts")).default);
    await show("jsr", async () => (await import(["jsr:", "@kv/tool@1"].join(""))).default);
    const { hostname } = new URL(server);
    await show("tls", () => Deno.connectTls({ hostname, port: Number(closed) }));
    await show("authorities", () => Deno.createHttpClient({}).close());
    await show("fetch of https", () => fetch(`https://${hostname}:${closed}`));
    await show("run", async () => new TextDecoder().decode((await new Deno.Command("tool").output()).stdout).trim());
    await show("temporary", () => Deno.makeTempFileSync().includes("/own/"));
    await show("serve", async () => await Deno.serve({ hostname, port: 0, onListen() {} }, () => new Response()).shutdown());
    await show("read", () => Deno.readTextFileSync("other/secret"));
    await show("write", () => Deno.writeTextFileSync("other/new", ""));
    await show("env", () => Deno.env.get("HOME") !== undefined);
    for (const name of ["read", "write", "net", "run", "import", "sys", "ffi"] as const) {
        await show(name, async () => (await Deno.permissions.query({ name })).state);
    }
"#;

/// Where a variable leads to, which the script may not use.
enum Elsewhere {
    /// A path in the directory `other`.
    Path(&'static str),
    /// A URL of a host, with this before it.
    Host(&'static str),
    /// Something else.
    Text(&'static str),
}

use Elsewhere::{Host, Path, Text};

/// The variables that the runtime and the libraries in it read, besides those of proxies: a value for each, and which lines of the script it changes.
/// Only those change something that count when they are used, as on Deno; what they name needs permission.
const VARIABLES: &[(&str, Elsewhere, &[&str])] = &[
    ("CI", Text("1"), &[]),
    ("COLORTERM", Text("truecolor"), &[]),
    ("DENO_AUTH_TOKENS", Text("secret@127.0.0.1"), &[]),
    ("DENO_CERT", Path("secret"), &[]),
    ("DENO_DIR", Path(""), &[]),
    ("DENO_EXTRA_STDIO_FDS", Text("0,1,2,3,4,5,6,7,8,9"), &[]),
    ("DENO_KV_DB_MODE", Text("disk"), &[]),
    ("DENO_KV_DEFAULT_PATH", Path("x.db"), &["kv NotCapable"]),
    ("DENO_KV_PATH_PREFIX", Path(""), &["kv in own NotCapable"]),
    ("DENO_KV_REQUIRES_DISTRIBUTED_DATABASE", Text("error"), &[]),
    ("DENO_LOG_LAZY_LOAD", Text("1"), &[]),
    ("DENO_NO_PROMPT", Text(""), &[]),
    ("DENO_SERVE_ADDRESS", Host("tcp:"), &["serve NotCapable"]),
    ("DENO_SERVE_AUTOMATIC_COMPRESSION", Text("1"), &[]),
    ("DENO_SNAPSHOT_IMPORT_GRAPH", Path("graph"), &[]),
    ("DENO_STARTUP_PHASES", Text("1"), &[]),
    ("DENO_TEST_SANITIZE_OPS", Text("1"), &[]),
    ("DENO_TEST_SANITIZE_RESOURCES", Text("1"), &[]),
    ("DENO_TLS_CA_STORE", Text("unknown"), &[]),
    ("DENO_TRUST_PROXY_HEADERS", Text("1"), &[]),
    ("DENO_USE_CGROUPS", Text("1"), &[]),
    ("DENO_USE_WRITEV", Text("1"), &[]),
    ("DENO_V8_FLAGS", Text("--expose-gc"), &[]),
    ("FORCE_COLOR", Text("1"), &[]),
    ("HOME", Path(""), &[]),
    ("ICU_DATA", Path(""), &[]),
    ("ICU_TIMEZONE_FILES_DIR", Path(""), &[]),
    ("JSR_URL", Host("http://"), &[]),
    ("LD_LIBRARY_PATH", Path(""), &["run NotCapable"]),
    ("LD_PRELOAD", Path("secret"), &["run NotCapable"]),
    ("NODE_OPTIONS", Text("--require=other/secret"), &[]),
    ("NO_COLOR", Text(""), &[]),
    ("NO_PROXY", Text("*"), &[]),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Host("http://"), &[]),
    ("PATH", Path(""), &["run NotCapable"]),
    ("REQUEST_METHOD", Text("GET"), &[]),
    ("SQLITE_TMPDIR", Path(""), &[]),
    ("SSLKEYLOGFILE", Path("keys"), &[]),
    ("SSL_CERT_DIR", Path(""), &[]),
    ("SSL_CERT_FILE", Path("secret"), &[]),
    ("TERM", Text("dumb"), &[]),
    ("TMPDIR", Path(""), &["temporary NotCapable"]),
    ("TZ", Path("secret"), &[]),
    ("XDG_CACHE_HOME", Path(""), &[]),
    ("no_proxy", Text("*"), &[]),
];

/// A sandbox with what the script may use in `own` and `bin`, and what it may not in `other`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", SCRIPT);
    sandbox.write("other/secret", "no certificate");
    fs::create_dir(sandbox.path("own")).unwrap();
    for directory in ["bin", "other"] {
        let tool = sandbox.write(&format!("{directory}/tool"), format!("#!/bin/sh\necho of {directory}\n"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(tool, mode).unwrap();
    }
    sandbox
}

/// What the script prints that changes a variable first.
fn printed(sandbox: &Sandbox, server: &Server, name: &str, value: &str) -> Vec<String> {
    // Nobody listens there any more.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = server.url.trim_start_matches("http://");
    let own = sandbox.path("own").display().to_string();
    let mut openkv = sandbox.command(["run", "--quiet", "--no-prompt", "--allow-env"]);
    openkv.args([format!("--allow-net={host},127.0.0.1:{closed},127.0.0.1:0"), format!("--allow-import={host}")]);
    openkv.args([format!("--allow-read={own}"), format!("--allow-write={own}"), "--allow-run=tool".into()]);
    openkv.args(["main.ts", name, value, &server.url, &closed.to_string()]);
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("LD_") || name.to_lowercase().ends_with("_proxy"))
    {
        openkv.env_remove(name);
    }
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    openkv.env("PATH", path).env("TMPDIR", &own).env("JSR_URL", &server.url).env("DENO_TLS_CA_STORE", "system");
    let output = openkv.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{name}: {stderr}");
    String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect()
}

fn names(directory: &std::path::Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn variable_that_a_script_changes_gives_it_nothing() {
    let module = "export default 'code';";
    let manifest = r#"{ "exports": { ".": "./mod.ts" }, "manifest": { "/mod.ts": { "size": 22,
        "checksum": "sha256-4aed4e83eecd95dfeff739008580c7a02469a384095fb869e7302188de5b414d" } } }"#;
    let server = Server::start(&[
        ("/a.ts", module),
        ("/@kv/tool/meta.json", r#"{ "versions": { "1.0.0": {} } }"#),
        ("/@kv/tool/1.0.0_meta.json", manifest),
        ("/@kv/tool/1.0.0/mod.ts", module),
    ]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let usual = printed(&sandbox(), &server, "OPENKV_UNUSED", "value");
    for (name, elsewhere, changes) in VARIABLES {
        let sandbox = sandbox();
        let value = match elsewhere {
            Path(path) => sandbox.path("other").join(path).display().to_string(),
            Host(scheme) => format!("{scheme}{}", other.local_addr().unwrap()),
            Text(text) => (*text).into(),
        };
        let actual = printed(&sandbox, &server, name, &value);
        let differing = actual.iter().zip(&usual).filter(|(actual, usual)| actual != usual);
        let changed: Vec<_> = differing.map(|(actual, _)| actual.as_str()).collect();
        assert_eq!((changed.as_slice(), actual.len()), (*changes, usual.len()), "{name}");
        assert_eq!(names(&sandbox.path("other")), BTreeSet::from(["secret", "tool"].map(Into::into)), "{name}");
        assert_eq!(fs::read_to_string(sandbox.path("other/secret")).unwrap(), "no certificate", "{name}");
        assert!(other.accept().is_err(), "{name}: a connection to a host that is not allowed");
    }
}

//! Changes of environment variables by a script grant it no permissions, and move no files.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::modules::Server;
use crate::registry::Registry;
use crate::support::{Output, Sandbox, TIMEOUT, read_repository, repository};

/// Uses everything that a variable may redirect, and prints a line for each.
const SCRIPT: &str = r#"
    import { cert, key } from "./certificate.ts";

    const [name, value, server, port] = Deno.args;
    async function show(what: string, use: () => unknown) {
        try {
            console.log(what, await use());
        } catch (error) {
            console.log(what, error.name);
        }
    }
    await show("set", () => Deno.env.set(name, value));
    await show("kv", async () => (await Deno.openKv()).close());
    await show("kv in own", async () => (await Deno.openKv("own/x.db")).close());
    await show("fetch", async () => await (await fetch(server + "/a.ts")).text());
    await show("import", async () => (await import(server + "/a.ts")).default);
    await show("jsr", async () => (await import(["jsr:", "@kv/tool@1"].join(""))).default);
    await show("npm", async () => (await import(["npm:", "tool@1"].join(""))).default);
    const { hostname } = new URL(server);
    const secure = { hostname, port: Number(port), cert, key };
    const listener = Deno.listenTls(secure);
    (async () => {
        for await (using connection of listener) {
            try {
                await connection.read(new Uint8Array(1000));
                await connection.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecure"));
            } catch { /* The client does not trust the certificate. */ }
        }
    })();
    await show("tls", async () => {
        using connection = await Deno.connectTls(secure);
        await connection.handshake();
    });
    await show("authorities", () => Deno.createHttpClient({}).close());
    await show("fetch of https", async () => await (await fetch(`https://${hostname}:${port}`)).text());
    listener.close();
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

/// The value of a variable, which points to something that the script must not use.
enum Elsewhere {
    /// A path in the directory `other`.
    Path(&'static str),
    /// A URL of a host, with this scheme.
    Host(&'static str),
    /// Another value.
    Text(&'static str),
}

use Elsewhere::{Host, Path, Text};

/// The variables that the runtime and its libraries read, with a value, and the lines of the script that change. Only variables that Deno
/// also reads at the time of use have an effect, and what they name requires permission.
const VARIABLES: &[(&str, Elsewhere, &[&str])] = &[
    ("ALL_PROXY", Host("http://"), &["set NotCapable"]),
    ("CI", Text("1"), &[]),
    ("COLORTERM", Text("truecolor"), &[]),
    ("DENO_AUTH_TOKENS", Text("secret@127.0.0.1"), &[]),
    ("DENO_CERT", Path(AUTHORITY), &[]),
    ("DENO_CONDITIONS", Text("deno"), &[]),
    ("DENO_DIR", Path(""), &[]),
    ("DENO_EXTRA_STDIO_FDS", Text("0,1,2,3,4,5,6,7,8,9"), &[]),
    ("DENO_JOBS", Text("1"), &[]),
    ("DENO_KV_ACCESS_TOKEN", Text("secret"), &[]),
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
    ("HTTPS_PROXY", Host("http://"), &["set NotCapable"]),
    ("HTTP_PROXY", Host("http://"), &["set NotCapable"]),
    ("ICU_DATA", Path(""), &[]),
    ("ICU_TIMEZONE_FILES_DIR", Path(""), &[]),
    ("INIT_CWD", Path(""), &[]),
    ("JSR_URL", Host("http://"), &[]),
    ("LD_LIBRARY_PATH", Path(""), &["run NotCapable"]),
    ("LD_PRELOAD", Path("secret"), &["run NotCapable"]),
    ("NODE_CHANNEL_FD", Text("0"), &[]),
    ("NODE_CHANNEL_SERIALIZATION_MODE", Text("advanced"), &[]),
    ("NODE_CLUSTER_SCHED_POLICY", Text("none"), &[]),
    ("NODE_DEBUG", Text("net"), &[]),
    ("NODE_EXTRA_CA_CERTS", Path(AUTHORITY), &[]),
    ("NODE_OPTIONS", Text("--require=other/secret"), &[]),
    ("NODE_UNIQUE_ID", Text("1"), &[]),
    ("NO_COLOR", Text(""), &[]),
    ("NPM_CONFIG_REGISTRY", Host("http://"), &[]),
    ("NO_PROXY", Text("*"), &[]),
    ("OPENKV_DENOKV", Path(""), &[]),
    ("OPENKV_FAKE", Text("delay=0..1"), &[]),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Host("http://"), &[]),
    ("PATH", Path(""), &["run NotCapable"]),
    ("REQUEST_METHOD", Text("GET"), &[]),
    ("SQLITE_TMPDIR", Path(""), &[]),
    ("SSLKEYLOGFILE", Path("keys"), &[]),
    ("SSL_CERT_DIR", Path(""), &[]),
    ("SSL_CERT_FILE", Path(AUTHORITY), &[]),
    ("TERM", Text("dumb"), &[]),
    ("TMPDIR", Path(""), &["temporary NotCapable"]),
    ("TZ", Path("secret"), &[]),
    ("XDG_CACHE_HOME", Path(""), &[]),
    ("all_proxy", Host("http://"), &["set NotCapable"]),
    ("http_proxy", Host("http://"), &["set NotCapable"]),
    ("https_proxy", Host("http://"), &["set NotCapable"]),
    ("no_proxy", Text("*"), &[]),
];

/// The file in `other` with the authority that signed the certificate of the script's server, named as in a directory of authorities.
const AUTHORITY: &str = "0a1b2c3d.0";

/// Creates a sandbox: the script has permissions for `own` and `bin`, but not for `other`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", SCRIPT);
    sandbox.write("other/secret", "no certificate");
    let certificates = read_repository("tests/certificate.ts");
    let (_, authority) = certificates.split_once("caCerts = [`").unwrap();
    sandbox.write(&format!("other/{AUTHORITY}"), authority.split('`').next().unwrap());
    sandbox.write("certificate.ts", certificates);
    fs::create_dir(sandbox.path("own")).unwrap();
    for directory in ["bin", "other"] {
        let tool = sandbox.write(&format!("{directory}/tool"), format!("#!/bin/sh\necho of {directory}\n"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(tool, mode).unwrap();
    }
    sandbox
}

/// Returns an unused port.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Removes the proxy and library variables of the test environment from a command.
fn remove_variables(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("LD_") || name.to_lowercase().ends_with("_proxy") || name == "REQUEST_METHOD" {
            command.env_remove(name);
        }
    }
}

/// Runs a command. Kills it after a timeout, in case it connects to a host that never responds.
fn output(command: Command) -> std::process::Output {
    assert_cmd::Command::from_std(command).timeout(TIMEOUT).output().unwrap()
}

/// Returns the output of the script, which first changes a variable.
fn printed(sandbox: &Sandbox, server: &Server, name: &str, value: &str) -> Vec<String> {
    let port = free_port();
    let host = server.url.trim_start_matches("http://");
    let own = sandbox.path("own").display().to_string();
    let mut openkv = sandbox.command(["run", "--quiet", "--no-prompt", "--allow-env"]);
    openkv.args([format!("--allow-net={host},127.0.0.1:{port},127.0.0.1:0"), format!("--allow-import={host}")]);
    openkv.args([format!("--allow-read={own}"), format!("--allow-write={own}"), "--allow-run=tool".into()]);
    openkv.args(["main.ts", name, value, &server.url, &port.to_string()]);
    remove_variables(&mut openkv);
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    openkv.env("PATH", path).env("TMPDIR", &own).env("JSR_URL", &server.url);
    openkv.env("NPM_CONFIG_REGISTRY", &server.url).env("DENO_TLS_CA_STORE", "system");
    let output = output(openkv);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{name}: {stderr}");
    String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect()
}

fn names(directory: &std::path::Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn changed_variable_grants_no_access() {
    let module = "export default 'code';";
    let manifest = r#"{ "exports": { ".": "./mod.ts" }, "manifest": { "/mod.ts": { "size": 22,
        "checksum": "sha256-4aed4e83eecd95dfeff739008580c7a02469a384095fb869e7302188de5b414d" } } }"#;
    let registry = Registry::start();
    let package = serde_json::json!({ "name": "tool", "version": "1.0.0", "type": "module", "main": "main.js" });
    registry.publish(package, &[("main.js", module)]);
    let server = &registry.server;
    for (path, content) in [
        ("/a.ts", module),
        ("/@kv/tool/meta.json", r#"{ "versions": { "1.0.0": {} } }"#),
        ("/@kv/tool/1.0.0_meta.json", manifest),
        ("/@kv/tool/1.0.0/mod.ts", module),
    ] {
        server.put(path, content);
    }
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let usual = printed(&sandbox(), server, "OPENKV_UNUSED", "value");
    assert!(usual.contains(&"npm code".into()), "{usual:?}");
    for (name, elsewhere, changes) in VARIABLES {
        let sandbox = sandbox();
        let value = match elsewhere {
            Path(path) => sandbox.path("other").join(path).display().to_string(),
            Host(scheme) => format!("{scheme}{}", other.local_addr().unwrap()),
            Text(text) => (*text).into(),
        };
        let actual = printed(&sandbox, server, name, &value);
        let differing = actual.iter().zip(&usual).filter(|(actual, usual)| actual != usual);
        let changed: Vec<_> = differing.map(|(actual, _)| actual.as_str()).collect();
        assert_eq!((changed.as_slice(), actual.len()), (*changes, usual.len()), "{name}");
        assert_eq!(
            names(&sandbox.path("other")),
            BTreeSet::from([AUTHORITY, "secret", "tool"].map(Into::into)),
            "{name}"
        );
        assert_eq!(fs::read_to_string(sandbox.path("other/secret")).unwrap(), "no certificate", "{name}");
        assert!(other.accept().is_err(), "{name}: a connection to a host that is not allowed");
    }
}

/// Returns the names of variables that a source file reads, and whether it also reads names that are not literals.
fn variables_read(source: &str) -> (BTreeSet<String>, bool) {
    let mut others = false;
    let mut names = BTreeSet::new();
    for call in ["var(", "var_os(", "non_empty("] {
        for (at, _) in source.match_indices(call) {
            if call != "non_empty(" && !source[..at].ends_with("env::") {
                continue;
            }
            match source[at + call.len()..].strip_prefix('"') {
                Some(literal) => drop(names.insert(literal.split('"').next().unwrap().to_owned())),
                None => others = true,
            }
        }
    }
    // Names may also be constants, or arguments of a function that reads them.
    let words = source.split('"').filter(|word| {
        let (upper, lower) = (word.to_uppercase(), word.to_lowercase());
        word.contains('_')
            && word.len() > 1
            && (*word == upper || lower.ends_with("_proxy"))
            && !word.contains(|c: char| !c.is_alphanumeric() && c != '_')
    });
    names.extend(words.map(str::to_owned));
    (names, others)
}

#[test]
fn every_variable_in_the_sources_is_in_the_table() {
    let known: BTreeSet<_> = VARIABLES.iter().map(|(name, ..)| *name).collect();
    let mut directories = ["runtime/src", "ext/kv/src", "ext/engine/src"].map(repository).to_vec();
    let (mut found, mut indirect) = (BTreeSet::new(), BTreeSet::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let (names, others) = variables_read(&fs::read_to_string(&path).unwrap());
                found.extend(names);
                if others {
                    let file = path.strip_prefix(repository("")).unwrap();
                    indirect.insert(file.display().to_string());
                }
            }
        }
    }
    // Cargo sets these at build time.
    for built in ["CARGO_PKG_VERSION", "OPENKV_TARGET", "OUT_DIR"] {
        assert!(found.remove(built), "{built}");
    }
    // The code of an error, the separator of names of JSR packages on npm, and a variable that is set for another program.
    for other in ["ERR_WORKER_OUT_OF_MEMORY", "__", "RUST_LOG"] {
        assert!(found.remove(other), "{other}");
    }
    for name in ["DENO_CERT", "DENO_KV_DB_MODE", "DENO_TEST_SANITIZE_OPS", "http_proxy"] {
        assert!(found.contains(name), "{name}");
    }
    let missing: Vec<_> = found.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}: add them to VARIABLES, with the effects of changing them");
    // In these files, the names are literals elsewhere, or given by the user.
    let expected = [
        "cli/db/serve/mod.rs",
        "cli/env_file.rs",
        "cli/test.rs",
        "environment.rs",
        "extensions/env.rs",
        "fake/denokv.rs",
        "remote.rs",
    ];
    assert_eq!(indirect, BTreeSet::from(expected.map(|file| format!("runtime/src/{file}"))));
}

/// Runs a script with `--allow-env` and these flags and variables.
fn run(sandbox: &Sandbox, flags: &[String], variables: &[(&str, &str)], script: &str) -> Output {
    sandbox.write("main.ts", script);
    let mut openkv = sandbox.command(["run", "--quiet", "--no-prompt", "--allow-env"]);
    remove_variables(&mut openkv);
    openkv.args(flags).arg("main.ts").envs(variables.iter().copied());
    let output = output(openkv);
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts a server, and a proxy that returns other responses for its URLs.
fn server_and_proxy() -> (Server, Server) {
    let server = Server::start(&[("/a.ts", "export default 'server';")]);
    let proxy = Server::start(&[]);
    proxy.put(&format!("{}/a.ts", server.url), "export default 'proxy';");
    (server, proxy)
}

fn host(server: &Server) -> &str {
    server.url.trim_start_matches("http://")
}

/// Returns functions for scripts that return which server handled a `fetch` and an import, or which permission is missing.
fn functions(server: &Server) -> String {
    format!(
        r#"
        const attempt = async (use: () => unknown) => {{
            try {{ return await use(); }} catch (error) {{
                return error.message.match(/^Requires \w+ access/)?.[0] ?? error.name;
            }}
        }};
        const set = (name: string, value: string) => attempt(() => Deno.env.set(name, value));
        const remove = (name: string) => attempt(() => Deno.env.delete(name));
        const url = "{0}/a.ts";
        const fetched = () => attempt(async () => (await (await fetch(url)).text()).split("'")[1]);
        const imported = () => attempt(async () => (await import(url)).default);
        "#,
        server.url
    )
}

#[test]
fn proxy_set_by_a_script_requires_net_permission() {
    let (server, proxy) = server_and_proxy();
    let values = ["http://HOST", "HOST", "https://HOST", "socks5://HOST", "socks5h://HOST", "http://me:secret@HOST"];
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let sandbox = Sandbox::new();
        let run = |values: &[&str], hosts: &str| {
            let script = format!(
                "{} for (const value of {values:?}) console.log(await set('{name}', value.replace('HOST', '{}')));
                console.log(await fetched(), await imported());",
                functions(&server),
                host(&proxy)
            );
            let flags = [format!("--allow-net={hosts}"), format!("--allow-import={hosts}")];
            self::run(&sandbox, &flags, &[], &script).stdout()
        };
        assert_eq!(
            run(&values, host(&server)),
            "Requires net access\n".repeat(values.len()) + "server server\n",
            "{name}"
        );
        assert_eq!(proxy.requests(), [""; 0], "{name}");
        fs::remove_dir_all(sandbox.path("deno_dir")).unwrap();

        let both = format!("{},{}", host(&server), host(&proxy));
        let who = if name.to_lowercase().starts_with("https") { "server" } else { "proxy" };
        assert_eq!(run(&values[..1], &both), format!("undefined\n{who} {who}\n"), "{name}");
        let url = format!("{}/a.ts", server.url);
        let expected = if who == "proxy" { vec![url.clone(), url] } else { vec![] };
        assert_eq!(proxy.requests(), expected, "{name}");
    }
}

#[test]
fn proxy_set_by_a_script_requires_import_permission() {
    let (server, proxy) = server_and_proxy();
    let sandbox = Sandbox::new();
    let flags =
        [format!("--allow-net={},{}", host(&server), host(&proxy)), format!("--allow-import={}", host(&server))];
    let script = functions(&server)
        + format!("await set('ALL_PROXY', '{}'); console.log(await fetched(), await imported());", proxy.url).as_str()
        + "Deno.env.delete('ALL_PROXY'); console.log(await imported());";
    assert_eq!(run(&sandbox, &flags, &[], &script).stdout(), "proxy Requires import access\nserver\n");
    assert_eq!(proxy.requests(), [format!("{}/a.ts", server.url)]);
    assert_eq!(server.requests(), ["/a.ts"]);
}

#[test]
fn proxy_on_a_socket_requires_permission() {
    let (server, _) = server_and_proxy();
    let sandbox = Sandbox::new();
    let socket = sandbox.path("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let flags = [format!("--allow-net={}", host(&server)), format!("--allow-import={}", host(&server))];
    for value in [format!("unix:{}", socket.display()), "vsock:2:80".into()] {
        let script = functions(&server)
            + format!("console.log(await set('HTTP_PROXY', '{value}'), await fetched(), await imported());").as_str();
        assert_eq!(run(&sandbox, &flags, &[], &script).stdout(), "undefined TypeError TypeError\n", "{value}");
    }
    assert!(listener.accept().is_err());
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn inherited_proxy_requires_no_permission() {
    let (server, proxy) = server_and_proxy();
    let flags = [format!("--allow-net={}", host(&server)), format!("--allow-import={}", host(&server))];
    let unchanged = functions(&server) + "console.log(await fetched(), await imported());";
    let restore = format!(
        "{} Deno.env.set('HTTP_PROXY', ''); Deno.env.delete('HTTP_PROXY');
        console.log(await set('HTTP_PROXY', '{1}'), await set('http_proxy', '{1}'), await fetched(), await imported());",
        functions(&server),
        proxy.url
    );
    // In a CGI script, clients control the value of HTTP_PROXY.
    let cgi = functions(&server) + "console.log(await remove('REQUEST_METHOD'), await fetched(), await imported());";
    let variables = [("HTTP_PROXY", proxy.url.as_str()), ("REQUEST_METHOD", "GET")];
    for (script, variables, expected) in [
        (unchanged, &variables[..1], "proxy proxy\n"),
        (restore, &variables[..1], "undefined Requires net access proxy proxy\n"),
        (cgi, &variables[..], "Requires net access server server\n"),
    ] {
        assert_eq!(run(&Sandbox::new(), &flags, variables, &script).stdout(), expected);
    }
}

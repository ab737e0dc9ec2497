//! `openkv studio`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

#[cfg(feature = "connect")]
use crate::db_serve::{Served, TOKEN};
use crate::support::{Running, Sandbox, TIMEOUT, read_repository, repository, skip};

/// A running studio.
struct Studio {
    port: u16,
    token: String,
    output: BufReader<ChildStdout>,
    process: Running,
}

impl Studio {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = sandbox.command(["studio", "--no-open"].iter().chain(args));
        // Programs with such a variable are started only with permission for all.
        command.env("LD_LIBRARY_PATH", sandbox.path(""));
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut process = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        let mut output = BufReader::new(process.0.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("http://127.0.0.1:").expect("the studio prints its address");
        let (port, token) = address.split_once("/#").expect("the address has a token");
        Self { port: port.parse().unwrap(), token: token.into(), output, process }
    }

    /// Sends a request with these headers. Returns the connection.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n{headers}\r\n{body}").unwrap();
        stream
    }

    /// Sends a request with these headers. Returns the response.
    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = self.send(method, path, &format!("Connection: close\r\n{headers}"), body);
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    fn host(&self) -> String {
        format!("Host: 127.0.0.1:{}\r\n", self.port)
    }

    fn authorization(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    /// The headers of the page.
    fn headers(&self) -> String {
        format!("{}{}", self.host(), self.authorization())
    }

    /// Calls the server as the page does. Returns the response.
    fn call(&self, name: &str, body: &Value) -> String {
        self.request("POST", &format!("/api/{name}"), &self.headers(), &body.to_string())
    }

    /// Calls the server as the page does. Returns the result.
    #[track_caller]
    fn result(&self, name: &str, body: &Value) -> Value {
        let response = self.call(name, body);
        assert_status(&response, "200");
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

#[track_caller]
fn assert_status(response: &str, status: &str) {
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
}

fn string(value: &str) -> Value {
    json!({ "type": "string", "value": value })
}

fn bigint(value: u32) -> Value {
    json!({ "type": "bigint", "value": value.to_string() })
}

/// The selector of all entries.
fn all() -> Value {
    json!({ "prefix": [] })
}

/// Creates a database with the entries `["entry", 0n]` to `["entry", 149n]`.
fn sandbox_with_database() -> Sandbox {
    sandbox_with("for (let i = 0n; i < 150n; i++) kv.set(['entry', i], `<img src=x onerror=alert(${i})>`);")
}

/// Creates a database with a script.
fn sandbox_with(script: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&format!("const kv = await Deno.openKv('kv.db'); {script}; kv.close();")).stdout();
    sandbox
}

#[test]
fn data_requires_the_token() {
    let sandbox = sandbox_with_database();
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let wrong = format!("Authorization: Bearer {}\r\n", "0".repeat(studio.token.len()));
    for (method, path) in [("POST", "/api/session"), ("POST", "/api/list"), ("POST", "/api/commit"), ("GET", "/other")]
    {
        let request = |headers: &str| studio.request(method, path, &format!("{}{headers}", studio.host()), "{}");
        for headers in ["", &wrong, "Authorization: Bearer\r\n"] {
            assert_status(&request(headers), "401");
        }
    }
    assert_status(&studio.call("session", &json!({})), "200");
    assert_status(&studio.call("other", &json!({})), "404");
    // Each run has its own token.
    assert_ne!(Studio::start(&sandbox, &["kv.db"]).token, studio.token);
}

#[test]
fn foreign_host_and_origin_are_rejected() {
    let sandbox = sandbox_with_database();
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let port = studio.port;
    for (method, path) in [("GET", "/"), ("POST", "/api/session")] {
        let request =
            |headers: &str| studio.request(method, path, &format!("{}{headers}", studio.authorization()), "{}");
        for headers in [
            "Host: example.com\r\n".into(),
            format!("Host: example.com:{port}\r\n"),
            "Host: 127.0.0.1\r\n".into(),
            format!("{}Origin: http://example.com\r\n", studio.host()),
            format!("{}Origin: https://127.0.0.1:{port}\r\n", studio.host()),
            format!("{}Origin: null\r\n", studio.host()),
        ] {
            assert_status(&request(&headers), "403");
        }
        assert_status(&request(&format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n")), "200");
    }
}

#[test]
fn page_contains_no_data_and_allows_no_foreign_content() {
    let sandbox = sandbox_with_database();
    let studio = Studio::start(&sandbox, &["kv.db"]);
    for path in ["/", "/page.ts", "/style.css"] {
        let response = studio.request("GET", path, &studio.host(), "");
        assert_status(&response, "200");
        let response = response.to_lowercase();
        assert!(response.contains("content-security-policy: default-src 'none'; script-src 'self'; "), "{response}");
        assert!(!response.contains("kv.db") && !response.contains(&studio.token), "{response}");
    }
    assert_status(&studio.request("PUT", "/", &studio.headers(), ""), "405");
}

#[test]
fn entries_are_listed_in_both_directions() {
    let sandbox = sandbox_with_database();
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let page = |after: Value, reverse: bool| {
        studio.result("list", &json!({ "database": 0, "selector": all(), "after": after, "reverse": reverse }))
    };
    let last = |page: &Value| page["rows"].as_array().unwrap().last().unwrap()["key"].clone();
    let first = page(Value::Null, false);
    assert_eq!((first["rows"].as_array().unwrap().len(), &first["more"]), (100, &json!(true)));
    assert_eq!(last(&first), json!([string("entry"), bigint(99)]));
    assert!(first["rows"][0]["preview"].as_str().unwrap().contains("onerror=alert(0)"));
    let second = page(last(&first), false);
    assert_eq!((second["rows"].as_array().unwrap().len(), &second["more"]), (50, &json!(false)));
    assert_eq!(last(&second), json!([string("entry"), bigint(149)]));
    let back = page(second["rows"][0]["key"].clone(), true);
    assert_eq!((back["rows"].as_array().unwrap().len(), &back["more"]), (100, &json!(false)));
    assert_eq!(back["rows"][0]["key"], last(&first));

    assert_eq!(studio.result("count", &json!({ "database": 0, "selector": all() })), json!(150));
    let range = json!({ "prefix": [], "start": [string("entry"), bigint(10)], "end": [string("entry"), bigint(12)] });
    assert_eq!(studio.result("count", &json!({ "database": 0, "selector": range })), json!(2));
    for invalid in [
        json!({}),
        json!({ "database": 1, "selector": all() }),
        json!({ "database": -1, "selector": all() }),
        json!({ "database": 0, "selector": { "prefix": "a" } }),
        json!({ "database": 0, "selector": { "prefix": [{ "type": "Symbol" }] } }),
        json!({ "database": 0, "selector": all(), "after": [null] }),
    ] {
        assert_status(&studio.call("list", &invalid), "400");
    }
}

#[test]
fn children_are_found_without_reading_their_entries() {
    let sandbox = sandbox_with(
        "const parts = [new Uint8Array([0]), 'a', 'a\\0', 'b', -1n, 0n, -Infinity, -1, -0, 0, 1, Infinity, NaN, false, true];
        for (const part of parts) await kv.set(['parts', part], 1);
        for (const name of ['few', 'many']) {
            const atomic = kv.atomic();
            for (let i = 0; i < (name === 'few' ? 1 : 350); i++) atomic.set([name, i, 'x'], i);
            await atomic.commit();
        }
        await kv.set(['many'], 1)",
    );
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let children = |prefix: Value, after: Value| {
        let found = studio.result("children", &json!({ "database": 0, "prefix": prefix, "after": after }));
        (found["children"].as_array().unwrap().clone(), found["more"].as_bool().unwrap())
    };
    let child = |name: &str, is_entry: bool| json!({ "part": string(name), "isEntry": is_entry, "hasChildren": true });
    assert_eq!(
        children(json!([]), Value::Null),
        (vec![child("few", false), child("many", true), child("parts", false)], false)
    );
    let (parts, more) = children(json!([string("parts")]), Value::Null);
    assert_eq!((parts.len(), more), (15, false));
    // Each part is skipped to the one after it.
    for i in 0..parts.len() {
        assert_eq!(children(json!([string("parts")]), parts[i]["part"].clone()), (parts[i + 1..].to_vec(), false));
    }
    let (mut numbers, mut more) = children(json!([string("many")]), Value::Null);
    while more {
        assert_eq!(numbers.len() % 100, 0);
        let (next, is_more) = children(json!([string("many")]), numbers.last().unwrap()["part"].clone());
        numbers.extend(next);
        more = is_more;
    }
    let values: Vec<_> = numbers.iter().map(|child| child["part"]["value"].as_u64().unwrap()).collect();
    assert_eq!(values, (0..350).collect::<Vec<_>>());
}

#[test]
fn values_of_all_types_are_read_and_written() {
    let sandbox = sandbox_with(
        "const cyclic = {}; cyclic.self = cyclic;
        let deep = []; for (let i = 0; i < 40; i++) deep = [deep];
        const values = ['a', 1, -0, NaN, -Infinity, 5n, true, null, undefined, new Deno.KvU64(7n), new Date(0), new Date(NaN), /a\\/b/gi,
            new Uint8Array([0, 255]), new Float64Array([1.5]), new BigInt64Array([-1n]), new ArrayBuffer(3), new DataView(new ArrayBuffer(2)),
            [1, , 'x'], { a: { b: [1n] }, ['__proto__']: 1 }, new Map([[{ k: 1 }, new Set([1])]]), new RangeError('x', { cause: 1 }),
            cyclic, deep, new Blob(['x'])];
        for (const [i, value] of values.entries()) await kv.set(['from', i], value)",
    );
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let entry = |key: &Value| studio.result("entry", &json!({ "database": 0, "key": key }));
    let mut opaque = 0;
    for i in 0..25 {
        let number = json!({ "type": "number", "value": i });
        let found = entry(&json!([string("from"), number]));
        let copy = json!([string("to"), number]);
        let write = json!({ "type": "set", "key": copy, "versionstamp": null, "value": found["value"] });
        let commit = json!({ "database": 0, "writes": [write] });
        if found["value"]["type"] == "opaque" {
            opaque += 1;
            assert_status(&studio.call("commit", &commit), "400");
            continue;
        }
        assert_eq!(studio.result("commit", &commit)["ok"], true, "{found}");
        let copied = entry(&copy);
        assert_eq!((&copied["value"], &copied["row"]["size"]), (&found["value"], &found["row"]["size"]));
    }
    assert_eq!(opaque, 2, "the value that contains itself, and the Blob");
    drop(studio);
    let equal = "const kv = await Deno.openKv('kv.db');
        for await (const { key, value } of kv.list({ prefix: ['to'] })) {
            const expected = Deno.inspect((await kv.get(['from', key[1]])).value, { depth: 5 });
            if (Deno.inspect(value, { depth: 5 }) !== expected) console.log(value, expected);
        }
        kv.close();";
    assert_eq!(sandbox.run(equal).stdout(), "");
}

#[test]
fn writes_require_the_version_that_is_shown() {
    let sandbox = sandbox_with("await kv.set(['a'], 1); await kv.set(['n'], new Deno.KvU64(2n))");
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let entry = |name: &str| studio.result("entry", &json!({ "database": 0, "key": [string(name)] }));
    let write = |write: Value| studio.result("commit", &json!({ "database": 0, "writes": [write] }));
    let first = entry("a")["row"]["versionstamp"].clone();
    let set = |versionstamp: &Value, value: &str| json!({ "type": "set", "key": [string("a")], "versionstamp": versionstamp, "value": string(value) });
    let second = write(set(&first, "mine"))["versionstamp"].clone();
    for stale in [&first, &Value::Null] {
        let conflict = write(set(stale, "lost"));
        assert_eq!((&conflict["ok"], &conflict["stored"][0]), (&json!(false), &entry("a")));
    }
    assert_eq!(entry("a")["value"], string("mine"));

    let delete = |versionstamp: &Value| json!({ "type": "delete", "key": [string("a")], "versionstamp": versionstamp });
    assert_eq!(write(delete(&first))["ok"], false);
    assert_eq!(write(delete(&second))["ok"], true);
    assert_eq!(entry("a")["row"], Value::Null);
    let conflict = write(delete(&second));
    assert_eq!(conflict["stored"][0], json!({ "key": [string("a")], "row": null, "value": null }));

    let version = entry("n")["row"]["versionstamp"].clone();
    let sum = json!({ "type": "sum", "key": [string("n")], "versionstamp": version, "value": "3" });
    assert_eq!(write(sum.clone())["ok"], true);
    assert_eq!(write(sum)["ok"], false);
    assert_eq!(entry("n")["value"], json!({ "type": "KvU64", "value": "5" }));

    let expiring = json!({
        "type": "set", "key": [string("e")], "versionstamp": null, "value": string("x"), "expiresAt": 7_000_000_000_000_u64,
    });
    assert_eq!(write(expiring)["ok"], true);
    assert_eq!(studio.result("delete", &json!({ "database": 0, "selector": all() })), json!(2));
    assert_eq!(studio.result("count", &json!({ "database": 0, "selector": all() })), json!(0));
}

#[test]
fn expiry_is_read_and_written() {
    let sandbox =
        sandbox_with("await kv.set(['a'], 1); await kv.set(['b'], new Deno.KvU64(1n), { expireIn: 3_600_000 })");
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let entry = |name: &str| studio.result("entry", &json!({ "database": 0, "key": [string(name)] }))["row"].clone();
    let page = studio.result("list", &json!({ "database": 0, "selector": all() }));
    assert_eq!(page["rows"], json!([entry("a"), entry("b")]));
    assert_eq!(entry("a")["expiresAt"], Value::Null);
    let expires_at = entry("b")["expiresAt"].as_u64().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(expires_at > now && expires_at <= now + 3_600_000);

    // A write has the expiry that it comes with, but for the time between the readings of the clock.
    let write = |row: &Value, kind: Value| {
        let mut write = json!({ "key": row["key"], "versionstamp": row["versionstamp"] });
        write.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        assert_eq!(studio.result("commit", &json!({ "database": 0, "writes": [write] }))["ok"], true);
    };
    write(&entry("b"), json!({ "type": "sum", "value": "2" }));
    assert_eq!(entry("b")["expiresAt"].as_u64(), Some(expires_at), "a sum keeps it");
    write(&entry("b"), json!({ "type": "set", "value": string("x"), "expiresAt": expires_at }));
    assert!(entry("b")["expiresAt"].as_u64().unwrap().abs_diff(expires_at) < 600_000);
    write(&entry("b"), json!({ "type": "set", "value": string("x") }));
    assert_eq!(entry("b")["expiresAt"], Value::Null);
    write(&entry("b"), json!({ "type": "set", "value": string("x"), "expiresAt": 1 }));
    assert_eq!(entry("b"), Value::Null, "a time that has passed");
}

#[test]
fn lines_are_exported_and_imported_with_expiry_within_the_limits_of_commits() {
    // The keys of a hundred lines exceed a commit.
    let sandbox = sandbox_with(
        "for (let i = 0; i < 100; i++) await kv.set(['\\u20ac'.repeat(300), i], i, i === 50 ? { expireIn: 3_600_000 } : {});
        await kv.set(['\\u{10ffff}openkv', 'import in progress', 'file'], {})",
    );
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let exported = studio.result("export", &json!({ "database": 0, "selector": all() }));
    let lines = exported["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &exported["skipped"]), (100, &json!(0)), "the state of an import is not exported");
    assert_eq!(lines.iter().filter(|line| line.as_str().unwrap().contains("\"expiresAt\":")).count(), 1);
    let import = |replace: bool| {
        let body = json!({ "database": 0, "lines": lines, "first": 1, "replace": replace });
        studio.result("import", &body)
    };
    assert_eq!(import(false), json!({ "written": 0, "skipped": 100 }));
    studio.result("delete", &json!({ "database": 0, "selector": all() }));
    assert_eq!(import(false), json!({ "written": 100, "skipped": 0 }));
    assert_eq!(import(true), json!({ "written": 100, "skipped": 0 }));
    let page = studio.result("list", &json!({ "database": 0, "selector": all() }));
    let expiring = page["rows"].as_array().unwrap().iter().filter(|row| !row["expiresAt"].is_null());
    assert_eq!(expiring.map(|row| row["preview"].clone()).collect::<Vec<_>>(), ["50"]);
}

#[test]
fn read_only_studio_rejects_writes() {
    let sandbox = sandbox_with("await kv.set(['a'], 1)");
    let studio = Studio::start(&sandbox, &["--read-only", "kv.db"]);
    let write = json!({ "type": "set", "key": [string("b")], "versionstamp": null, "value": string("x") });
    assert_status(&studio.call("commit", &json!({ "database": 0, "writes": [write] })), "403");
    assert_status(&studio.call("delete", &json!({ "database": 0, "selector": all() })), "403");
    assert_eq!(studio.result("count", &json!({ "database": 0, "selector": all() })), json!(1));
    assert_eq!(studio.result("session", &json!({}))["readOnly"], true);
}

#[test]
fn watch_streams_changes() {
    let sandbox = sandbox_with("for (let i = 0n; i < 25n; i++) await kv.set(['a', i], 1)");
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let page = studio.result("list", &json!({ "database": 0, "selector": all() }));
    let shown: Vec<_> = page["rows"].as_array().unwrap().iter().map(shown).collect();
    let watch = json!({ "database": 0, "shown": shown }).to_string();
    let stream = studio.send("POST", "/api/watch", &studio.headers(), &watch);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next_change = || {
        let line = lines.by_ref().map(|line| line.expect("the stream goes on")).find(|line| line.starts_with("{\"key"));
        serde_json::from_str::<Value>(&line.expect("there is a change")).unwrap()
    };
    let last = &page["rows"][24];
    let mut write = shown_write(last);
    write["value"] = string("changed");
    studio.result("commit", &json!({ "database": 0, "writes": [write] }));
    let change = next_change();
    assert_eq!((&change["key"], &change["row"]["preview"]), (&last["key"], &json!("\"changed\"")));
    let delete = json!({ "type": "delete", "key": last["key"], "versionstamp": change["row"]["versionstamp"] });
    studio.result("commit", &json!({ "database": 0, "writes": [delete] }));
    assert_eq!(next_change(), json!({ "key": last["key"], "row": null }));
}

/// Returns what a watch needs to know of a row.
fn shown(row: &Value) -> Value {
    json!({ "key": row["key"], "versionstamp": row["versionstamp"] })
}

/// Returns a write of a row without its value.
fn shown_write(row: &Value) -> Value {
    json!({ "type": "set", "key": row["key"], "versionstamp": row["versionstamp"] })
}

#[cfg(feature = "connect")]
#[test]
fn database_of_a_server_is_shown_and_changed() {
    let sandbox = sandbox_with("await kv.set(['a'], 1)");
    let server = Served::start(&sandbox, &["kv.db"]);
    let mut command = sandbox.command(["studio", "--no-open", &server.url]);
    command.env("DENO_KV_ACCESS_TOKEN", TOKEN);
    let studio = Studio::run(command);
    assert_eq!(studio.result("session", &json!({}))["databases"][0]["size"], Value::Null);
    let page = studio.result("list", &json!({ "database": 0, "selector": all() }));
    let mut write = shown_write(&page["rows"][0]);
    write["value"] = string("changed");
    let commit = json!({ "database": 0, "writes": [write] });
    assert_eq!(studio.result("commit", &commit)["ok"], true);
    let conflict = studio.result("commit", &commit);
    assert_eq!((&conflict["ok"], &conflict["stored"][0]["value"]), (&json!(false), &string("changed")));
    let children = studio.result("children", &json!({ "database": 0, "prefix": [] }));
    assert_eq!(children["children"], json!([{ "part": string("a"), "isEntry": true, "hasChildren": false }]));
    // It has no file here.
    for call in ["file", "queue"] {
        assert_eq!(studio.result(call, &json!({ "database": 0 })), Value::Null);
    }
}

#[cfg(unix)]
#[test]
fn open_connections_do_not_keep_a_stopped_studio() {
    let sandbox = sandbox_with_database();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let studio = Studio::start(&sandbox, &["kv.db"]);
        let headers = studio.headers();
        let shown = json!({ "database": 0, "shown": [{ "key": [string("a")], "versionstamp": null }] }).to_string();
        let mut connections = [
            studio.send("POST", "/api/watch", &headers, &shown),
            // Idle after its response, which shows that the server runs.
            studio.send("GET", "/", &headers, ""),
            TcpStream::connect(("127.0.0.1", studio.port)).unwrap(),
            TcpStream::connect(("127.0.0.1", studio.port)).unwrap(),
        ];
        // The request does not end.
        write!(connections[2], "POST /api/list HTTP/1.1\r\nContent-Length: 9\r\n{headers}\r\n{{").unwrap();
        for connection in &mut connections[..2] {
            connection.read_exact(&mut [0; 100]).unwrap();
        }
        // SAFETY: the process is a child that has not been waited for, so the id is its own.
        assert_eq!(unsafe { libc::kill(studio.process.0.id() as i32, signal) }, 0);
        let Studio { mut output, mut process, .. } = studio;
        let (ended, end) = mpsc::channel();
        thread::spawn(move || ended.send(output.read_to_end(&mut Vec::new()).is_ok()));
        assert_eq!(end.recv_timeout(TIMEOUT), Ok(true), "the studio does not stop");
        let status = process.0.wait().unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn default_databases_are_found_with_their_scripts() {
    let sandbox = Sandbox::new();
    sandbox.run("const kv = await Deno.openKv(); await kv.set(['a'], 1); kv.close();").stdout();
    let studio = Studio::start(&sandbox, &[]);
    let session = studio.result("session", &json!({}));
    let database = &session["databases"][0];
    assert!(database["path"].as_str().unwrap().ends_with("kv.sqlite3"), "{session}");
    assert!(database["script"].as_str().unwrap().ends_with("/main.ts"), "{session}");
    let page = studio.result("list", &json!({ "database": 0, "selector": all() }));
    assert_eq!(page["rows"][0]["key"], json!([string("a")]));
}

#[test]
fn modules_of_the_server_pass_their_tests() {
    for name in ["expiry_test.ts", "expression_test.ts"] {
        let test = repository("tests/studio").join(name);
        let output = Sandbox::new().openkv([OsStr::new("test"), OsStr::new("-A"), test.as_os_str()]);
        assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    }
}

/// The modules that drive the page in a browser.
const BROWSER_TESTS: [&str; 3] = ["browser.ts", "page_test.ts", "studio.ts"];

#[test]
fn page_works_in_chromium() {
    let is_installed = |program| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    if !["chromium", "chromedriver"].into_iter().all(is_installed) {
        skip("chromium", "chromium and chromedriver are not both on the PATH (Debian: chromium, chromium-driver)");
        return;
    }
    let sandbox = Sandbox::new();
    for name in BROWSER_TESTS {
        sandbox.write(name, read_repository(&format!("tests/studio/{name}")));
    }
    // The tests wait for conditions themselves, each with a limit.
    let output = sandbox.command(["test", "-A", "page_test.ts"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn missing_database_is_not_created() {
    let sandbox = Sandbox::new();
    let error = sandbox.openkv(["studio", "--no-open", "missing.db"]).stderr();
    assert!(error.starts_with("error: failed to open the database 'missing.db': "), "{error}");
    assert!(!sandbox.path("missing.db").exists());
    let error = sandbox.openkv(["studio", "--no-open"]).stderr();
    assert!(error.starts_with("error: found no database in "), "{error}");
}

//! `openkv studio`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdout, Stdio};

use crate::support::{Running, Sandbox};

/// A running studio.
struct Studio {
    port: u16,
    token: String,
    _output: BufReader<ChildStdout>,
    _process: Running,
}

impl Studio {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = sandbox.command(["studio", "--no-open"].iter().chain(args));
        let mut process = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        let mut output = BufReader::new(process.0.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("http://127.0.0.1:").expect("the studio prints its address");
        let (port, token) = address.split_once("/#").expect("the address has a token");
        Self { port: port.parse().unwrap(), token: token.into(), _output: output, _process: process }
    }

    /// Sends a request with these headers. Returns the response.
    fn request(&self, method: &str, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").unwrap();
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

    /// Requests data as the page does.
    fn get(&self, path: &str) -> String {
        self.request("GET", path, &(self.host() + self.authorization().as_str()))
    }
}

#[track_caller]
fn assert_status(response: &str, status: &str) {
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
}

/// Creates a database with the entries `["entry", 0n]` to `["entry", 149n]`.
fn sandbox_with_database() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .run(
            "const kv = await Deno.openKv('kv.db');
            for (let i = 0n; i < 150n; i++) kv.set(['entry', i], `<img src=x onerror=alert(${i})>`);
            kv.close();",
        )
        .stdout();
    sandbox
}

#[test]
fn data_requires_the_token() {
    let sandbox = sandbox_with_database();
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let wrong = format!("Authorization: Bearer {}\r\n", "0".repeat(studio.token.len()));
    for path in ["/api/databases", "/api/entries?database=0", "/other"] {
        assert_status(&studio.request("GET", path, &studio.host()), "401");
        assert_status(&studio.request("GET", path, &(studio.host() + wrong.as_str())), "401");
        assert_status(&studio.request("GET", path, &(studio.host() + "Authorization: Bearer\r\n")), "401");
    }
    assert_status(&studio.get("/api/databases"), "200");
    assert_status(&studio.get("/other"), "404");
    // Each run has its own token.
    assert_ne!(Studio::start(&sandbox, &["kv.db"]).token, studio.token);
}

#[test]
fn foreign_host_and_origin_are_rejected() {
    let sandbox = sandbox_with_database();
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let port = studio.port;
    for path in ["/", "/api/entries?database=0"] {
        let request = |headers: &str| studio.request("GET", path, &(studio.authorization() + headers));
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
    for path in ["/", "/page.js", "/style.css"] {
        let response = studio.request("GET", path, &studio.host());
        assert_status(&response, "200");
        let response = response.to_lowercase();
        assert!(response.contains("content-security-policy: default-src 'none'; script-src 'self'; "), "{response}");
        assert!(!response.contains("kv.db") && !response.contains(&studio.token), "{response}");
    }
    assert_status(&studio.request("POST", "/", &(studio.host() + studio.authorization().as_str())), "405");
}

#[test]
fn entries_are_listed_in_pages() {
    let sandbox = sandbox_with_database();
    let studio = Studio::start(&sandbox, &["kv.db"]);
    let first = studio.get("/api/entries?database=0");
    assert_status(&first, "200");
    assert_eq!(first.matches("onerror").count(), 100);
    assert!(first.contains(r#""key":"[ \"entry\", 0n ]""#), "{first}");
    let (_, cursor) = first.split_once(r#""cursor":""#).unwrap();
    let (cursor, _) = cursor.split_once('"').unwrap();
    let second = studio.get(&format!("/api/entries?database=0&cursor={}", cursor.replace('=', "%3D")));
    assert_eq!(second.matches("onerror").count(), 50);
    assert!(second.contains(r#""key":"[ \"entry\", 149n ]""#) && second.contains(r#""cursor":"""#), "{second}");
    for invalid in
        ["/api/entries", "/api/entries?database=1", "/api/entries?database=-1", "/api/entries?database=0&cursor=!"]
    {
        assert_status(&studio.get(invalid), "400");
    }
}

#[test]
fn default_databases_are_found_with_their_scripts() {
    let sandbox = Sandbox::new();
    sandbox.run("const kv = await Deno.openKv(); await kv.set(['a'], 1); kv.close();").stdout();
    let studio = Studio::start(&sandbox, &[]);
    let databases = studio.get("/api/databases");
    assert!(databases.contains("kv.sqlite3") && databases.contains("/main.ts\""), "{databases}");
    assert!(studio.get("/api/entries?database=0").contains(r#""key":"[ \"a\" ]""#));
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

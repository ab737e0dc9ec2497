//! `openkv db serve`.

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use crate::support::{Output, Running, Sandbox, read_repository};

/// The token of the servers in tests.
pub const TOKEN: &str = "token-of-the-tests";

/// A server process, killed on drop.
pub struct Served {
    process: Running,
    output: BufReader<ChildStdout>,
    log: BufReader<ChildStderr>,
    pub url: String,
}

impl Served {
    /// Starts a server on a free port, and waits until it listens.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = sandbox.command(["db", "serve", "--addr", "127.0.0.1:0"]);
        command.args(args).env("DENO_KV_ACCESS_TOKEN", TOKEN).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Running(command.spawn().expect("openkv starts"));
        let mut output = BufReader::new(process.0.stdout.take().unwrap());
        let mut log = BufReader::new(process.0.stderr.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("listening on ") else {
            log.read_to_string(&mut line).unwrap();
            panic!("{line}");
        };
        Self { url: url.to_owned(), process, output, log }
    }

    /// Waits for a line of the log that contains a text.
    #[track_caller]
    fn logged(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the log ended without {text:?}");
        }
        line
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.process.0.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Stops the server with a signal. Returns its exit status, its remaining output, and its log.
    fn stop(mut self, signal: &str) -> (ExitStatus, String, String) {
        self.signal(signal);
        let (mut printed, mut log) = (String::new(), String::new());
        self.log.read_to_string(&mut log).unwrap();
        self.output.read_to_string(&mut printed).unwrap();
        (self.process.0.wait().unwrap(), printed, log)
    }
}

/// The functions of the scripts in these tests.
const FUNCTIONS: &str = r#"
    const [url, token] = Deno.args;

    /** Exchanges a token, as clients do first. Returns the status and the body of the response. */
    async function exchange(path = "", secret = token): Promise<[number, any]> {
      const response = await fetch(url + path, {
        method: "POST",
        headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
        body: JSON.stringify({ supportedVersions: [1, 2, 3] }),
      });
      const text = await response.text();
      return [response.status, response.ok ? JSON.parse(text) : text];
    }
"#;

/// Runs a script with the URL of a server.
fn run(sandbox: &Sandbox, server: &Served, script: &str) -> Output {
    sandbox.write("main.ts", format!("{FUNCTIONS}{script}"));
    sandbox.openkv(["run", "-A", "main.ts", &server.url, TOKEN])
}

/// Runs a server that fails to start. Returns the error.
fn start_error(sandbox: &Sandbox, args: &[&str]) -> String {
    sandbox.openkv(["db", "serve"].iter().chain(args)).stderr()
}

#[test]
fn server_requires_the_token() {
    let sandbox = Sandbox::new();
    let server = Served::start(&sandbox, &["kv.sqlite3"]);
    let script = r#"
        const [status, metadata] = await exchange();
        console.log(status, metadata.version, metadata.endpoints.length);
        console.log((await exchange("/main"))[1].databaseId === metadata.databaseId);
        console.log((await exchange("/other"))[0], (await exchange("", "another-token"))[0]);
    "#;
    assert_eq!(run(&sandbox, &server, script).stdout(), "200 3 1\ntrue\n404 401\n");
    assert!(sandbox.path("kv.sqlite3").exists());
}

#[test]
fn configured_tokens_are_for_their_databases() {
    let sandbox = Sandbox::new();
    sandbox.write("config/web.token", "token-of-the-web\n");
    let config = r#"{
        "databases": { "shop": "shop.sqlite3", "cache": ":memory:" },
        "tokens": { "web": { "file": "web.token", "databases": ["shop"] } }
    }"#;
    sandbox.write("config/serve.json", config);
    let server = Served::start(&sandbox, &["--config", "config/serve.json"]);
    let script = r#"
        for (const path of ["", "/shop", "/cache"]) {
            console.log((await exchange(path))[0], (await exchange(path, "token-of-the-web"))[0]);
        }
    "#;
    assert_eq!(run(&sandbox, &server, script).stdout(), "404 404\n200 200\n200 403\n");
    assert!(sandbox.path("config/shop.sqlite3").exists());
}

#[test]
fn invalid_arguments_are_rejected_with_advice() {
    let sandbox = Sandbox::new();
    let error = start_error(&sandbox, &[":memory:", "--addr", "0.0.0.0:0"]);
    let expected = "error: serving on 0.0.0.0:0 without a token would let everyone read and write: set DENO_KV_ACCESS_TOKEN, add \
                    --token-file or --token, or listen on a loopback address such as 127.0.0.1:4512\n";
    assert_eq!(error, expected);

    let server = Served::start(&sandbox, &[":memory:"]);
    let addr = server.url.strip_prefix("http://").unwrap();
    let error = start_error(&sandbox, &[":memory:", "--addr", addr]);
    let expected = "the address is in use: choose another one with --addr, or port 0 for a free port\n";
    assert_eq!(error, format!("error: cannot listen on {addr}: {expected}"));

    sandbox.write("serve.json", "{\n  \"databases\": { \"a\": \":memory:\" },\n  \"adress\": \"127.0.0.1:0\"\n}");
    let error = start_error(&sandbox, &["--config", "serve.json"]);
    assert!(
        error.starts_with("error: invalid configuration serve.json: unknown field `adress`, expected one of "),
        "{error}"
    );
    assert!(error.ends_with(" at line 3 column 10\n"), "{error}");

    let error = start_error(&sandbox, &["no/kv.sqlite3", "--addr", "127.0.0.1:0"]);
    assert_eq!(error, "error: unable to open database file: no/kv.sqlite3: directory no does not exist\n");
    let error = start_error(&sandbox, &["mysql://localhost/kv", "--addr", "127.0.0.1:0"]);
    assert_eq!(error, "error: mysql://localhost/kv: no backend supports this URL\n");
    let error = start_error(&sandbox, &[":memory:", "--addr", "127.0.0.1"]);
    assert!(error.starts_with("error: --addr 127.0.0.1: "), "{error}");
    let error = start_error(&sandbox, &[":memory:", "--addr", "127.0.0.1:0", "--cert", "a.pem", "--key", "b.pem"]);
    assert!(error.starts_with("error: a.pem: "), "{error}");
    sandbox.write("text.sqlite3", "text".repeat(500));
    let error = start_error(&sandbox, &["text.sqlite3", "--addr", "127.0.0.1:0"]);
    assert!(error.starts_with("error: ") && error.contains("text.sqlite3"), "{error}");
}

#[test]
#[cfg(unix)]
fn signal_stops_the_server_and_closes_the_file() {
    for signal in ["-TERM", "-INT"] {
        let sandbox = Sandbox::new();
        let server = Served::start(&sandbox, &["kv.sqlite3", "--log-format", "json"]);
        let script = r#"
            console.log((await exchange())[0]);
            using kv = await Deno.openKv("kv.sqlite3");
            await kv.set(["a"], 1);
        "#;
        assert_eq!(run(&sandbox, &server, script).stdout(), "200\n");
        let (status, printed, log) = server.stop(signal);
        assert!(status.success() && printed.is_empty(), "{status} {printed}{log}");
        assert!(!sandbox.path("kv.sqlite3-wal").exists());
        // Each line is an object, and none contains the token.
        sandbox.write("log", &log);
        let script =
            "for (const line of Deno.readTextFileSync('log').trim().split('\\n')) console.log(JSON.parse(line).level);";
        let levels = sandbox.run(script).stdout();
        assert!(levels.lines().count() > 1 && levels.lines().all(|level| level == "INFO"), "{levels}");
        assert!(!log.contains(TOKEN), "{log}");
    }
}

/// Writes the certificate of the tests and its key.
fn write_certificate(sandbox: &Sandbox) {
    let text = read_repository("tests/certificate.ts");
    let pem = |name: &str| {
        let (_, rest) = text.split_once(&format!("export const {name} = `")).unwrap();
        rest.split_once('`').unwrap().0.to_owned()
    };
    sandbox.write("cert.pem", pem("cert"));
    sandbox.write("key.pem", pem("key"));
    sandbox.write("certificate.ts", &text);
}

#[test]
#[cfg(unix)]
fn certificate_is_reloaded_on_hangup() {
    let sandbox = Sandbox::new();
    write_certificate(&sandbox);
    let mut server = Served::start(&sandbox, &[":memory:", "--cert", "cert.pem", "--key", "key.pem"]);
    assert!(server.url.starts_with("https://"));
    let script = r#"
        import { caCerts } from "./certificate.ts";
        const client = Deno.createHttpClient({ caCerts });
        const response = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, client });
        console.log(response.status);
        await response.body?.cancel();
        client.close();
    "#;
    assert_eq!(run(&sandbox, &server, script).stdout(), "200\n");
    let certificate = std::fs::read(sandbox.path("cert.pem")).unwrap();
    sandbox.write("cert.pem", "no certificate");
    server.signal("-HUP");
    let line = server.logged("failed to reload the certificate");
    assert!(line.contains("cert.pem, key.pem: "), "{line}");
    assert_eq!(run(&sandbox, &server, script).stdout(), "200\n");
    sandbox.write("cert.pem", certificate);
    server.signal("-HUP");
    server.logged("reloaded the certificate");
    assert_eq!(run(&sandbox, &server, script).stdout(), "200\n");
}

#[test]
fn metrics_are_served_on_a_separate_port() {
    let sandbox = Sandbox::new();
    let mut server = Served::start(&sandbox, &[":memory:", "--metrics", "127.0.0.1:0"]);
    let line = server.logged("listening for operators");
    let (_, addr) = line.trim_end().split_once("address=").unwrap();
    let script = r##"
        await exchange();
        for (const path of ["healthz", "readyz", "metrics"]) {
            const response = await fetch(`http://${Deno.args[2]}/${path}`);
            const text = await response.text();
            console.log(path, response.status, text.includes("# TYPE "), text.includes(token));
        }
    "##;
    sandbox.write("main.ts", format!("{FUNCTIONS}{script}"));
    let printed = sandbox.openkv(["run", "-A", "main.ts", &server.url, TOKEN, addr]).stdout();
    assert_eq!(printed, "healthz 200 false false\nreadyz 200 false false\nmetrics 200 true false\n");
}

#[test]
fn backup_succeeds_while_the_server_runs() {
    let sandbox = Sandbox::new();
    let _server = Served::start(&sandbox, &["kv.sqlite3"]);
    let printed = sandbox.openkv(["db", "backup", "kv.sqlite3", "backup.sqlite3"]).stdout();
    assert!(printed.starts_with("backup.sqlite3: "), "{printed}");
    assert!(sandbox.openkv(["db", "check", "backup.sqlite3"]).stdout().starts_with("ok: "));
}

//! `openkv serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::support::{Running, Sandbox};

/// A running server, and its output after the line with the address.
struct Server {
    process: Running,
    port: u16,
    output: BufReader<std::io::PipeReader>,
}

impl Server {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = sandbox.command(["serve", "--port=0", "--host=127.0.0.1"].iter().chain(args));
        let (output, input) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(input.try_clone().unwrap()).stderr(input);
        let process = Running(command.spawn().unwrap());
        let mut server = Self { process, port: 0, output: BufReader::new(output) };
        server.listening();
        server
    }

    /// Reads up to the line with the address.
    fn listening(&mut self) {
        let mut seen = String::new();
        let port = loop {
            let start = seen.len();
            assert!(self.output.read_line(&mut seen).unwrap() > 0, "{seen}");
            if let Some((_, address)) = seen[start..].split_once("deno serve: Listening on http://127.0.0.1:") {
                break address.trim_end().trim_end_matches('/').parse().unwrap();
            }
        };
        self.port = port;
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }
}

const HANDLER: &str = "export default { fetch(request: Request, info: Deno.ServeHandlerInfo) {
        return new Response(`${new URL(request.url).pathname} ${info.remoteAddr.transport} ${Deno.args}`);
    } } satisfies Deno.ServeDefaultExport;";

#[test]
fn default_export_is_served_without_permissions() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", HANDLER);
    let server = Server::start(&sandbox, &["--no-prompt", "main.ts", "a", "b"]);
    assert!(server.get("/path").ends_with("\r\n\r\n/path tcp a,b"), "{}", server.get("/path"));
    // Only its own address is permitted.
    sandbox.write(
        "main.ts",
        "export default { fetch: async () => new Response(await fetch('http://127.0.0.1:10001').catch((error) => error.name)) };",
    );
    let server = Server::start(&sandbox, &["--no-prompt", "main.ts"]);
    assert!(server.get("/").ends_with("\r\n\r\nNotCapable"), "{}", server.get("/"));
}

#[cfg(unix)]
#[test]
fn server_shuts_down_on_signals() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", HANDLER);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut server = Server::start(&sandbox, &["main.ts"]);
        assert!(server.get("/").starts_with("HTTP/1.1 200 OK"));
        // SAFETY: the process is a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(server.process.0.id() as i32, signal) }, 0);
        assert_eq!(server.process.0.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn server_restarts_when_its_module_changes() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "export default { fetch: () => new Response('first') };");
    let mut server = Server::start(&sandbox, &["--watch", "main.ts"]);
    assert!(server.get("/").ends_with("first"));
    sandbox.write("main.ts", "export default { fetch: () => new Response('second') };");
    server.listening();
    assert!(server.get("/").ends_with("second"));
}

#[test]
fn module_that_is_no_server_is_reported() {
    let sandbox = Sandbox::new();
    for script in ["", "export default {};", "export default null;", "export default 1;", "export const fetch = 1;"] {
        sandbox.write("main.ts", script);
        let output = sandbox.openkv(["serve", "--port=0", "main.ts"]);
        // As on Deno, the script has run all the same.
        assert_eq!(output.code, Some(0), "{script}");
        let message = "error: openkv serve requires export default { fetch } in the main module, \
            did you mean to run \"openkv run\"?\n";
        assert_eq!(output.stderr, message, "{script}");
    }
    sandbox.write("main.ts", "export default { fetch: 1 };");
    let stderr = sandbox.openkv(["serve", "--port=0", "main.ts"]).stderr();
    assert!(stderr.contains("TypeError: Invalid type for fetch: must be a function"), "{stderr}");
    for (flag, message) in [
        ("--port=65536", "error: invalid value '65536' for '--port <PORT>'"),
        ("--port=abc", "error: invalid value 'abc' for '--port <PORT>'"),
        ("--parallel", "error: '--parallel' is not supported: "),
        ("--open", "error: '--open' is not supported: "),
        ("--watch-hmr", "error: '--watch-hmr' is not supported: "),
    ] {
        let output = sandbox.openkv(["serve", flag, "main.ts"]);
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.starts_with(message), "{output:?}");
    }
}

//! The server: `openkv db serve`.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Programs, failed};

/// The access token of the clients.
pub const TOKEN: &str = "token-of-the-torture";

/// A running server. Dropping it kills the process.
pub struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    /// Starts a server of a file, and waits until it listens.
    pub fn start(programs: &Programs, file: &Path) -> Result<Self, String> {
        let mut command = Command::new(&programs.openkv);
        command.args(["db", "serve"]).arg(file).args(["--addr", "127.0.0.1:0"]).env("DENO_KV_ACCESS_TOKEN", TOKEN);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(failed("starting a server"))?;
        let mut line = String::new();
        let output = process.stdout.as_mut().map(|output| BufReader::new(output).read_line(&mut line));
        output.transpose().map_err(failed("reading the output of a server"))?;
        let addr = line.trim_end().strip_prefix("listening on http://").and_then(|addr| addr.parse().ok());
        if let Some(addr) = addr {
            return Ok(Self { process, addr });
        }
        let mut errors = String::new();
        // Best effort: the error is reported in any case.
        let _ = process.stderr.take().map(|mut output| output.read_to_string(&mut errors));
        Err(format!("a server did not start: {line}{errors}"))
    }

    /// Returns the address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if the process has already exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! `cargo xtask bench --serve`: the server `openkv db serve` compared with the server `denokv`, with Deno as the client.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::Scratch;
use super::machine::Condition;
use super::measures::{Measure, OF_SERVERS};
use super::options::{self, Common, value};
use super::results::{Results, Row};
use super::runtime::Runtime;

/// The token of the servers, which listen only on loopback addresses.
const TOKEN: &str = "token-of-the-benchmark";

/// How long a server may take to start.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Options {
    common: Common,
    denokv: Option<PathBuf>,
    measures: Vec<&'static Measure>,
}

/// Runs the benchmarks, prints a table, and writes it to `benches` if it is complete.
pub fn bench(args: &[OsString]) -> Result<ExitCode, String> {
    let options = parse(args)?;
    let deno = options.common.deno()?;
    let openkv = options.common.binary()?;
    let version = Runtime::openkv(&openkv)?.version;
    let mut rows: Vec<Row> =
        options.measures.iter().map(|measure| Row::new(measure, 1 + usize::from(options.denokv.is_some()))).collect();
    let mut conditions = Vec::new();
    for round in 0..options.common.rounds {
        eprintln!("xtask: round {} of {}", round + 1, options.common.rounds);
        let scratch = Scratch::new()?;
        conditions.push(Condition::measure(&scratch.0)?);
        let ours = Server::openkv(&openkv, &scratch.0)?;
        let theirs = options.denokv.as_deref().map(|path| Server::denokv(path, &scratch.0)).transpose()?;
        for row in &mut rows {
            let mut servers: Vec<_> = [Some(&ours), theirs.as_ref()].into_iter().flatten().enumerate().collect();
            // The order alternates from round to round.
            let first = round % servers.len();
            servers.rotate_left(first);
            for (i, server) in servers {
                row.values[i].push(deno.remote_rate(row.measure.name, &server.url, TOKEN, &scratch.0)?);
            }
        }
    }
    let client = format!("{version} as the server and {} as its client", deno.version);
    let results = Results { rows, versions: client, others: vec!["denokv"], conditions };
    println!("{}\n\n{}", results.circumstances(), results.table());
    if options.denokv.is_some() && options.measures.len() == OF_SERVERS.len() {
        super::write([("serve.md", results.page("cargo xtask bench --serve --denokv PATH", ""))])?;
    } else {
        eprintln!("xtask: benches/serve.md is unchanged, because not all measures ran with both servers");
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(args: &[OsString]) -> Result<Options, String> {
    let (mut common, mut denokv) = (Common::with_rounds(5), None);
    let measures = options::parse(args, OF_SERVERS, |option, rest| {
        if option == "--denokv" {
            denokv = Some(value(option, rest)?.into());
            return Ok(true);
        }
        common.take(option, rest)
    })?;
    Ok(Options { common, denokv, measures })
}

/// A server process, killed on drop.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn openkv(binary: &Path, directory: &Path) -> Result<Self, String> {
        let mut command = Command::new(binary);
        command.args(["db", "serve"]).arg(directory.join("openkv.sqlite3")).args(["--addr", "127.0.0.1:0"]);
        command.env("DENO_KV_ACCESS_TOKEN", TOKEN).stdout(Stdio::piped()).stderr(Stdio::null());
        let failed = |error: io::Error| format!("{binary:?} db serve: {error}");
        let mut server = Self { process: command.spawn().map_err(failed)?, url: String::new() };
        // The server writes nothing more to the pipe, which stays open as long as the process.
        let output = server.process.stdout.as_mut().expect("the standard output is piped");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(failed)?;
        let url = line.split_whitespace().last().filter(|word| word.starts_with("http"));
        server.url = url.ok_or_else(|| format!("{binary:?} db serve printed {line:?}"))?.to_owned();
        Ok(server)
    }

    fn denokv(binary: &Path, directory: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{binary:?} serve: {error}");
        let addr = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(failed)?;
        let mut command = Command::new(binary);
        command.arg("--sqlite-path").arg(directory.join("denokv.sqlite3"));
        command.args(["serve", "--access-token", TOKEN, "--addr", &addr.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { process: command.spawn().map_err(failed)?, url: format!("http://{addr}") };
        let start = Instant::now();
        while TcpStream::connect(addr).is_err() {
            let exited = server.process.try_wait().map_err(failed)?;
            if exited.is_some() || start.elapsed() > TIMEOUT {
                return Err(format!("{binary:?} serve does not listen on {addr}: {exited:?}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

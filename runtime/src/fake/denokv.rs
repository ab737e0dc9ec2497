use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use parking_lot::Mutex;

/// The token of the servers.
pub const TOKEN: &str = "token-of-the-tests";

/// The variable with the path of the program. By default, it is on the `PATH`.
const PROGRAM: &str = "OPENKV_DENOKV";

/// Runs a server until standard input ends, which is when this process does.
const SUPERVISE: &str = r#""$@" < /dev/null & cat > /dev/null; kill $!"#;

/// The running servers. Their standard inputs are open for as long as the process runs.
static SERVERS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Starts a `denokv` server with a database in memory, and waits until it listens. Returns its URL.
pub fn start() -> io::Result<String> {
    let program = std::env::var_os(PROGRAM).map_or_else(|| PathBuf::from("denokv"), PathBuf::from);
    let mut command = Command::new("sh");
    command.args(["-c", SUPERVISE, "sh"]).arg(program).args(["--sqlite-path", ":memory:", "serve"]);
    command.args(["--addr", "127.0.0.1:0", "--access-token", TOKEN]).env("RUST_LOG", "info");
    let mut server = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut log = BufReader::new(server.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
    SERVERS.lock().push(server);
    let mut lines = String::new();
    loop {
        let start = lines.len();
        if log.read_line(&mut lines)? == 0 {
            return Err(io::Error::other(format!("denokv does not start: {lines}")));
        }
        if let Some((_, url)) = lines[start..].split_once("Listening on ") {
            let url = url.trim_end().to_owned();
            // The server waits for a reader of its log.
            std::thread::spawn(move || io::copy(&mut log, &mut io::sink()));
            return Ok(url);
        }
    }
}

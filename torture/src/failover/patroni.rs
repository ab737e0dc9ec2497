//! Primaries of PostgreSQL under Patroni, which promotes the synchronous standby, and makes the old primary a standby of it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use openkv_etcd::cluster::Cluster;
use openkv_postgres::cluster::{Programs, USER, signal_with_children, spawn};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::Args;
use super::load::{Load, Totals};
use crate::failed;

/// The longest time until the primary is killed.
const MAX_DELAY: Duration = Duration::from_millis(2000);

/// In one of so many rounds, Patroni is killed together with the primary.
const WHOLE_MEMBER: u64 = 4;

/// How long Patroni may take to replace a primary, or to make a standby synchronous.
const TIMEOUT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(100);

/// Kills primaries of one pair of servers.
pub fn run(rounds: u64, args: &Args) -> Result<Totals, String> {
    let etcd = Cluster::start().ok_or("etcd is not installed")?;
    let programs = Programs::find()?;
    let members = [Member::new(&programs, &etcd, "one")?, Member::new(&programs, &etcd, "other")?];
    members.iter().try_for_each(Member::start)?;
    let find_primary = || members.iter().position(|member| member.has_role("primary"));
    let mut primary = wait("a primary", &members, find_primary)?;
    let url = format!("postgres://{USER}@{},{}/postgres", members[0].host(), members[1].host());
    let is_synchronous = |member: &Member| member.has_role("sync").then_some(());
    wait("a synchronous standby", &members, || is_synchronous(&members[1 - primary]))?;

    let mut random = StdRng::seed_from_u64(args.seed);
    let mut totals = Totals::default();
    let mut load = Load::start(&url, args.workers, args.seed, &mut totals)?;
    for round in 0..rounds {
        let delay = random.random_range(Duration::ZERO..MAX_DELAY);
        let is_replaced = AtomicBool::new(false);
        thread::scope(|scope| {
            let failover = scope.spawn(|| {
                let replace = || {
                    thread::sleep(delay);
                    let [killed, standby] = [&members[primary], &members[1 - primary]];
                    let is_whole = round % WHOLE_MEMBER == WHOLE_MEMBER - 1;
                    killed.kill(is_whole);
                    wait("a new primary", &members, || standby.has_role("primary").then_some(()))?;
                    if is_whole {
                        killed.start()?;
                    }
                    wait("a synchronous standby", &members, || is_synchronous(killed))
                };
                let replaced = replace();
                is_replaced.store(true, Ordering::Release);
                replaced
            });
            while !is_replaced.load(Ordering::Acquire) {
                load.run_history()?;
            }
            failover.join().map_err(|_| "a thread panicked")?
        })?;
        primary = 1 - primary;
    }
    load.finish()?;
    Ok(totals)
}

/// Waits for a result.
fn wait<T>(what: &str, members: &[Member], result: impl Fn() -> Option<T>) -> Result<T, String> {
    let begin = Instant::now();
    loop {
        if let Some(result) = result() {
            return Ok(result);
        }
        if begin.elapsed() > TIMEOUT {
            let logs = members.iter().map(Member::log).collect::<Vec<_>>().join("\n");
            return Err(format!("there is not {what} after {TIMEOUT:?}: {logs}"));
        }
        thread::sleep(POLL);
    }
}

/// A server with the Patroni that manages it. Dropping it kills both.
struct Member<'p> {
    programs: &'p Programs,
    patroni: PathBuf,
    directory: TempDir,
    /// The TCP ports of the server and of Patroni.
    port: u16,
    api: u16,
}

impl<'p> Member<'p> {
    fn new(programs: &'p Programs, etcd: &Cluster, name: &str) -> Result<Self, String> {
        let paths = env::var_os("PATH").unwrap_or_default();
        let patroni = env::split_paths(&paths).map(|path| path.join("patroni")).find(|path| path.is_file());
        let patroni = patroni.ok_or("Patroni is not installed: install the package patroni")?;
        let directory = programs.owned_directory().map_err(failed("creating a directory"))?;
        let [port, api] = free_ports().map_err(failed("choosing ports"))?;
        let member = Self { programs, patroni, directory, port, api };
        let user = |name: &str| json!({ "username": name, "password": "any" });
        let [host, api] = [port, api].map(|port| format!("127.0.0.1:{port}"));
        // YAML contains JSON. With a `primary_start_timeout` of 0, a killed primary is replaced, and not only restarted.
        let configuration = json!({
            "scope": "openkv",
            "name": name,
            "restapi": { "listen": api, "connect_address": api },
            "etcd3": { "hosts": etcd.endpoints().split(',').collect::<Vec<_>>() },
            "bootstrap": {
                "dcs": {
                    "ttl": 20,
                    "loop_wait": 1,
                    "retry_timeout": 3,
                    "primary_start_timeout": 0,
                    "synchronous_mode": true,
                    "postgresql": {
                        "use_pg_rewind": true,
                        "parameters": { "wal_log_hints": "on", "max_connections": 300, "shared_buffers": "64MB", "wal_keep_size": "256MB" },
                    },
                },
                "initdb": [{ "encoding": "UTF8" }, { "locale": "C" }, { "auth": "trust" }],
            },
            "postgresql": {
                "listen": host,
                "connect_address": host,
                "data_dir": member.data(),
                "bin_dir": programs.directory(),
                "pgpass": member.directory.path().join("pgpass"),
                "authentication": { "superuser": user(USER), "replication": user("replicator") },
                "parameters": { "unix_socket_directories": "" },
                "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
            },
        });
        fs::write(member.directory.path().join("patroni.yml"), configuration.to_string())
            .map_err(failed("writing a file"))?;
        Ok(member)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts Patroni, which starts the server.
    fn start(&self) -> Result<(), String> {
        let starting = || {
            let path = self.directory.path();
            let log = fs::OpenOptions::new().create(true).append(true).open(path.join("log"))?;
            let mut command = self.programs.unprivileged(&self.patroni.to_string_lossy());
            command.arg(path.join("patroni.yml")).current_dir(path).stdout(log.try_clone()?).stderr(log);
            let pid = spawn(command, Signal::TERM.as_raw())?;
            fs::write(path.join("patroni.pid"), pid.to_string())
        };
        starting().map_err(failed("starting Patroni"))
    }

    /// Kills the server, and Patroni first if `is_whole`.
    fn kill(&self, is_whole: bool) {
        let files =
            [is_whole.then(|| self.directory.path().join("patroni.pid")), Some(self.data().join("postmaster.pid"))];
        for pid in files.into_iter().flatten().filter_map(|file| self.running(file)) {
            signal_with_children(pid, Signal::KILL.as_raw());
        }
    }

    /// Returns the process of a file, if it runs and is one of this member.
    fn running(&self, file: PathBuf) -> Option<i32> {
        let pid = fs::read_to_string(file).ok()?.lines().next()?.parse().ok()?;
        let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        command_line.contains(&*self.directory.path().to_string_lossy()).then_some(pid)
    }

    /// Asks Patroni whether the server is the "primary", or the "sync" standby.
    fn has_role(&self, role: &str) -> bool {
        let ask = || -> io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.api))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(format!("GET /{role} HTTP/1.0\r\n\r\n").as_bytes())?;
            let mut response = String::new();
            stream.read_to_string(&mut response)?;
            Ok(response)
        };
        ask().is_ok_and(|response| response.split(' ').nth(1) == Some("200"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.kill(true);
        // Processes that end may still write to the directory.
        let begin = Instant::now();
        while fs::remove_dir_all(self.directory.path()).is_err() && begin.elapsed() < Duration::from_secs(5) {
            thread::sleep(POLL);
        }
    }
}

/// Returns free ports, which differ.
fn free_ports() -> io::Result<[u16; 2]> {
    let [one, other] = [TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?];
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

//! Throw-away servers for tests: on loopback, in temporary directories, without a service of the system.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The user of the databases, who may do everything.
pub const USER: &str = "openkv";

/// Where distributions install the programs, besides `PATH`.
const INSTALLED: &str = "/usr/lib/postgresql";

/// How long a server may take to start or to become a primary.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The programs of PostgreSQL.
#[derive(Clone, Debug)]
pub struct Programs {
    directory: PathBuf,
    /// The user and the group that run servers: they refuse to run as root.
    identity: Option<(u32, u32)>,
}

impl Programs {
    /// Finds the programs. Returns the reason if they are not installed.
    pub fn find() -> Result<Self, String> {
        let versions = fs::read_dir(INSTALLED).into_iter().flatten().flatten();
        let mut directories: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
        directories.sort();
        directories.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        let directory = directories.into_iter().rev().find(|directory| {
            ["initdb", "pg_basebackup", "postgres", "psql"].iter().all(|program| directory.join(program).is_file())
        });
        let directory = directory.ok_or("PostgreSQL is not installed: install the package postgresql")?;
        // SAFETY: the call has no preconditions.
        let is_root = unsafe { libc::geteuid() } == 0;
        let identity = if is_root { Some(identity().ok_or("there is no user postgres or nobody")?) } else { None };
        Ok(Self { directory, identity })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        command.stdin(Stdio::null()).current_dir("/").env_clear();
        command
    }

    /// Returns the directory of the programs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Creates a temporary directory of the user of servers.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn owned_directory(&self) -> io::Result<TempDir> {
        let directory = tempfile::tempdir()?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        if let Some((user, group)) = self.identity {
            chown(directory.path(), Some(user), Some(group))?;
        }
        Ok(directory)
    }

    /// Returns the command of a program, by its name or path, that runs as the user of servers.
    pub fn unprivileged(&self, program: &str) -> Command {
        let mut command = self.command(program);
        if let Some((user, group)) = self.identity {
            command.uid(user).gid(group);
        }
        command
    }
}

/// Returns the ids of the user postgres, or nobody.
fn identity() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let id = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    id("postgres").or_else(|| id("nobody"))
}

/// A server, ended when it is dropped.
#[derive(Debug)]
pub struct Server {
    programs: Programs,
    directory: TempDir,
    /// The TCP port on 127.0.0.1.
    pub port: u16,
    pid: Mutex<Option<i32>>,
}

impl Server {
    /// Starts a primary. `settings` are lines of its configuration.
    ///
    /// # Errors
    /// A program fails.
    pub fn primary(programs: &Programs, settings: &str) -> io::Result<Self> {
        let server = Self::new(programs)?;
        let mut initdb = programs.unprivileged("initdb");
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username", USER]);
        run(initdb.arg("--pgdata").arg(server.data()))?;
        server.start(settings)?;
        Ok(server)
    }

    /// Starts a standby of this server.
    ///
    /// # Errors
    /// A program fails.
    pub fn standby(&self, settings: &str) -> io::Result<Self> {
        let server = Self::new(&self.programs)?;
        let mut backup = self.programs.unprivileged("pg_basebackup");
        backup.args([
            "--host=127.0.0.1",
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
            "--username",
            USER,
        ]);
        run(backup.arg(format!("--port={}", self.port)).arg("--pgdata").arg(server.data()))?;
        server.start(settings)?;
        Ok(server)
    }

    fn new(programs: &Programs) -> io::Result<Self> {
        let directory = programs.owned_directory()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        Ok(Self { programs: programs.clone(), directory, port, pid: Mutex::default() })
    }

    /// Returns the data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn start(&self, settings: &str) -> io::Result<()> {
        let configuration = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nmax_connections = 300\n\
             shared_buffers = 64MB\nmax_wal_senders = 8\nlogging_collector = off\nwal_keep_size = 256MB\n{settings}\n",
            self.port
        );
        let path = self.data().join("postgresql.auto.conf");
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + &configuration)?;
        self.restart()
    }

    /// Starts the server again after it was stopped or killed.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&self) -> io::Result<()> {
        let mut command = self.programs.unprivileged("postgres");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log"))?;
        command.arg("-D").arg(self.data()).stdout(log.try_clone()?).stderr(log);
        let pid = spawn(command, libc::SIGQUIT)?;
        *self.pid.lock().unwrap_or_else(|error| error.into_inner()) = Some(pid);
        self.wait(|server| server.query("select 1").is_ok())
    }

    fn wait(&self, is_done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let start = Instant::now();
        while !is_done(self) {
            if start.elapsed() > TIMEOUT {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the server does not respond: {log}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Returns the address of the server for URLs.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the URL of a database, by the name of its schema.
    pub fn url(&self, schema: &str) -> String {
        format!("postgres://{USER}@{}/postgres?schema={schema}", self.host())
    }

    /// Runs statements as the user of the server. Returns the rows, in the form of `psql`.
    ///
    /// # Errors
    /// The message of the server.
    pub fn query(&self, sql: &str) -> io::Result<String> {
        let mut psql = self.programs.command("psql");
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER, "-d", "postgres"]);
        psql.arg("-p").arg(self.port.to_string()).arg("-c").arg(sql);
        Ok(run(&mut psql)?.trim_end().to_owned())
    }

    /// Makes commits wait for the standbys.
    ///
    /// # Errors
    /// The server fails.
    pub fn require_standby(&self) -> io::Result<()> {
        self.query("alter system set synchronous_standby_names = '*'")?;
        self.query("select pg_reload_conf()")?;
        self.wait(|server| {
            server.query("select count(*) from pg_stat_replication where sync_state = 'sync'").is_ok_and(|n| n == "1")
        })
    }

    /// Makes a standby the primary.
    ///
    /// # Errors
    /// The server fails.
    pub fn promote(&self) -> io::Result<()> {
        self.query("select pg_promote()")?;
        self.wait(|server| server.query("select pg_is_in_recovery()").is_ok_and(|is_standby| is_standby == "f"))
    }

    /// Kills all processes of the server with SIGKILL.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Stops all processes of the server for a while, or lets them continue.
    pub fn pause(&self, is_paused: bool) {
        self.signal(if is_paused { libc::SIGSTOP } else { libc::SIGCONT });
    }

    fn signal(&self, signal: i32) {
        let pid = *self.pid.lock().unwrap_or_else(|error| error.into_inner());
        if let Some(pid) = pid {
            signal_with_children(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // Processes that end may still write to the directory.
        let is_removed = |directory: &Path| fs::remove_dir_all(directory).is_ok() || !directory.exists();
        let start = Instant::now();
        while !is_removed(self.directory.path()) && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Starts a server. It receives a signal if this process is killed. Returns its id.
///
/// # Errors
/// It cannot be started.
pub fn spawn(mut command: Command, signal: i32) -> io::Result<i32> {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: the closure calls only a system call, which is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal);
            Ok(())
        });
    }
    // The signal is sent when the thread that started the server ends, so that this thread waits for it.
    let (started, pid) = mpsc::channel();
    thread::spawn(move || match command.spawn() {
        Ok(mut child) => {
            let _ = started.send(Ok(child.id() as i32));
            let _ = child.wait();
        }
        Err(error) => drop(started.send(Err(error))),
    });
    pid.recv().map_err(io::Error::other)?
}

/// Sends a signal to a server and to its children, which have groups of their own.
pub fn signal_with_children(pid: i32, signal: i32) {
    for pid in std::iter::once(pid).chain(children(pid)) {
        // SAFETY: the call has no preconditions. The processes are those of a server of the tests.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Returns the processes that a process has started.
fn children(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields.to_owned()).unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    pids.filter(is_child).collect()
}

/// Returns a primary that the tests of this process share, started by the first. `None` if PostgreSQL is not installed, which is
/// printed.
///
/// # Panics
/// PostgreSQL is required by `OPENKV_REQUIRE`, but not installed, or the server does not start.
pub fn shared() -> Option<Arc<Server>> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let programs = installed()?;
    let mut shared = SHARED.lock().unwrap_or_else(|error| error.into_inner());
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = Arc::new(Server::primary(&programs, "fsync = off").expect("the server starts"));
    *shared = Arc::downgrade(&server);
    Some(server)
}

/// Returns the programs, or `None` if PostgreSQL is not installed, which is printed.
///
/// # Panics
/// PostgreSQL is required by `OPENKV_REQUIRE`, but not installed.
pub fn installed() -> Option<Programs> {
    match Programs::find() {
        Ok(programs) => Some(programs),
        Err(why) => {
            let required = std::env::var("OPENKV_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name == "postgres"), "PostgreSQL is required: {why}");
            eprintln!("skipped: {why}");
            None
        }
    }
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stderr(Stdio::piped()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    Err(io::Error::other(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr))))
}

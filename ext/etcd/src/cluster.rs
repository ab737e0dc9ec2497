//! Throw-away clusters for tests: three nodes on loopback, in a temporary directory.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// Three nodes on loopback, with their data in a temporary directory. They end with this process, however it ends.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    directory: tempfile::TempDir,
    token: String,
    /// Further arguments of the nodes.
    args: &'static [&'static str],
}

#[derive(Debug)]
struct Node {
    client: u16,
    peer: u16,
    running: Option<(Child, ChildStdin)>,
}

/// Ends etcd at a line of standard input, or at its end, which also removes the directory of the node.
const SUPERVISOR: &str = r#"
directory=$1; shift
etcd "$@" > "$directory/log" 2>&1 & pid=$!
read -r _; stopped=$?
kill -9 "$pid"; wait "$pid" 2> /dev/null
if [ "$stopped" != 0 ]; then rm -rf "$directory"; rmdir "${directory%/*}" 2> /dev/null; fi
"#;

impl Cluster {
    /// Starts a cluster. Returns `None` if etcd is not installed.
    ///
    /// # Panics
    /// It is not installed, although `OPENKV_REQUIRE` names it, or cannot be started.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a cluster like [`Cluster::start`], with further arguments of its nodes.
    pub fn start_with(args: &'static [&'static str]) -> Option<Self> {
        if Command::new("etcd").arg("--version").output().is_err() {
            let required = std::env::var("OPENKV_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name == "etcd"), "etcd is required, and not installed");
            eprintln!("skipped: etcd is not installed (Debian: etcd-server)");
            return None;
        }
        // Held until all are chosen, so that they differ.
        let listeners: Vec<_> = (0..6).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let nodes = ports.chunks(2).map(|ports| Node { client: ports[0], peer: ports[1], running: None });
        let token = format!("{}-{}", std::process::id(), ports[0]);
        let mut cluster = Self { nodes: nodes.collect(), directory: tempfile::tempdir().unwrap(), token, args };
        (0..3).for_each(|i| cluster.start_node(i));
        Some(cluster)
    }

    /// Starts a node again after it was killed.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start_node(&mut self, i: usize) {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let peers = (0..).zip(&self.nodes).map(|(i, node)| format!("n{i}={}", url(node.peer)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let node = &self.nodes[i];
        let directory = self.directory.path().join(format!("n{i}"));
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(&directory);
        command.args(["--name", &format!("n{i}"), "--data-dir"]).arg(directory.join("data"));
        for (flag, port) in [
            ("--listen-client-urls", node.client),
            ("--advertise-client-urls", node.client),
            ("--listen-peer-urls", node.peer),
            ("--initial-advertise-peer-urls", node.peer),
        ] {
            command.args([flag, &url(port)]);
        }
        command.args(["--initial-cluster", &peers, "--initial-cluster-token", &self.token]).args(self.args);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        self.nodes[i].running = Some((child, input));
    }

    /// Kills a node as by `kill -9`.
    ///
    /// # Panics
    /// Its process cannot be awaited.
    pub fn kill_node(&mut self, i: usize) {
        if let Some((mut child, mut input)) = self.nodes[i].running.take() {
            // Fails if the supervisor has ended.
            let _ = input.write_all(b"\n");
            child.wait().unwrap();
        }
    }

    /// Returns the URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("etcd://{}/{name}", self.endpoints())
    }

    fn endpoints(&self) -> String {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.client)).collect::<Vec<_>>().join(",")
    }

    /// Compacts all revisions but the last.
    ///
    /// # Panics
    /// That fails, other than because a later one was compacted meanwhile.
    pub fn compact(&self) {
        let status = self.ctl(&["get", "none", "-w", "fields"]);
        let revision = status.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
        let revision = revision.unwrap_or_else(|| panic!("{status}"));
        match self.try_ctl(&["compaction", "--physical", revision]) {
            Err(error) if !error.contains("has been compacted") => panic!("{error}"),
            _ => {}
        }
    }

    /// Runs `etcdctl`. Returns its output.
    ///
    /// # Panics
    /// It fails.
    pub fn ctl(&self, args: &[&str]) -> String {
        self.try_ctl(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// Runs `etcdctl`. Returns its output.
    ///
    /// # Errors
    /// What it printed, if it failed.
    pub fn try_ctl(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoints()])
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..3).for_each(|i| self.kill_node(i));
    }
}

/// Returns the cluster that the tests of this process share, each with databases of its own.
///
/// # Panics
/// See [`Cluster::start`].
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).as_ref()
}

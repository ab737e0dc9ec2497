//! Throw-away clusters for tests: three nodes on loopback, in a temporary directory.

mod certificates;
mod network;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use self::network::Network;

/// Three nodes on loopback, with their data in a temporary directory. They end with this process, however it ends.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    directory: tempfile::TempDir,
    token: String,
    /// Further arguments of the nodes.
    args: &'static [&'static str],
    /// Whether clients connect over TLS, with a certificate.
    is_secure: bool,
    /// The namespaces of the nodes, if they have them. Removed after the nodes have ended.
    network: Option<Network>,
}

#[derive(Debug)]
struct Node {
    host: Ipv4Addr,
    client: u16,
    peer: u16,
    running: Option<(Child, ChildStdin)>,
}

/// Ends etcd at a line of standard input, or at its end, which also removes the directory of the node.
const SUPERVISOR: &str = r#"
directory=$1; shift
$PREFIX etcd "$@" > "$directory/log" 2>&1 & pid=$!
read -r _; stopped=$?
kill -9 "$pid"; wait "$pid" 2> /dev/null
if [ "$stopped" != 0 ]; then rm -rf "$directory"; rmdir "${directory%/*}" 2> /dev/null; eval "$REMOVAL"; fi
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
        is_installed().then(|| Self::of_nodes(args, None, false))
    }

    /// Starts a cluster that requires TLS, with certificates of clients: see [`Cluster::file`]. Returns `None` also without
    /// `openssl`.
    ///
    /// # Panics
    /// See [`Cluster::start`].
    pub fn start_secure() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        if certificates::create(directory.path()).is_none() {
            eprintln!("skipped: certificates cannot be created (Debian: openssl)");
            return None;
        }
        is_installed().then(|| Self::of_nodes_in(directory, &[], None, true))
    }

    /// Starts a cluster whose nodes can be isolated from each other. Returns `None` also where a process cannot create network
    /// namespaces, which requires to be root.
    ///
    /// # Panics
    /// See [`Cluster::start`].
    pub fn start_in_namespaces() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let Some(network) = Network::create() else {
            eprintln!("skipped: network namespaces cannot be created (Debian: iproute2, as root)");
            return None;
        };
        Some(Self::of_nodes(&[], Some(network), false))
    }

    fn of_nodes(args: &'static [&'static str], network: Option<Network>, is_secure: bool) -> Self {
        Self::of_nodes_in(tempfile::tempdir().unwrap(), args, network, is_secure)
    }

    fn of_nodes_in(
        directory: tempfile::TempDir,
        args: &'static [&'static str],
        network: Option<Network>,
        is_secure: bool,
    ) -> Self {
        // Held until all are chosen, so that they differ.
        let listeners: Vec<_> = (0..6).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let host = |i| network.as_ref().map_or(Ipv4Addr::LOCALHOST, |network| network.address(i));
        let node =
            |(i, ports): (usize, &[u16])| Node { host: host(i), client: ports[0], peer: ports[1], running: None };
        let nodes = ports.chunks(2).enumerate().map(node).collect();
        let token = format!("{}-{}", std::process::id(), ports[0]);
        let mut cluster = Self { nodes, directory, token, args, is_secure, network };
        (0..3).for_each(|i| cluster.start_node(i));
        cluster
    }

    /// Starts a node again after it was killed.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start_node(&mut self, i: usize) {
        let scheme = if self.is_secure { "https" } else { "http" };
        let client = |node: &Node| format!("{scheme}://{}:{}", node.host, node.client);
        let peer = |node: &Node| format!("http://{}:{}", node.host, node.peer);
        let peers = (0..).zip(&self.nodes).map(|(i, node)| format!("n{i}={}", peer(node)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let node = &self.nodes[i];
        let directory = self.directory.path().join(format!("n{i}"));
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(&directory);
        command.args(["--name", &format!("n{i}"), "--data-dir"]).arg(directory.join("data"));
        for (flag, url) in [
            ("--listen-client-urls", client(node)),
            ("--advertise-client-urls", client(node)),
            ("--listen-peer-urls", peer(node)),
            ("--initial-advertise-peer-urls", peer(node)),
        ] {
            command.args([flag, url.as_str()]);
        }
        if self.is_secure {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(self.file("ca.pem"));
            command.arg("--cert-file").arg(self.file("server.pem")).arg("--key-file").arg(self.file("server.key"));
        }
        let network = self.network.as_ref();
        command.env("PREFIX", network.map_or_else(String::new, |network| network.prefix(i)));
        command.env("REMOVAL", network.map_or_else(String::new, Network::removal));
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
        self.url_of(&[0, 1, 2], name)
    }

    /// Returns the URL of a database that names some of the nodes.
    pub fn url_of(&self, nodes: &[usize], name: &str) -> String {
        let scheme = if self.is_secure { "etcds" } else { "etcd" };
        format!("{scheme}://{}/{name}", self.addresses(nodes))
    }

    /// Returns the node that leads the cluster, if there is one.
    pub fn leader(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|i| {
            let timeouts = ["--dial-timeout=2s", "--command-timeout=2s"];
            let status = || self.try_ctl_of(&[*i], &[&timeouts[..], &["endpoint", "status"]].concat());
            let printed = if self.nodes[*i].running.is_some() { status().ok() } else { None };
            // The endpoint, the id, the version, the size, and whether the node leads.
            printed.is_some_and(|printed| printed.split(", ").nth(4) == Some("true"))
        })
    }

    /// Returns the path of a file of a cluster that requires TLS: `ca.pem`, and `client.pem` with `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Isolates a node of a cluster in namespaces from the others, not from clients, or connects it again.
    ///
    /// # Panics
    /// That fails.
    pub fn isolate(&self, i: usize, is_isolated: bool) {
        assert!(self.network.as_ref().is_some_and(|network| network.isolate(i, is_isolated)), "node {i}");
    }

    /// Returns the addresses of the nodes, separated by commas.
    pub fn endpoints(&self) -> String {
        self.addresses(&[0, 1, 2])
    }

    fn addresses(&self, nodes: &[usize]) -> String {
        let address = |i: &usize| format!("{}:{}", self.nodes[*i].host, self.nodes[*i].client);
        nodes.iter().map(address).collect::<Vec<_>>().join(",")
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
        self.try_ctl_of(&[0, 1, 2], args)
    }

    fn try_ctl_of(&self, nodes: &[usize], args: &[&str]) -> Result<String, String> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.addresses(nodes)]).args(args);
        if self.is_secure {
            let files = [("--cacert", "ca.pem"), ("--cert", "client.pem"), ("--key", "client.key")];
            for (flag, name) in files {
                command.arg(flag).arg(self.file(name));
            }
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..3).for_each(|i| self.kill_node(i));
    }
}

/// Returns whether etcd is installed. Prints that tests are skipped if it is not.
///
/// # Panics
/// It is not installed, although `OPENKV_REQUIRE` names it.
pub fn is_installed() -> bool {
    if Command::new("etcd").arg("--version").output().is_ok() {
        return true;
    }
    let required = std::env::var("OPENKV_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == "etcd"), "etcd is required, and not installed");
    eprintln!("skipped: etcd is not installed (Debian: etcd-server)");
    false
}

/// Returns the cluster that the tests of this process share, each with databases of its own.
///
/// # Panics
/// See [`Cluster::start`].
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).as_ref()
}

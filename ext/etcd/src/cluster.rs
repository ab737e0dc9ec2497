//! Throw-away clusters for tests: three nodes on loopback, in a temporary directory.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
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
    /// The network namespaces of the nodes, if they have any.
    network: Option<Network>,
}

#[derive(Debug)]
struct Node {
    /// The IP address, and the ports.
    host: String,
    client: u16,
    peer: u16,
    running: Option<(Child, ChildStdin)>,
}

/// Ends etcd at a line of standard input, or at its end, which also removes the directory and the network of the node.
const SUPERVISOR: &str = r#"
directory=$1; network=$2; shift 2
"$@" > "$directory/log" 2>&1 & pid=$!
read -r _; stopped=$?
kill -9 "$pid"; wait "$pid" 2> /dev/null
if [ "$stopped" != 0 ]; then
  rm -rf "$directory"; rmdir "${directory%/*}" 2> /dev/null
  if [ -n "$network" ]; then ip netns del "$network"; ip link del "${network%-*}"; fi 2> /dev/null
fi
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
        if !is_installed() {
            return None;
        }
        Some(Self::start_on(args, None))
    }

    /// Starts a cluster like [`Cluster::start`], each node of which has a network namespace, so that it can be
    /// [isolated](Cluster::isolate). Also returns `None` if namespaces cannot be created, which is printed.
    pub fn start_in_namespaces() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        match Network::create() {
            Ok(network) => Some(Self::start_on(&[], Some(network))),
            Err(why) => {
                eprintln!("skipped: no network namespaces: {why}");
                None
            }
        }
    }

    fn start_on(args: &'static [&'static str], network: Option<Network>) -> Self {
        // Held until all are chosen, so that they differ.
        let listeners: Vec<_> = (0..6).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let host = |i| network.as_ref().map_or_else(|| "127.0.0.1".to_owned(), |network| network.host(i));
        let nodes = (0..).zip(ports.chunks(2)).map(|(i, ports)| Node {
            host: host(i),
            client: ports[0],
            peer: ports[1],
            running: None,
        });
        let token = format!("{}-{}", std::process::id(), ports[0]);
        let nodes = nodes.collect();
        let mut cluster = Self { nodes, directory: tempfile::tempdir().unwrap(), token, args, network };
        (0..3).for_each(|i| cluster.start_node(i));
        cluster
    }

    /// Starts a node again after it was killed.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start_node(&mut self, i: usize) {
        let url = |node: &Node, port: u16| format!("http://{}:{port}", node.host);
        let peers = (0..).zip(&self.nodes).map(|(i, node)| format!("n{i}={}", url(node, node.peer)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let node = &self.nodes[i];
        let directory = self.directory.path().join(format!("n{i}"));
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(&directory);
        let namespace = self.network.as_ref().map(|network| network.namespace(i));
        command.arg(namespace.as_deref().unwrap_or_default());
        command.args(namespace.iter().flat_map(|namespace| ["ip", "netns", "exec", namespace]));
        command.args(["etcd", "--name", &format!("n{i}"), "--data-dir"]).arg(directory.join("data"));
        for (flag, port) in [
            ("--listen-client-urls", node.client),
            ("--advertise-client-urls", node.client),
            ("--listen-peer-urls", node.peer),
            ("--initial-advertise-peer-urls", node.peer),
        ] {
            command.args([flag, &url(node, port)]);
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

    /// Cuts a node off from the other nodes, but not from clients, or ends that.
    ///
    /// # Panics
    /// The cluster was not started in namespaces.
    pub fn isolate(&self, i: usize, is_isolated: bool) {
        let network = self.network.as_ref().expect("the nodes have namespaces");
        let change = if is_isolated { "add" } else { "del" };
        for other in (0..self.nodes.len()).filter(|other| *other != i) {
            let route = ["route", change, "blackhole", &network.host(other)];
            run_ip(&[&["-n", &network.namespace(i)], &route[..]].concat()).unwrap();
        }
    }

    /// Returns the URL of a database by the address of one node.
    pub fn url_of_node(&self, i: usize, name: &str) -> String {
        format!("etcd://{}/{name}", self.nodes[i].endpoint())
    }

    /// Returns the URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("etcd://{}/{name}", self.endpoints())
    }

    /// Returns the node that leads the cluster, if there is one.
    pub fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|node| {
            let mut status = Command::new("etcdctl");
            status.env("ETCDCTL_API", "3").args(["--dial-timeout=2s", "--command-timeout=2s", "endpoint", "status"]);
            status.args(["--endpoints", &node.endpoint()]);
            let printed = if node.running.is_some() { status.output().ok() } else { None };
            // The endpoint, the id, the version, the size, and whether the node leads.
            printed.is_some_and(|printed| String::from_utf8_lossy(&printed.stdout).split(", ").nth(4) == Some("true"))
        })
    }

    /// Returns the addresses of the nodes, separated by commas.
    pub fn endpoints(&self) -> String {
        self.nodes.iter().map(Node::endpoint).collect::<Vec<_>>().join(",")
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

impl Node {
    fn endpoint(&self) -> String {
        format!("{}:{}", self.host, self.client)
    }
}

/// Network namespaces, which a bridge connects with each other and with this process. Dropping them removes them.
#[derive(Debug)]
struct Network {
    /// The name of the bridge, with which those of the namespaces begin.
    bridge: String,
    /// The first address of a subnet of eight, in the range for tests of networks.
    first: Ipv4Addr,
}

impl Network {
    /// Creates namespaces for three nodes.
    fn create() -> Result<Self, String> {
        let id = std::process::id();
        // The range has 16384 such subnets.
        let first = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + id % 16384 * 8);
        let network = Self { bridge: format!("okv{id}"), first };
        let bridge = &network.bridge;
        run_ip(&["link", "add", bridge, "type", "bridge"])?;
        run_ip(&["addr", "add", &format!("{}/29", network.host(5)), "dev", bridge])?;
        run_ip(&["link", "set", bridge, "up"])?;
        for i in 0..3 {
            let (namespace, end) = (network.namespace(i), format!("{bridge}v{i}"));
            run_ip(&["netns", "add", &namespace])?;
            run_ip(&["link", "add", &end, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
            run_ip(&["link", "set", &end, "master", bridge, "up"])?;
            let address = format!("{}/29", network.host(i));
            run_ip(&["-n", &namespace, "addr", "add", &address, "dev", "eth0"])?;
            run_ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
        }
        Ok(network)
    }

    fn namespace(&self, i: usize) -> String {
        format!("{}-{i}", self.bridge)
    }

    fn host(&self, i: usize) -> String {
        Ipv4Addr::from_bits(self.first.to_bits() + 1 + i as u32).to_string()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for i in 0..3 {
            // Fails if there is none.
            let _ = run_ip(&["netns", "del", &self.namespace(i)]);
        }
        let _ = run_ip(&["link", "del", &self.bridge]);
    }
}

/// Runs `ip`, which requires the privileges of root.
fn run_ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| format!("ip cannot be run: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim_end()))
    }
}

/// Returns whether etcd is installed. Prints that tests are skipped if it is not.
///
/// # Panics
/// It is not installed, although `OPENKV_REQUIRE` names it.
pub fn is_installed() -> bool {
    let is_installed = Command::new("etcd").arg("--version").output().is_ok();
    if !is_installed {
        let required = std::env::var("OPENKV_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "etcd"), "etcd is required, and not installed");
        eprintln!("skipped: etcd is not installed (Debian: etcd-server)");
    }
    is_installed
}

/// Returns the cluster that the tests of this process share, each with databases of its own.
///
/// # Panics
/// See [`Cluster::start`].
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).as_ref()
}

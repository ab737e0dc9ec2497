use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// Network namespaces, one for each node, on a bridge.
#[derive(Debug)]
pub(super) struct Network {
    process: u32,
}

/// The first of the addresses for tests of networks, of which a process uses eight.
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

impl Network {
    /// Creates the namespaces of this process, which has at most one such cluster at a time. Returns `None` where that is not
    /// possible.
    pub fn create() -> Option<Self> {
        let network = Self { process: std::process::id() };
        let bridge = network.bridge();
        let mut commands = vec![
            format!("link add {bridge} type bridge"),
            format!("addr add {}/29 dev {bridge}", network.address(5)),
            format!("link set {bridge} up"),
        ];
        for i in 0..3 {
            let (namespace, address) = (network.namespace(i), network.address(i));
            commands.extend([
                format!("netns add {namespace}"),
                format!("link add {namespace}h type veth peer name eth0 netns {namespace}"),
                format!("link set {namespace}h master {bridge} up"),
                format!("-n {namespace} addr add {address}/29 dev eth0"),
                format!("-n {namespace} link set eth0 up"),
                format!("-n {namespace} link set lo up"),
            ]);
        }
        commands.iter().all(|command| ip(command)).then_some(network)
    }

    /// Returns the address of a node.
    pub fn address(&self, i: usize) -> Ipv4Addr {
        let first = u32::from(ADDRESSES) + self.process % (1 << 14) * 8;
        Ipv4Addr::from(first + 1 + i as u32)
    }

    /// Returns what runs a program in the namespace of a node.
    pub fn prefix(&self, i: usize) -> String {
        format!("ip netns exec {}", self.namespace(i))
    }

    /// Returns the commands that remove the namespaces.
    pub fn removal(&self) -> String {
        let namespaces = (0..3).map(|i| format!("ip netns del {}; ", self.namespace(i)));
        format!("{}ip link del {}", namespaces.collect::<String>(), self.bridge())
    }

    /// Discards the packets between a node and the others, or no longer.
    pub fn isolate(&self, i: usize, is_isolated: bool) -> bool {
        let action = if is_isolated { "add" } else { "del" };
        // In both directions: a node also receives what it cannot acknowledge.
        let mut routes = (0..3).filter(|other| *other != i).flat_map(|other| [(i, other), (other, i)]);
        routes.all(|(from, to)| {
            ip(&format!("-n {} route {action} blackhole {}/32", self.namespace(from), self.address(to)))
        })
    }

    fn namespace(&self, i: usize) -> String {
        format!("okv{}n{i}", self.process)
    }

    fn bridge(&self) -> String {
        format!("okv{}b", self.process)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("sh").args(["-c", &self.removal()]).stderr(Stdio::null()).status();
    }
}

fn ip(command: &str) -> bool {
    let status = Command::new("ip").args(command.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

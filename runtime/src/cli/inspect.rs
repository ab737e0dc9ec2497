//! The flags for debuggers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::{Arg, ArgMatches};
use openkv::{Inspect, InspectPublishUid, InspectStart};

use super::arguments::one;

/// The flags, and when a script starts with each of them. The last one that is present applies.
const STARTS: [(&str, InspectStart, &str); 3] = [
    ("inspect", InspectStart::Immediately, "Let debuggers attach to the script, by default at 127.0.0.1:9229"),
    ("inspect-wait", InspectStart::Attached, "Let debuggers attach to the script, and wait for one before it starts"),
    ("inspect-brk", InspectStart::Paused, "Let debuggers attach to the script, and pause at its first statement"),
];

/// The address of the server, as in Node.js.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9229);

/// Returns the flags.
pub(super) fn flags() -> impl Iterator<Item = Arg> {
    let starts = STARTS.map(|(name, _, help)| {
        Arg::new(name)
            .long(name)
            .value_name("HOST:PORT")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("127.0.0.1:9229")
            .conflicts_with_all(STARTS.iter().map(|(other, ..)| *other).filter(|other| *other != name))
            .value_parser(address)
            .help(help)
    });
    let publish = one("inspect-publish-uid", "WHERE")
        .value_delimiter(',')
        .value_parser(["stderr", "http"])
        .help("Where the URL for debuggers is published: stderr, http, or both, which is the default");
    starts.into_iter().chain([publish])
}

/// Reads the flags.
pub(super) fn read(matches: &mut ArgMatches) -> Option<Inspect> {
    let named: Option<Vec<String>> = matches.remove_many("inspect-publish-uid").map(Iterator::collect);
    let publish = named.map_or_else(InspectPublishUid::default, |named| InspectPublishUid {
        console: named.iter().any(|name| name == "stderr"),
        http: named.iter().any(|name| name == "http"),
    });
    let (address, start) =
        STARTS.iter().find_map(|(name, start, _)| Some((matches.remove_one::<SocketAddr>(name)?, *start)))?;
    Some(Inspect { address, start, publish })
}

/// Parses an address whose host or port may be missing.
fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.replace("localhost", "127.0.0.1");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(ip) = text.parse() {
        return Ok(SocketAddr::new(ip, ADDRESS.port()));
    }
    match text.trim_start_matches(':').parse() {
        Ok(port) => Ok(SocketAddr::new(ADDRESS.ip(), port)),
        Err(_) => Err("it must be an IP address, a port, or both, as in 127.0.0.1:9229".into()),
    }
}

use std::fmt;

use crate::OpenError;

/// The default port of etcd for clients.
const PORT: u16 = 2379;

/// The URL of a database: `etcd://HOST:PORT,HOST:PORT/NAME`, or `etcds://` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// The nodes of the cluster, in any order.
    pub nodes: Vec<Address>,
    /// The name of the database: letters, digits, `-`, `_` and `.`. Its keys in etcd begin with it and a slash.
    pub name: String,
    /// Whether to connect over TLS.
    pub tls: bool,
}

/// The address of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The name or IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl DatabaseUrl {
    /// Returns whether a path is such a URL.
    pub fn has_scheme(path: &str) -> bool {
        path.starts_with("etcd://") || path.starts_with("etcds://")
    }

    /// Parses a URL.
    ///
    /// # Errors
    /// [`OpenError::InvalidUrl`].
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let invalid = |problem| OpenError::InvalidUrl { url: url.to_owned(), problem };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it has no scheme"))?;
        let tls = match scheme {
            "etcd" => false,
            "etcds" => true,
            _ => return Err(invalid("it has another scheme")),
        };
        if rest.contains('@') {
            return Err(invalid("users and passwords belong into the environment"));
        }
        let (nodes, name) = rest.split_once('/').ok_or_else(|| invalid("it has no name of a database"))?;
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_valid) {
            return Err(invalid("the name must have 1 to 64 letters, digits, '-', '_' or '.'"));
        }
        let nodes = nodes.split(',').map(Address::parse).collect::<Option<Vec<_>>>();
        let nodes = nodes.ok_or_else(|| invalid("a node is not HOST:PORT"))?;
        Ok(Self { nodes, name: name.to_owned(), tls })
    }
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(text) => {
                let (host, rest) = text.split_once(']')?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Some(PORT), |port| port.parse().ok())?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        (!host.is_empty() && host.bytes().all(is_host)).then(|| Self { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_names_nodes_and_a_database() {
        let url = DatabaseUrl::parse("etcd://a:1,b,[::1]:3,[::2]/main").unwrap();
        let nodes: Vec<_> = url.nodes.iter().map(Address::to_string).collect();
        assert_eq!(nodes, ["a:1", "b:2379", "[::1]:3", "[::2]:2379"]);
        assert_eq!((url.name.as_str(), url.tls), ("main", false));
        assert!(DatabaseUrl::parse("etcds://a/main").unwrap().tls);
    }

    #[test]
    fn invalid_urls_are_rejected() {
        for url in [
            "etcd:a/b",
            "http://a/b",
            "etcd://a",
            "etcd:///b",
            "etcd://a/",
            "etcd://a/b/c",
            "etcd://a,,b/c",
            "etcd://a:x/b",
            "etcd://a:1:2/b",
            "etcd://[::1/b",
            "etcd://[::1]2/b",
            "etcd://user:password@a/b",
            "etcd://a b/c",
            "etcd://a/b?c",
        ] {
            let error = DatabaseUrl::parse(url).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid database URL {url:?}: ")), "{error}");
        }
    }
}

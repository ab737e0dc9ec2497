use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;

/// The address of a database: the URL of a PostgreSQL database, and the schema that holds the tables.
///
/// ```
/// use openkv_postgres::Address;
///
/// let address = Address::parse("postgres://app:secret@db1,db2:5433/shop?schema=carts")?;
/// assert_eq!(address.to_string(), "postgres://app@db1:5432,db2:5433/shop?schema=carts");
/// # Ok::<(), openkv_postgres::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) schema: String,
    pub(crate) attributes: Attributes,
    pub(crate) security: Security,
    pub(crate) root_certificates: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) application_name: String,
}

/// A server of an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name, an IP address, or the directory of a Unix domain socket, which begins with `/`.
    pub name: String,
    /// The TCP port, or the number in the name of the socket.
    pub port: u16,
}

impl Host {
    /// Returns whether the host is the directory of a Unix domain socket.
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// Which servers to connect to: `target_session_attrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attributes {
    /// The one that accepts writes.
    ReadWrite,
    /// The first that accepts the connection. If it is a standby, writes fail.
    Any,
}

/// The use of TLS: `sslmode`, with the meanings that it has in libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

/// The error of a URL that is not a valid address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid database URL: {0}")]
pub struct AddressError(String);

const DEFAULT_PORT: u16 = 5432;
const DEFAULT_SCHEMA: &str = "openkv";

/// The maximum length of the name of a schema. The name of the notification channel is longer, and limited to 63 bytes.
const MAX_SCHEMA: usize = 48;

/// How long to wait for a host before the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const PARAMETERS: &str =
    "application_name, connect_timeout, host, port, schema, sslmode, sslrootcert and target_session_attrs";

/// Returns whether a path is the URL of a PostgreSQL database.
pub fn is_address(path: &str) -> bool {
    path.starts_with("postgres://") || path.starts_with("postgresql://")
}

impl Address {
    /// Parses a URL: `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?PARAMETERS`. All of its parts but the scheme are
    /// optional.
    ///
    /// # Errors
    /// The URL is invalid, or has an unsupported parameter.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let error = |why: &str| AddressError(why.to_owned());
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| error("it does not begin with postgres://"))?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (credentials, hosts),
            None => ("", authority),
        };
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(decode(password)?)),
            None => (credentials, None),
        };
        let some = |text: String| (!text.is_empty()).then_some(text);
        let mut address = Self {
            hosts: hosts.split(',').filter(|host| !host.is_empty()).map(parse_host).collect::<Result<_, _>>()?,
            user: some(decode(user)?),
            password,
            database: some(decode(database)?),
            schema: DEFAULT_SCHEMA.to_owned(),
            attributes: Attributes::ReadWrite,
            security: Security::Prefer,
            root_certificates: None,
            connect_timeout: CONNECT_TIMEOUT,
            application_name: "openkv".to_owned(),
        };
        let mut port = DEFAULT_PORT;
        let mut named = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = decode(value)?;
            match name {
                "host" => named.extend(value.split(',').map(ToOwned::to_owned)),
                "port" => port = value.parse().map_err(|_| error("the port is not a number"))?,
                _ => address.set(name, value)?,
            }
        }
        address.hosts.extend(named.into_iter().map(|name| Host { name, port }));
        if address.hosts.is_empty() {
            address.hosts.push(Host { name: "localhost".to_owned(), port });
        }
        Ok(address)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), AddressError> {
        match (name, &*value) {
            ("application_name", _) => self.application_name = value,
            ("connect_timeout", _) => {
                let seconds = value.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
                let seconds =
                    seconds.ok_or_else(|| AddressError("connect_timeout is not a number of seconds".into()))?;
                self.connect_timeout = Duration::from_secs(seconds);
            }
            ("schema", _) if is_schema(&value) => self.schema = value,
            ("schema", _) => {
                return Err(AddressError(format!(
                    "the schema {value:?} is not a name of up to {MAX_SCHEMA} lowercase letters, digits and underscores"
                )));
            }
            ("sslmode", "disable") => self.security = Security::Disable,
            ("sslmode", "prefer") => self.security = Security::Prefer,
            ("sslmode", "require") => self.security = Security::Require,
            ("sslmode", "verify-full") => self.security = Security::VerifyFull,
            ("sslrootcert", _) => self.root_certificates = Some(value.into()),
            ("target_session_attrs", "read-write" | "primary") => self.attributes = Attributes::ReadWrite,
            ("target_session_attrs", "any") => self.attributes = Attributes::Any,
            ("sslmode" | "target_session_attrs", _) => {
                return Err(AddressError(format!(
                    "{name}={value} is not supported: sslmode is disable, prefer, require or verify-full, and \
                     target_session_attrs is read-write, primary or any"
                )));
            }
            _ => {
                return Err(AddressError(format!("the parameter {name:?} is unknown: supported are {PARAMETERS}")));
            }
        }
        Ok(())
    }

    /// Returns the servers.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Returns whether the URL contains a user. Otherwise, it comes from the environment.
    pub fn has_user(&self) -> bool {
        self.user.is_some()
    }

    /// Returns whether the URL contains a password. Otherwise, it comes from the environment or a password file.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Returns the file with the trusted certificates: `sslrootcert`.
    pub fn root_certificates(&self) -> Option<&Path> {
        self.root_certificates.as_deref()
    }

    /// Sets the file with the trusted certificates, such as the permitted form of the path in the URL.
    pub fn set_root_certificates(&mut self, path: PathBuf) {
        self.root_certificates = Some(path);
    }

    /// Returns whether the certificate of the server is verified.
    pub fn verifies_certificates(&self) -> bool {
        self.security == Security::VerifyFull || self.root_certificates.is_some()
    }
}

impl fmt::Display for Address {
    /// Formats the URL without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        for (i, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if i == 0 { "" } else { "," })?;
        }
        if let Some(database) = &self.database {
            write!(f, "/{database}")?;
        }
        if self.schema != DEFAULT_SCHEMA {
            write!(f, "?schema={}", self.schema)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn decode(text: &str) -> Result<String, AddressError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => Err(AddressError("it contains a null byte, or is not UTF-8".into())),
    }
}

fn parse_host(text: &str) -> Result<Host, AddressError> {
    let invalid = || AddressError(format!("{text:?} is not a host"));
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']').ok_or_else(invalid)?;
            (name, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")).ok_or_else(invalid)?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().map_err(|_| invalid())? };
    let name = decode(name)?;
    if name.is_empty() { Err(invalid()) } else { Ok(Host { name, port }) }
}

fn is_schema(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty()
        && name.len() <= MAX_SCHEMA
        && name.bytes().all(is_valid)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.starts_with("pg_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_parsed() {
        let parsed = Address::parse(
            "postgresql://us%40er:p%3a%2fw@one,[::1]:7,two:5433/d%20b?target_session_attrs=any&sslmode=verify-full&\
             sslrootcert=/ca.pem&schema=s1&connect_timeout=3&application_name=a",
        );
        let address = parsed.unwrap();
        let hosts: Vec<_> = address.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["one:5432", "[::1]:7", "two:5433"]);
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (Some("us@er"), Some("p:/w")));
        assert_eq!((address.database.as_deref(), &*address.schema), (Some("d b"), "s1"));
        assert_eq!((address.attributes, address.security), (Attributes::Any, Security::VerifyFull));
        assert_eq!(address.root_certificates(), Some(Path::new("/ca.pem")));
        assert_eq!((address.connect_timeout, &*address.application_name), (Duration::from_secs(3), "a"));
        assert!(address.has_password() && address.verifies_certificates());
        assert!(!format!("{address:?}").contains("p:/w"), "the password is not displayed");
    }

    #[test]
    fn parts_are_optional() {
        let address = Address::parse("postgres://").unwrap();
        assert_eq!(address.to_string(), "postgres://localhost:5432");
        let socket = Address::parse("postgres:///db?host=/run/postgresql&port=5433").unwrap();
        assert!(socket.hosts()[0].is_socket());
        assert_eq!(socket.hosts()[0].to_string(), "/run/postgresql:5433");
    }

    #[test]
    fn invalid_urls_are_rejected() {
        for url in [
            "http://a/b",
            "postgres://a:port/b",
            "postgres://[::1/b",
            "postgres://[::1]x/b",
            "postgres://a/b?unknown=1",
            "postgres://a/b?schema=A",
            "postgres://a/b?schema=pg_x",
            "postgres://a/b?schema=",
            "postgres://a/b?sslmode=verify-ca",
            "postgres://a/b?target_session_attrs=standby",
            "postgres://a/b?connect_timeout=0",
            "postgres://a/%00",
            "postgres://a/%ff",
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.starts_with("invalid database URL: "), "{error}");
        }
    }
}

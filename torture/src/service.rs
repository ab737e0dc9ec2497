//! Where the databases of a command are: in files, in throw-away servers of etcd or PostgreSQL, or at URLs.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use futures_executor::block_on;
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{Clock, Database, Limits, SystemClock};
use openkv_etcd::cluster::Cluster;
use openkv_postgres::cluster::{Programs, Server};
use tempfile::TempDir;

use crate::failed;

/// The value of the argument `--on`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum On {
    /// Files in a temporary directory: `file`.
    #[default]
    File,
    /// A throw-away cluster of three nodes: `etcd`.
    Etcd,
    /// A throw-away server: `postgres`.
    Postgres,
    /// The service of a URL. The names of the databases begin with that of the URL in etcd, and are those of schemas, which the URL
    /// must not have, in PostgreSQL. They must not exist.
    Url(String),
}

impl fmt::Display for On {
    /// Leaves out URLs, which may have passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Etcd => "etcd",
            Self::Postgres => "PostgreSQL",
            Self::Url(_) => "the URL",
        })
    }
}

impl FromStr for On {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "file" => Self::File,
            "etcd" => Self::Etcd,
            "postgres" => Self::Postgres,
            url => Self::Url(url.to_owned()),
        })
    }
}

/// A service in which a command creates databases. Dropping it ends throw-away servers, and removes their data.
pub enum Service {
    /// See [`On::File`].
    Files(TempDir),
    /// See [`On::Etcd`].
    Etcd(Cluster),
    /// See [`On::Postgres`].
    Postgres(Server),
    /// See [`On::Url`].
    Url(String),
}

impl Service {
    /// Starts the service, unless it is that of a URL.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(on: &On) -> Result<Self, String> {
        Ok(match on {
            On::File => Self::Files(tempfile::tempdir().map_err(failed("creating a directory"))?),
            On::Etcd => Self::Etcd(Cluster::start().ok_or("etcd is not installed")?),
            On::Postgres => {
                let server = Server::primary(&Programs::find()?, "fsync = off");
                Self::Postgres(server.map_err(failed("starting PostgreSQL"))?)
            }
            On::Url(url) => Self::Url(url.clone()),
        })
    }

    /// Returns the location of a database: a path or a URL. It ends with the name.
    pub fn location(&self, name: &str) -> String {
        match self {
            Self::Files(directory) => directory.path().join(name).to_string_lossy().into_owned(),
            Self::Etcd(cluster) => cluster.url(name),
            Self::Postgres(server) => server.url(name),
            Self::Url(url) if !openkv_postgres::is_address(url) => format!("{url}-{name}"),
            Self::Url(url) => format!("{url}{}schema={name}", if url.contains('?') { '&' } else { '?' }),
        }
    }

    /// Returns whether the clock of its databases is that of the process, and not that of a server.
    pub fn uses_local_clock(&self) -> bool {
        match self {
            Self::Files(_) | Self::Etcd(_) => true,
            Self::Postgres(_) => false,
            Self::Url(url) => !openkv_postgres::is_address(url),
        }
    }
}

/// Opens the database at a path or URL.
///
/// # Errors
/// See [`open_with`].
pub fn open(location: &str) -> Result<Database, String> {
    open_with(location, Limits::default(), SystemClock)
}

/// Opens the database at a path or URL, with limits, and with a clock unless it [uses](Service::uses_local_clock) another.
///
/// # Errors
/// The error of the backend.
pub fn open_with(location: &str, limits: Limits, clock: impl Clock + 'static) -> Result<Database, String> {
    let opened = if openkv_etcd::DatabaseUrl::has_scheme(location) {
        let options = openkv_etcd::Options::default().limits(limits).clock(clock);
        block_on(openkv_etcd::open(location, options))
    } else if openkv_postgres::is_address(location) {
        let address = openkv_postgres::Address::parse(location).map_err(failed("parsing the URL"))?;
        block_on(openkv_postgres::open(address, openkv_postgres::Options::default().limits(limits)))
    } else {
        let file = Location::File { path: location.into(), follow_links: false };
        sqlite::open(file, sqlite::Options::default().limits(limits).clock(clock))
    };
    opened.map_err(failed("opening the database"))
}

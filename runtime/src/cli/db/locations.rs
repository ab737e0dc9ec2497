//! Opens the databases that commands name: files and URLs.

use std::path::Path;

use openkv_engine::sqlite::{self, Location};
use openkv_engine::{BoxFuture, Database};

use super::common;

/// Opens the database of a URL, or returns `None` if its backend does not support the URL.
type Opener = fn(&str) -> Option<BoxFuture<Database>>;

/// The backends that open URLs.
const URLS: &[Opener] = &[
    #[cfg(feature = "etcd")]
    open_etcd,
    #[cfg(feature = "postgres")]
    open_postgres,
];

#[cfg(feature = "etcd")]
fn open_etcd(url: &str) -> Option<BoxFuture<Database>> {
    use openkv_etcd::{DatabaseUrl, Environment, Options, open};
    DatabaseUrl::has_scheme(url).then(|| match DatabaseUrl::parse(url) {
        Ok(parsed) => open(url, Options::default().environment(Environment::of_process(&parsed))),
        Err(error) => Box::pin(std::future::ready(Err(error.into()))),
    })
}

#[cfg(feature = "postgres")]
fn open_postgres(url: &str) -> Option<BoxFuture<Database>> {
    use openkv_postgres::{Address, OpenError, Options, is_address, open};
    is_address(url).then(|| match Address::parse(url) {
        Ok(address) => open(address, Options::default()),
        Err(error) => Box::pin(std::future::ready(Err(OpenError::from(error).into()))),
    })
}

/// Opens a database.
///
/// # Errors
/// A message for the user.
pub(super) async fn open(location: &str) -> Result<Database, String> {
    if let Some(opened) = URLS.iter().find_map(|opener| opener(location)) {
        // The message names the URL, without its password.
        return opened.await.map_err(|error| error.to_string());
    }
    let target = match location {
        ":memory:" => Location::Memory,
        path if is_path(path) => Location::file(path),
        url => return Err(format!("{url}: no backend supports this URL")),
    };
    // Blocking is fine: nothing else runs yet.
    sqlite::open(target, sqlite::Options::default()).map_err(|error| common::explain(Path::new(location), &error))
}

/// Returns whether a location is the path of a file.
pub(super) fn is_path(location: &str) -> bool {
    location != ":memory:" && !location.contains("://")
}

/// Returns the name of a location that messages and copies may contain: a path that does not depend on the current directory, or a
/// URL without the user and the password.
pub(super) fn name(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else {
        let path = std::fs::canonicalize(location).or_else(|_| std::path::absolute(location));
        return path.map_or_else(|_| location.to_owned(), |path| path.display().to_string());
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    format!("{scheme}://{hosts}{path}")
}

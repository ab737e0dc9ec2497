//! Opens the databases that `openkv db serve` serves.

use std::path::Path;

use openkv_engine::sqlite::{self, Location};
use openkv_engine::{BoxFuture, Database};

use super::super::common;

/// Opens the database of a URL, or returns `None` if its backend does not support the URL.
type Opener = fn(&str) -> Option<BoxFuture<Database>>;

/// The backends that open URLs, in the order of preference.
const URLS: [Opener; 0] = [];

/// Opens a database.
///
/// # Errors
/// A message for the user.
pub(super) async fn open(location: &str) -> Result<Database, String> {
    if let Some(opened) = URLS.iter().find_map(|opener| opener(location)) {
        return opened.await.map_err(|error| format!("{location}: {error}"));
    }
    let target = match location {
        ":memory:" => Location::Memory,
        path if is_path(path) => Location::file(path),
        url => return Err(format!("{url}: no backend supports this URL")),
    };
    // Blocking is fine: the server does not run yet.
    sqlite::open(target, sqlite::Options::default()).map_err(|error| common::explain(Path::new(location), &error))
}

/// Returns whether a location is the path of a file.
pub(super) fn is_path(location: &str) -> bool {
    location != ":memory:" && !location.contains("://")
}

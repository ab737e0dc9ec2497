//! Where the databases are that `openkv db serve` opens.

use std::path::Path;

use openkv_engine::sqlite::{self, Location};
use openkv_engine::{BoxFuture, Database};

use super::super::common;

/// A kind of place: returns the database that is opened, where a text names such a place. One that is a URL is of the first kind
/// that knows it.
type Opener = fn(&str) -> Option<BoxFuture<Database>>;

/// The kinds of URLs. A backend adds its own.
const URLS: [Opener; 0] = [];

/// Opens a database.
///
/// # Errors
/// Why it cannot be opened, for the user.
pub(super) async fn open(place: &str) -> Result<Database, String> {
    if let Some(opened) = URLS.iter().find_map(|opener| opener(place)) {
        return opened.await.map_err(|error| format!("{place}: {error}"));
    }
    let location = match place {
        ":memory:" => Location::Memory,
        path if is_path(path) => Location::file(path),
        url => return Err(format!("{url}: no backend opens such a URL")),
    };
    // Nothing else is done meanwhile.
    sqlite::open(location, sqlite::Options::default()).map_err(|error| common::explain(Path::new(place), &error))
}

/// Whether a place is the path of a file.
pub(super) fn is_path(place: &str) -> bool {
    place != ":memory:" && !place.contains("://")
}

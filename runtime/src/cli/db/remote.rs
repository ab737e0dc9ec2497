//! Reads all of a database on a server, for `openkv db info` and `check`.

use openkv_engine::contents::{Contents, contents};

use super::{common, locations};

/// Reads the database of a URL.
///
/// # Errors
/// A message for the user: the database cannot be opened or read, or an entry is corrupt.
pub(super) fn read(url: &str) -> Result<Contents, String> {
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| format!("failed to create the event loop: {error}"))?;
    let database = runtime.block_on(locations::open(url))?;
    let contents = common::with_bar(|progress| runtime.block_on(contents(&database, progress)));
    database.close();
    let name = locations::name(url);
    let contents = contents.map_err(|error| format!("{name}: {error}"))?;
    contents.ok_or_else(|| format!("{name}: the backend of the URL does not support this command"))
}

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use deno_error::JsErrorBox;
use openkv_engine::{BoxFuture, Database};
use openkv_postgres::{Address, Options};

/// Opens the database with a name, in a schema of its own: the schema of `url`, with the hash of the name, or for `:memory:` with a
/// number, so that it is a new one each time.
pub fn open(url: &str, name: &str) -> Result<BoxFuture<Database>, JsErrorBox> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let part = if name == ":memory:" {
        format!("_{}_{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
    } else {
        // The same in each process of a test.
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        format!("_{:x}", hasher.finish())
    };
    let address = Address::parse(&format!("{url}{part}")).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    Ok(openkv_postgres::open(address, Options::default()))
}

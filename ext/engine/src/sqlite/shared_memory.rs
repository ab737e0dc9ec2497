//! Databases in memory that are shared by name within this process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::{Options, connection};
use crate::Result;
use crate::sqlite::write::writer::Writer;

/// The open databases, by their names.
static OPEN: LazyLock<Mutex<HashMap<String, Weak<Writer>>>> = LazyLock::new(Default::default);

/// Returns the writer of a database, which is created unless it is open. It keeps the clock and the randomness of the first
/// database.
pub(super) fn writer(name: &str, options: &Options) -> Result<Arc<Writer>> {
    let mut open = OPEN.lock();
    // A database that was closed by its last user is deleted, although its thread may still be running.
    let is_used = |writer: &Arc<Writer>| !writer.is_unused() && writer.acquire();
    if let Some(writer) = open.get(name).and_then(Weak::upgrade).filter(is_used) {
        return Ok(writer);
    }
    let writer = Arc::new(Writer::new(connection::open_memory()?, options, None));
    open.retain(|_, writer| writer.strong_count() > 0);
    open.insert(name.to_owned(), Arc::downgrade(&writer));
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use crate::sqlite::{self, Location, Options};
    use crate::{Key, Value};

    #[test]
    fn named_database_is_shared_until_the_last_user_closes_it() {
        let open = |name: &str| sqlite::open(Location::SharedMemory(name.into()), Options::default()).unwrap();
        let key = Key::from(["a"]);
        let (one, two, other) = (open("shared"), open("shared"), open("other"));
        one.set_blocking(key.clone(), Value::U64(1)).unwrap();
        assert!(two.get_blocking(&key).unwrap().is_some());
        assert!(other.get_blocking(&key).unwrap().is_none());
        drop(one);
        assert!(open("shared").get_blocking(&key).unwrap().is_some());
        drop(two);
        assert!(open("shared").get_blocking(&key).unwrap().is_none());
    }
}

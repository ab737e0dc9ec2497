//! `localStorage` and `sessionStorage`. The file of `localStorage` is that of Deno, so that both have the same entries.

use std::fs;
use std::path::{Path, PathBuf};

use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use rusqlite::{Connection, OptionalExtension, params};

/// The size from which a storage accepts no further entries, and an entry is too large, in bytes. As on Deno.
const MAX_SIZE: usize = 10 << 20;
/// The name of the file in the directory of an origin.
const FILE: &str = "local_storage";

/// The storages of a script, which are opened by their first use.
pub(crate) struct Storages {
    /// The directory of the origin, if there is one.
    directory: Option<PathBuf>,
    local: Option<Connection>,
    session: Option<Connection>,
}

/// Creates the storages of the origin with a directory.
impl From<Option<PathBuf>> for Storages {
    fn from(directory: Option<PathBuf>) -> Self {
        Self { directory, local: None, session: None }
    }
}

impl Storages {
    fn connection(&mut self, persistent: bool) -> Result<&Connection, JsErrorBox> {
        let slot = if persistent { &mut self.local } else { &mut self.session };
        if let Some(connection) = slot {
            return Ok(connection);
        }
        let opened = match (persistent, &self.directory) {
            (true, Some(directory)) => open(directory)?,
            (true, None) => {
                let message = "LocalStorage is not supported in this context.";
                return Err(JsErrorBox::new("DOMExceptionNotSupportedError", message));
            }
            (false, _) => Connection::open_in_memory().and_then(with_table).map_err(|error| failed("open", &error))?,
        };
        Ok(slot.insert(opened))
    }
}

fn open(directory: &Path) -> Result<Connection, JsErrorBox> {
    let file = directory.join(FILE);
    let in_file = |error: &dyn std::error::Error| {
        JsErrorBox::generic(format!("failed to open the file of localStorage {file:?}: {error}"))
    };
    fs::create_dir_all(directory).map_err(|error| in_file(&error))?;
    let open = || {
        let connection = Connection::open(&file)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        with_table(connection)
    };
    open().map_err(|error| in_file(&error))
}

fn with_table(connection: Connection) -> rusqlite::Result<Connection> {
    connection.execute("CREATE TABLE IF NOT EXISTS data (key VARCHAR UNIQUE, value VARCHAR)", [])?;
    Ok(connection)
}

/// Runs a function on the connection of a storage. `action` describes it, for the message of its error.
fn with<T>(
    state: &mut OpState,
    persistent: bool,
    action: &str,
    run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, JsErrorBox> {
    let connection = state.borrow_mut::<Storages>().connection(persistent)?;
    run(connection).map_err(|error| failed(action, &error))
}

fn failed(action: &str, error: &rusqlite::Error) -> JsErrorBox {
    JsErrorBox::generic(format!("failed to {action} a storage: {error}"))
}

/// Returns the value of a key.
#[op2]
#[string]
pub(crate) fn op_openkv_storage_get(
    state: &mut OpState,
    persistent: bool,
    #[string] key: &str,
) -> Result<Option<String>, JsErrorBox> {
    with(state, persistent, "read", |connection| {
        let mut statement = connection.prepare_cached("SELECT value FROM data WHERE key = ?")?;
        statement.query_row([key], |row| row.get(0)).optional()
    })
}

/// Sets the value of a key.
#[op2(fast)]
pub(crate) fn op_openkv_storage_set(
    state: &mut OpState,
    persistent: bool,
    #[string] key: &str,
    #[string] value: &str,
) -> Result<(), JsErrorBox> {
    let size: u32 = with(state, persistent, "read", |connection| {
        let mut statement =
            connection.prepare_cached("SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM data")?;
        statement.query_row([], |row| row.get(0))
    })?;
    if key.len() + value.len() >= MAX_SIZE || size as usize >= MAX_SIZE {
        return Err(JsErrorBox::new("DOMExceptionQuotaExceededError", "Exceeded maximum storage size"));
    }
    with(state, persistent, "write", |connection| {
        let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO data (key, value) VALUES (?, ?)")?;
        statement.execute(params![key, value]).map(drop)
    })
}

/// Removes a key, or all of them.
#[op2]
pub(crate) fn op_openkv_storage_remove(
    state: &mut OpState,
    persistent: bool,
    #[string] key: Option<String>,
) -> Result<(), JsErrorBox> {
    with(state, persistent, "write", |connection| match key {
        Some(key) => connection.prepare_cached("DELETE FROM data WHERE key = ?")?.execute([key]).map(drop),
        None => connection.execute("DELETE FROM data", []).map(drop),
    })
}

/// Returns the keys, in the order in which they were added.
#[op2]
#[serde]
pub(crate) fn op_openkv_storage_keys(state: &mut OpState, persistent: bool) -> Result<Vec<String>, JsErrorBox> {
    with(state, persistent, "read", |connection| {
        let mut statement = connection.prepare_cached("SELECT key FROM data ORDER BY rowid")?;
        statement.query_map([], |row| row.get(0))?.collect()
    })
}

//! Writes with raw SQLite on one thread, in the file format of the engine and with its settings.

use std::path::Path;

use openkv_engine::Key;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Opens a connection with the settings of the engine's connections.
pub fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "synchronous", "full").unwrap();
    connection
}

const GET_VERSION: &str = "select version from data_version where k = 0";
const SET_VERSION: &str = "update data_version set version = ?1 where k = 0";
const SET: &str = "insert into kv (k, v, v_encoding, version, expiration_ms) values (?1, ?2, ?3, ?4, ?5)
    on conflict (k) do update set v = ?2, v_encoding = ?3, version = ?4, expiration_ms = ?5";

/// Stores rows in one commit, each with its own version.
pub fn commit(connection: &Connection, rows: &[(Key, Vec<u8>)]) {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).unwrap();
    let mut version: i64 = transaction.prepare_cached(GET_VERSION).unwrap().query_row([], |row| row.get(0)).unwrap();
    for (key, value) in rows {
        version += 1;
        transaction.prepare_cached(SET).unwrap().execute((key.as_bytes(), value, 1, version, -1)).unwrap();
    }
    transaction.prepare_cached(SET_VERSION).unwrap().execute([version]).unwrap();
    transaction.commit().unwrap();
}

//! Validates rows of the tables. See `docs/file-format.md`.

use std::fmt;

use rusqlite::types::ValueRef as Column;
use rusqlite::{Connection, Row};

use crate::{Key, ValueRef};

/// A problem in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The location of the problem.
    pub location: ProblemLocation,
    /// The description of the problem.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// The location of a problem.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProblemLocation {
    /// The file as a whole.
    File,
    /// A table.
    Table(&'static str),
    /// An entry.
    Entry(Key),
    /// A message.
    Message {
        /// Its table: `queue` or `queue_running`.
        table: &'static str,
        /// The id of the message, or that of its row.
        id: String,
    },
}

impl fmt::Display for ProblemLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProblemLocation::File => write!(f, "file"),
            ProblemLocation::Table(table) => write!(f, "table {table}"),
            ProblemLocation::Entry(key) => write!(f, "entry {key}"),
            ProblemLocation::Message { table, id } => write!(f, "message {id} of {table}"),
        }
    }
}

/// A table whose rows can be read one by one.
pub(super) struct Table {
    pub name: &'static str,
    /// The column by which rows are ordered and identified: the primary key, or SQLite's row id.
    pub key: &'static str,
    /// The other columns.
    pub columns: &'static str,
    /// Returns the problem of a row, given its key and columns, if any.
    pub fault: fn(&[Column<'_>]) -> Option<String>,
}

pub(super) const TABLES: [Table; 3] = [
    Table { name: "kv", key: "k", columns: "v, v_encoding, version, seq, expiration_ms", fault: entry_fault },
    Table {
        name: "queue",
        key: "rowid",
        columns: "ts, id, data, backoff_schedule, keys_if_undelivered",
        fault: message_fault,
    },
    Table {
        name: "queue_running",
        key: "rowid",
        columns: "deadline, id, data, backoff_schedule, keys_if_undelivered",
        fault: message_fault,
    },
];

/// The commit ids. The table does not exist in every file.
pub(super) const COMMIT_IDS: Table =
    Table { name: "openkv_commit_ids", key: "version", columns: "id, committed_at", fault: commit_id_fault };

impl Table {
    /// Returns whether a file has the table. Only the table of commit ids may be missing.
    pub fn is_in(&self, connection: &Connection) -> rusqlite::Result<bool> {
        connection.table_exists(None, self.name)
    }

    /// Returns the key and the columns of a row.
    pub fn row<'a>(&self, row: &'a Row<'_>) -> rusqlite::Result<Vec<Column<'a>>> {
        (0..=self.columns.split(',').count()).map(|i| row.get_ref(i)).collect()
    }

    /// Returns the location of a row, by its key.
    pub fn location(&self, key: Column<'_>) -> ProblemLocation {
        match key {
            Column::Blob(key) => ProblemLocation::Entry(Key::from_encoded(key.to_vec())),
            Column::Integer(_) if self.name == COMMIT_IDS.name => ProblemLocation::Table(self.name),
            Column::Integer(row) => ProblemLocation::Message { table: self.name, id: format!("in row {row}") },
            _ => ProblemLocation::Table(self.name),
        }
    }
}

fn entry_fault(row: &[Column<'_>]) -> Option<String> {
    let &[Column::Blob(key), Column::Blob(value), ref rest @ ..] = row else {
        return Some("its key or value is not a blob".into());
    };
    let &[Column::Integer(encoding), Column::Integer(version), Column::Integer(_), Column::Integer(_)] = rest else {
        return Some("its encoding, version or expiry is not a number".into());
    };
    key_fault(key).or_else(|| value_fault(value, encoding)).or_else(|| version_fault(version))
}

fn message_fault(row: &[Column<'_>]) -> Option<String> {
    let &[_, Column::Integer(_), Column::Text(id), Column::Blob(data), schedule, keys] = row else {
        return Some("its time is not a number, its id is not text, or its data is not a blob".into());
    };
    if uuid::Uuid::try_parse_ascii(id).is_err() {
        return Some(format!("its id {:?} is not a UUID", String::from_utf8_lossy(id)));
    }
    if json::<Option<Vec<u64>>>(schedule).is_none() {
        return Some("its backoff_schedule is not an array of milliseconds in JSON".into());
    }
    let Some(keys) = json::<Vec<Vec<u8>>>(keys) else {
        return Some("its keys_if_undelivered is not an array of keys in JSON".into());
    };
    v8_fault(data).or_else(|| keys.iter().find_map(|key| key_fault(key)))
}

fn commit_id_fault(row: &[Column<'_>]) -> Option<String> {
    match *row {
        [Column::Integer(version), Column::Blob(id), Column::Integer(_)] => {
            let fault = (id.len() != 16).then(|| format!("a commit id is {} bytes long, not 16", id.len()));
            fault.or_else(|| version_fault(version))
        }
        _ => Some("a commit id is not a blob, or its time is not an integer".into()),
    }
}

fn key_fault(key: &[u8]) -> Option<String> {
    if key.is_empty() {
        return Some("its key has no parts".into());
    }
    Key::from_encoded(key.to_vec()).parts().find_map(|part| part.err()).map(|error| error.to_string())
}

fn value_fault(value: &[u8], encoding: i64) -> Option<String> {
    match ValueRef::from_encoded(value, encoding) {
        Err(_) => Some(format!(
            "its value of {} bytes has encoding {encoding}, which is unknown or does not fit",
            value.len()
        )),
        Ok(ValueRef::V8(bytes)) => v8_fault(bytes),
        Ok(_) => None,
    }
}

/// Checks the header of a serialized value only, a byte and the version of the format: the rest may be nested to any depth, and
/// only V8 can validate it. The version is incremented once in several years.
fn v8_fault(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xff, 1..0x80, _, ..] => None,
        _ => Some("its value has no header of V8's format".into()),
    }
}

fn version_fault(version: i64) -> Option<String> {
    (version < 0).then(|| format!("its version {version} is negative"))
}

fn json<T: serde::de::DeserializeOwned>(column: Column<'_>) -> Option<T> {
    match column {
        Column::Text(text) | Column::Blob(text) => serde_json::from_slice(text).ok(),
        _ => None,
    }
}

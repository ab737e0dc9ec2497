//! The columns of messages in the tables of the queue. Only a corrupt file has invalid ones: they do not block other messages.

use rusqlite::Row;

/// Returns the bytes of a message, or an empty message if the column is corrupt: decoding it fails in the handler.
pub(crate) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(column)?.as_bytes().unwrap_or_default().to_vec())
}

/// Returns a column of JSON, or an empty list if it is corrupt. Deno declares one such column as a blob, but stores text.
pub(crate) fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str().unwrap_or("[]"))
}

/// Returns the delays of a schedule. Deno writes null for an empty one. Invalid JSON counts as empty rather than losing the message.
pub(crate) fn schedule(text: &str) -> Vec<u64> {
    serde_json::from_str::<Option<Vec<u64>>>(text).ok().flatten().unwrap_or_default()
}

/// Returns the encoded keys to store a message under if its last delivery fails, none if they are corrupt.
pub(crate) fn keys(text: &str) -> Vec<Vec<u8>> {
    serde_json::from_str(text).unwrap_or_default()
}

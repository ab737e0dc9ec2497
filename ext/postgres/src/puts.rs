use std::borrow::Cow;

use openkv_engine::Value;
use tokio_postgres::types::ToSql;

use crate::overlay::Overlay;
use crate::row;

/// The entries that a batch stores, as arrays for a statement.
pub(crate) struct Puts<'o> {
    keys: Vec<&'o [u8]>,
    values: Vec<Cow<'o, [u8]>>,
    encodings: Vec<i16>,
    /// The versions, counted from the last one before the batch.
    versions: Vec<i64>,
    expiries: Vec<Option<i64>>,
    /// The number of versions of the batch.
    count: i64,
}

impl<'o> Puts<'o> {
    /// Returns the entries of a batch of `count` writes, whose versions follow `before`.
    pub fn of(overlay: &'o Overlay<'_>, before: i64, count: i64) -> Self {
        let new = || overlay.changes.iter().filter_map(|(key, new)| Some((&**key, new.as_ref()?)));
        Self {
            keys: new().map(|(key, _)| key).collect(),
            values: new().map(|(_, new)| bytes(&new.value)).collect(),
            encodings: new().map(|(_, new)| row::encoding(&new.value)).collect(),
            versions: new().map(|(_, new)| new.version - before).collect(),
            expiries: new().map(|(_, new)| new.expires_at).collect(),
            count,
        }
    }

    /// Returns messages as entries with one version.
    pub fn of_messages(messages: impl Iterator<Item = (&'o [u8], &'o [u8])>) -> Self {
        let (keys, values): (Vec<_>, Vec<_>) = messages.map(|(key, message)| (key, Cow::Borrowed(message))).unzip();
        let len = keys.len();
        let encoding = row::encoding(&Value::V8(Vec::new()));
        Self {
            keys,
            values,
            encodings: vec![encoding; len],
            versions: vec![1; len],
            expiries: vec![None; len],
            count: 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the first parameters of the statement.
    pub fn parameters(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.keys, &self.values, &self.encodings, &self.versions, &self.expiries, &self.count]
    }
}

fn bytes(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::V8(bytes) | Value::Bytes(bytes) => bytes.into(),
        Value::U64(number) => number.to_le_bytes().to_vec().into(),
    }
}

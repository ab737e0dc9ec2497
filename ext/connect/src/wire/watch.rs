//! Watches of keys.

use openkv_engine::{Entry, Key, ReadEntry};

use super::datapath::{SnapshotReadStatus, Watch, WatchKey, WatchKeyOutput, WatchOutput};
use super::{Malformed, entry};

/// Encodes the request of a watch.
pub fn encode(keys: &[Key]) -> Watch {
    Watch { keys: keys.iter().map(|key| WatchKey { key: key.as_bytes().to_vec() }).collect() }
}

/// Decodes the keys of a request.
///
/// # Errors
/// [`Malformed::Key`].
pub fn decode(message: Watch) -> Result<Vec<Key>, Malformed> {
    message.keys.into_iter().map(|key| entry::decode_key(key.key)).collect()
}

/// Encodes an output with the current entries of all keys. Each is sent as changed: Deno reports an unchanged key to scripts as
/// one without a value.
pub fn encode_output(entries: Vec<Option<Entry>>) -> WatchOutput {
    let key = |found: Option<Entry>| {
        let message = found.map(|found| entry::encode_entry(ReadEntry::from(found)));
        WatchKeyOutput { changed: true, entry_if_changed: message }
    };
    WatchOutput { status: SnapshotReadStatus::SrSuccess as i32, keys: entries.into_iter().map(key).collect() }
}

/// The state of a watch from its outputs so far. A server may omit unchanged entries.
#[derive(Clone, Debug)]
pub struct Watched {
    keys: usize,
    entries: Option<Vec<Option<Entry>>>,
}

impl Watched {
    /// Creates the state of a watch of `keys` keys.
    pub fn new(keys: usize) -> Self {
        Self { keys, entries: None }
    }

    /// Applies an output. Returns the current entries of all keys, or `None` if the endpoint has disabled reads.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn apply(&mut self, output: WatchOutput) -> Result<Option<&[Option<Entry>]>, Malformed> {
        match SnapshotReadStatus::try_from(output.status) {
            Ok(SnapshotReadStatus::SrSuccess) => {}
            Ok(SnapshotReadStatus::SrReadDisabled) => return Ok(None),
            Ok(SnapshotReadStatus::SrUnspecified) | Err(_) => return Err(Malformed::Status(output.status)),
        }
        if output.keys.len() != self.keys {
            return Err(Malformed::Parts { found: output.keys.len(), expected: self.keys });
        }
        let mut entries = Vec::with_capacity(self.keys);
        for (i, key) in output.keys.into_iter().enumerate() {
            entries.push(match (key.changed, key.entry_if_changed, &self.entries) {
                (true, None, _) => None,
                (true, Some(message), _) => entry::decode_entry(message, true)?.into_entry(),
                (false, _, Some(last)) => last[i].clone(),
                (false, _, None) => return Err(Malformed::FirstOutput),
            });
        }
        Ok(Some(self.entries.insert(entries)))
    }
}

#[cfg(test)]
mod tests {
    use openkv_engine::{Value, Versionstamp};

    use super::*;

    fn entry(number: u64) -> Option<Entry> {
        let versionstamp = Versionstamp::from_version(number);
        Some(Entry { key: Key::from(["a"]), value: Value::U64(number), versionstamp })
    }

    #[test]
    fn requests_round_trip() {
        let keys = vec![Key::from(["a"]), Key::from(["b"])];
        assert_eq!(decode(encode(&keys)), Ok(keys));
        assert!(decode(Watch { keys: vec![WatchKey { key: vec![0xfe] }] }).is_err());
    }

    #[test]
    fn unchanged_keys_keep_their_entries() {
        let mut watched = Watched::new(2);
        let both = vec![entry(1), None];
        assert_eq!(watched.apply(encode_output(both.clone())), Ok(Some(&both[..])));
        let mut output = encode_output(vec![entry(7), entry(2)]);
        output.keys[0] = WatchKeyOutput::default();
        assert_eq!(watched.apply(output), Ok(Some(&[entry(1), entry(2)][..])));
        assert_eq!(watched.apply(encode_output(vec![None, None])), Ok(Some(&[None, None][..])));
    }

    #[test]
    fn malformed_outputs_are_rejected() {
        let mut watched = Watched::new(1);
        let unchanged = WatchOutput { keys: vec![WatchKeyOutput::default()], status: 1 };
        assert_eq!(watched.apply(unchanged), Err(Malformed::FirstOutput));
        assert_eq!(watched.apply(encode_output(vec![])), Err(Malformed::Parts { found: 0, expected: 1 }));
        for status in [0, 9] {
            let output = WatchOutput { status, ..encode_output(vec![None]) };
            assert_eq!(watched.apply(output), Err(Malformed::Status(status)));
        }
        let disabled = WatchOutput { status: 2, keys: vec![] };
        assert_eq!(watched.apply(disabled), Ok(None));
    }
}

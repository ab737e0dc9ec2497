//! The notifications that transactions send to all open databases.

use std::fmt::Write;

/// What a transaction changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The last version that the transaction committed, or 0 if it committed none.
    pub version: u64,
    /// Whether messages may have become ready.
    pub queue: bool,
    pub keys: Keys,
}

/// Keys by their hashes: two keys may have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    All,
    /// Sorted.
    Hashes(Vec<u32>),
}

impl Keys {
    /// Returns the hashes of keys.
    pub fn of<'k>(keys: impl Iterator<Item = &'k [u8]>) -> Self {
        Self::sorted(keys.map(hash).collect())
    }

    fn sorted(mut hashes: Vec<u32>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Self::Hashes(hashes)
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::Hashes(Vec::new())
    }
}

/// The number of hashes that fit into the payload of a notification, which is less than 8000 bytes.
const MAX_HASHES: usize = 900;

impl Notice {
    /// Encodes the payload: the version, a space, `q` if messages may have become ready, and `*` or the hashes.
    pub fn encode(&self) -> String {
        format!("{}{}", self.version, self.encode_changes())
    }

    /// Encodes the payload after the version.
    pub fn encode_changes(&self) -> String {
        let mut payload = if self.queue { " q" } else { " " }.to_owned();
        match &self.keys {
            Keys::Hashes(hashes) if hashes.len() <= MAX_HASHES => {
                // Writing to a string does not fail.
                hashes.iter().for_each(|hash| write!(payload, "{hash:08x}").unwrap_or_default());
            }
            _ => payload.push('*'),
        }
        payload
    }

    /// Decodes a payload. One that is invalid, such as that of a newer program, may be about any change.
    pub fn decode(payload: &str) -> Self {
        let all = Self { version: 0, queue: true, keys: Keys::All };
        let Some((version, rest)) = payload.split_once(' ') else { return all };
        let Ok(version) = version.parse() else { return all };
        let (queue, rest) = rest.strip_prefix('q').map_or((false, rest), |rest| (true, rest));
        let hashes = rest.as_bytes().chunks(8).map(|hash| {
            let hash = std::str::from_utf8(hash).ok().filter(|hash| hash.len() == 8)?;
            u32::from_str_radix(hash, 16).ok()
        });
        match hashes.collect::<Option<_>>() {
            Some(hashes) => Self { version, queue, keys: Keys::sorted(hashes) },
            None => Self { version, queue: queue || rest != "*", keys: Keys::All },
        }
    }

    /// Returns whether one of the keys with these hashes may have changed.
    pub fn touches(&self, hashes: &[u32]) -> bool {
        match &self.keys {
            Keys::All => true,
            Keys::Hashes(changed) => hashes.iter().any(|hash| changed.binary_search(hash).is_ok()),
        }
    }
}

/// Hashes an encoded key with FNV-1a. All programs must use the same function.
pub(crate) fn hash(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_decoded() {
        let keys: [&[u8]; 4] = [b"a", b"b", b"", b"a"];
        for (queue, keys) in [(true, Keys::All), (false, Keys::default()), (true, Keys::of(keys.into_iter()))] {
            let notice = Notice { version: 7, queue, keys };
            assert_eq!(Notice::decode(&notice.encode()), notice);
        }
        let many = Keys::Hashes((0..2000).collect());
        let notice = Notice { version: u64::MAX, queue: false, keys: many };
        assert!(notice.encode().len() < 8000);
        assert_eq!(Notice::decode(&notice.encode()).keys, Keys::All);
    }

    #[test]
    fn unknown_payload_is_about_everything() {
        for payload in ["", "x", "1", "x *", "1 q123", "1 0123456g", "1 *0000000", "1 \u{e9}\u{e9}\u{e9}\u{e9}"] {
            let notice = Notice::decode(payload);
            assert!(notice.queue && notice.touches(&[1]), "{payload:?}");
        }
    }

    #[test]
    fn hash_is_that_of_other_programs() {
        assert_eq!([hash(b""), hash(b"a"), hash(b"foobar")], [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
    }
}

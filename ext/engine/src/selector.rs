use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;

use crate::{Error, Key, Result};

/// Bytes below and above all bytes with which a key part can begin.
const BEFORE_PARTS: u8 = 0x00;
const AFTER_PARTS: u8 = 0xff;

/// A set of keys to list: those with a prefix, those between two keys, or both.
///
/// A listing can stop after any key and continue later, in the same or another process, from a *cursor*: the URL-safe base64 of
/// that key without the bytes that all keys of the selector share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    start: Vec<u8>,
    end: Vec<u8>,
    /// The number of leading bytes that all keys of the selector share, for cursors.
    shared: usize,
    /// Whether a cursor must be checked against `start` and `end`. A bound that follows from the prefix needs no check, because a
    /// cursor always has the prefix.
    bounded: (bool, bool),
}

impl Selector {
    /// Selects the keys with the prefix from `start` up to, but excluding, `end`. A prefix does not select the key that is equal to
    /// it. A start alone selects only the key equal to it.
    ///
    /// # Errors
    /// The start or end is outside the prefix, the start is after the end, or both prefix and start are missing.
    pub fn new(prefix: Option<&Key>, start: Option<&Key>, end: Option<&Key>) -> Result<Self> {
        let [prefix, start, end] = [prefix, start, end].map(|key| key.map(Key::as_bytes));
        if let Some(prefix) = prefix {
            let inside = |key: &[u8]| key.len() > prefix.len() && key.starts_with(prefix);
            if !start.is_none_or(inside) {
                return Err(Error::StartOutsidePrefix);
            }
            if !end.is_none_or(inside) {
                return Err(Error::EndOutsidePrefix);
            }
        }
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(Error::StartAfterEnd);
        }

        let followed_by = |key: &[u8], byte: u8| [key, &[byte]].concat();
        let (first, past_last) = match (prefix, start, end) {
            (Some(prefix), start, end) => (
                start.map_or_else(|| followed_by(prefix, BEFORE_PARTS), <[u8]>::to_vec),
                end.map_or_else(|| followed_by(prefix, AFTER_PARTS), <[u8]>::to_vec),
            ),
            (None, Some(start), Some(end)) => (start.to_vec(), end.to_vec()),
            (None, Some(start), None) => (start.to_vec(), followed_by(start, 0)),
            (None, None, _) => return Err(Error::IncompleteSelector),
        };
        let shared = match prefix {
            Some(prefix) => prefix.len(),
            None => first.iter().zip(&past_last).take_while(|(a, b)| a == b).count(),
        };
        let bounded = (start.is_some(), prefix.is_none() || end.is_some());
        Ok(Self { start: first, end: past_last, shared, bounded })
    }

    /// Selects the keys with a prefix. A prefix without parts selects all keys.
    pub fn prefix(prefix: &Key) -> Self {
        let prefix = prefix.as_bytes();
        let followed_by = |byte: u8| [prefix, &[byte]].concat();
        Self {
            start: followed_by(BEFORE_PARTS),
            end: followed_by(AFTER_PARTS),
            shared: prefix.len(),
            bounded: (false, false),
        }
    }

    /// Selects the keys from `start` up to, but excluding, `end`.
    ///
    /// # Errors
    /// [`Error::StartAfterEnd`].
    pub fn between(start: &Key, end: &Key) -> Result<Self> {
        Self::new(None, Some(start), Some(end))
    }

    /// Selects the keys between two encoded bounds, excluding the end. The bounds need not be valid keys.
    ///
    /// # Errors
    /// [`Error::StartAfterEnd`].
    pub fn encoded(start: Vec<u8>, end: Vec<u8>) -> Result<Self> {
        if start > end {
            return Err(Error::StartAfterEnd);
        }
        let shared = start.iter().zip(&end).take_while(|(a, b)| a == b).count();
        Ok(Self { start, end, shared, bounded: (true, true) })
    }

    /// Returns the bounds of the range, in encoded form: the first key and the one past the last.
    pub(crate) fn bounds(&self) -> (&[u8], &[u8]) {
        (&self.start, &self.end)
    }

    /// Returns the bounds of the range to read, in encoded form: the first key and the one past the last. With a cursor, the range
    /// contains only the keys after that of the cursor, in the direction of the listing.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] or [`Error::CursorOutOfBounds`].
    pub fn range(&self, cursor: Option<&str>, reverse: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        let Some(cursor) = cursor else {
            return Ok((self.start.clone(), self.end.clone()));
        };
        let rest = BASE64_URL_SAFE.decode(cursor).map_err(|_| Error::InvalidCursor)?;
        let mut key = [&self.start[..self.shared], &rest].concat();
        if reverse {
            if self.bounded.1 && key > self.end {
                return Err(Error::CursorOutOfBounds);
            }
            Ok((self.start.clone(), key))
        } else {
            key.push(0);
            if self.bounded.0 && key < self.start {
                return Err(Error::CursorOutOfBounds);
            }
            Ok((key, self.end.clone()))
        }
    }

    /// Returns the cursor that continues a listing after `key`, in either direction.
    ///
    /// # Errors
    /// [`Error::KeyOutsideSelector`] if the key does not begin with the bytes that all keys of the selector share.
    pub fn cursor(&self, key: &Key) -> Result<String> {
        let rest = key.as_bytes().strip_prefix(&self.start[..self.shared]).ok_or(Error::KeyOutsideSelector)?;
        Ok(BASE64_URL_SAFE.encode(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyPart;

    fn key(parts: &[&str]) -> Key {
        Key::from_parts(&parts.iter().map(|part| KeyPart::from(*part)).collect::<Vec<_>>()).unwrap()
    }

    fn bytes(parts: &[&str], last: &[u8]) -> Vec<u8> {
        [key(parts).as_bytes(), last].concat()
    }

    #[test]
    fn selects_by_prefix_start_and_end() {
        let (a, ab, ac) = (key(&["a"]), key(&["a", "b"]), key(&["a", "c"]));
        let range = |prefix, start, end| Selector::new(prefix, start, end).unwrap().range(None, false).unwrap();
        assert_eq!(range(Some(&a), None, None), (bytes(&["a"], b"\x00"), bytes(&["a"], b"\xff")));
        assert_eq!(range(Some(&a), Some(&ab), None), (bytes(&["a", "b"], b""), bytes(&["a"], b"\xff")));
        assert_eq!(range(Some(&a), None, Some(&ab)), (bytes(&["a"], b"\x00"), bytes(&["a", "b"], b"")));
        assert_eq!(range(Some(&a), Some(&ab), Some(&ac)), (bytes(&["a", "b"], b""), bytes(&["a", "c"], b"")));
        assert_eq!(range(None, Some(&ab), Some(&ac)), (bytes(&["a", "b"], b""), bytes(&["a", "c"], b"")));
        assert_eq!(range(None, Some(&ab), None), (bytes(&["a", "b"], b""), bytes(&["a", "b"], b"\x00")));
    }

    #[test]
    fn encoded_bounds_need_not_be_keys() {
        let selector = Selector::encoded(b"\x02a".to_vec(), b"\x02a\xff".to_vec()).unwrap();
        assert_eq!(selector.range(None, false).unwrap(), (b"\x02a".to_vec(), b"\x02a\xff".to_vec()));
        let cursor = selector.cursor(&key(&["a"])).unwrap();
        assert_eq!(selector.range(Some(&cursor), false).unwrap().0, bytes(&["a"], b"\x00"));
        assert!(matches!(Selector::encoded(vec![2], vec![1]), Err(Error::StartAfterEnd)));
    }

    #[test]
    fn invalid_bounds_are_rejected() {
        let (a, ab, b) = (key(&["a"]), key(&["a", "b"]), key(&["b"]));
        let error = |prefix, start, end| Selector::new(prefix, start, end).unwrap_err();
        assert!(matches!(error(Some(&a), Some(&b), None), Error::StartOutsidePrefix));
        assert!(matches!(error(Some(&a), Some(&a), None), Error::StartOutsidePrefix));
        assert!(matches!(error(Some(&a), None, Some(&b)), Error::EndOutsidePrefix));
        assert!(matches!(error(None, Some(&b), Some(&ab)), Error::StartAfterEnd));
        assert!(matches!(error(None, None, Some(&b)), Error::IncompleteSelector));
    }

    #[test]
    fn continues_after_the_key_of_a_cursor() {
        let selector = Selector::new(Some(&key(&["a"])), None, None).unwrap();
        let cursor = selector.cursor(&key(&["a", "b"])).unwrap();
        assert_eq!(cursor, "AmIA");
        let forward = selector.range(Some(&cursor), false).unwrap();
        assert_eq!(forward, (bytes(&["a", "b"], b"\x00"), bytes(&["a"], b"\xff")));
        let backward = selector.range(Some(&cursor), true).unwrap();
        assert_eq!(backward, (bytes(&["a"], b"\x00"), bytes(&["a", "b"], b"")));
    }

    #[test]
    fn cursors_of_another_selector_are_rejected() {
        let selector = Selector::new(None, Some(&key(&["b"])), Some(&key(&["d"]))).unwrap();
        assert!(matches!(selector.range(Some("*"), false), Err(Error::InvalidCursor)));
        // Both bounds share the tag of strings, which the cursor leaves out.
        let [below, above] = ["YQA=", "ZQA="];
        assert!(matches!(selector.range(Some(below), false), Err(Error::CursorOutOfBounds)));
        assert!(matches!(selector.range(Some(above), true), Err(Error::CursorOutOfBounds)));
        assert!(matches!(
            selector.cursor(&Key::from_parts(&[KeyPart::from(1.0)]).unwrap()),
            Err(Error::KeyOutsideSelector)
        ));
    }
}

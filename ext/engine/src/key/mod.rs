mod codec;
mod part;

use std::fmt;

pub use codec::{KeyError, KeyParts};
pub use part::KeyPart;

/// A key in its stored form: bytes whose order is the order of keys.
///
/// A key is a sequence of [`KeyPart`]s, encoded one after the other. Build one with [`Key::from_parts`], or part by
/// part with the `push_*` methods, which encode straight into the key's buffer.
///
/// ```
/// use openkv_engine::{Key, KeyPart};
///
/// let alice = Key::from(["users", "alice"]);
/// // In a script: ["scores", 7.5, 42n, true]
/// let score = Key::from_parts(&["scores".into(), 7.5.into(), 42.into(), true.into()])?;
/// assert!(alice > score, "scores come before users");
///
/// let parts = alice.parts().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(parts, [KeyPart::from("users"), KeyPart::from("alice")]);
/// assert_eq!(score.to_string(), r#"["scores", 7.5, 42n, true]"#);
/// # Ok::<(), openkv_engine::KeyError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl<const N: usize> From<[&str; N]> for Key {
    /// A key of strings.
    fn from(parts: [&str; N]) -> Self {
        let mut key = Self::new();
        parts.iter().for_each(|part| key.push_string(part));
        key
    }
}

impl Key {
    /// A key without parts, to push parts to.
    pub fn new() -> Self {
        // Most keys need not grow it.
        Self(Vec::with_capacity(64))
    }

    /// Encodes parts.
    ///
    /// # Errors
    /// [`KeyError::IntTooLong`].
    pub fn from_parts(parts: &[KeyPart<'_>]) -> Result<Self, KeyError> {
        let mut key = Self::new();
        parts.iter().try_for_each(|part| key.push(part))?;
        Ok(key)
    }

    /// Takes bytes that a database gave as a key. They are checked where they are decoded, by [`Key::parts`].
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The stored form, by value.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Decodes the parts, one after the other.
    pub fn parts(&self) -> KeyParts<'_> {
        KeyParts::new(&self.0)
    }

    /// Appends a part.
    ///
    /// # Errors
    /// [`KeyError::IntTooLong`].
    pub fn push(&mut self, part: &KeyPart<'_>) -> Result<(), KeyError> {
        match part {
            KeyPart::Bytes(bytes) => self.push_bytes(bytes),
            KeyPart::String(string) => self.push_string(string),
            KeyPart::Int(int) => {
                let (sign, magnitude) = int.to_bytes_be();
                self.push_int(sign == num_bigint::Sign::Minus, &magnitude)?;
            }
            KeyPart::Number(number) => self.push_number(*number),
            KeyPart::Bool(bool) => self.push_bool(*bool),
        }
        Ok(())
    }

    /// Appends a part of bytes.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        codec::push_bytes(&mut self.0, bytes);
    }

    /// Appends a string part.
    pub fn push_string(&mut self, string: &str) {
        codec::push_string(&mut self.0, string);
    }

    /// Appends an integer part, given by its sign and its magnitude in big-endian bytes. Leading zero bytes do not
    /// matter.
    ///
    /// # Errors
    /// [`KeyError::IntTooLong`].
    pub fn push_int(&mut self, negative: bool, magnitude: &[u8]) -> Result<(), KeyError> {
        codec::push_int(&mut self.0, negative, magnitude)
    }

    /// Appends a number part. All NaNs of one sign are one key.
    pub fn push_number(&mut self, number: f64) {
        codec::push_number(&mut self.0, number);
    }

    /// Appends a boolean part.
    pub fn push_bool(&mut self, bool: bool) {
        codec::push_bool(&mut self.0, bool);
    }
}

/// The parts in brackets. Bytes that are not a stored key are shown as a SQL literal.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(parts) = self.parts().map(|part| part.map(|part| part.to_string())).collect::<Result<Vec<_>, _>>()
        else {
            f.write_str("x'")?;
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            return f.write_str("'");
        };
        write!(f, "[{}]", parts.join(", "))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts().map(|part| part.ok())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_as_a_script_writes_it() {
        let parts = [
            KeyPart::from("a \"b\""),
            KeyPart::from(-7),
            KeyPart::from(1.5),
            KeyPart::from(f64::NEG_INFINITY),
            KeyPart::from(&[1, 255][..]),
            KeyPart::from(true),
        ];
        let shown = r#"["a \"b\"", -7n, 1.5, -Infinity, Uint8Array [1, 255], true]"#;
        assert_eq!(Key::from_parts(&parts).unwrap().to_string(), shown);
        assert_eq!(Key::from_stored(vec![2, b'a']).to_string(), "x'0261'");
    }
}

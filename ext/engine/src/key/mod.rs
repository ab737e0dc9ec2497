mod codec;
mod part;

use std::fmt;

pub use codec::{KeyError, KeyParts};
pub use part::{BigInt, KeyPart, ScriptPart};

/// A key in its encoded form: bytes whose order is the order of keys.
///
/// A key is a sequence of [`KeyPart`]s, encoded one after the other. Create one with [`key!`](crate::key), from strings with
/// [`Key::from`], from parts of any type with [`Key::from_parts`], or part by part with the `push_*` methods, which encode directly
/// into the key's buffer.
///
/// ```
/// use openkv_engine::{Key, KeyPart, key};
///
/// let alice = Key::from(["users", "alice"]);
/// // In a script: ["scores", 7.5, 42n, true]
/// let score = Key::from_parts(&["scores".into(), 7.5.into(), KeyPart::bigint(42), true.into()])?;
/// assert!(alice > score, "\"scores\" sorts before \"users\"");
///
/// let parts = alice.parts().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(parts, [KeyPart::from("users"), KeyPart::from("alice")]);
/// assert_eq!(score.to_string(), r#"["scores", 7.5, 42n, true]"#);
/// // In a script: ["scores", 7.5, 42, true]
/// assert_ne!(key!["scores", 7.5, 42, true], score);
/// # Ok::<(), openkv_engine::KeyError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

/// Creates a [`Key`] from parts as a script would write them: numbers are numbers, not bigints.
///
/// Strings, `bool`, bytes, floats, and integers of up to 32 bits are parts. A script cannot represent every larger integer as a
/// number: write `n as f64` for a number, or push a [`KeyPart::bigint`].
///
/// ```
/// use openkv_engine::{Key, key};
///
/// let id: u32 = 42;
/// // In a script: ["users", 42, "sessions", 1.5]
/// let session = key!["users", id, "sessions", 1.5];
/// assert_eq!(session.to_string(), r#"["users", 42, "sessions", 1.5]"#);
/// assert_eq!(key!["users", 42], key!["users", 42.0]);
/// assert_eq!(key![], Key::new());
/// ```
///
/// ```compile_fail
/// let id: u64 = 42;
/// let user = openkv_engine::key!["users", id];
/// ```
#[macro_export]
macro_rules! key {
    () => { $crate::Key::new() };
    ($($part:expr),+ $(,)?) => {{
        let mut key = $crate::Key::new();
        $($crate::ScriptPart::push_to($part, &mut key);)+
        key
    }};
}

impl<const N: usize> From<[&str; N]> for Key {
    /// Creates a key from strings.
    fn from(parts: [&str; N]) -> Self {
        let mut key = Self::new();
        parts.iter().for_each(|part| key.push_string(part));
        key
    }
}

impl Key {
    /// Creates a key without parts.
    pub fn new() -> Self {
        // Enough for most keys.
        Self(Vec::with_capacity(64))
    }

    /// Creates a key from parts.
    ///
    /// # Errors
    /// [`KeyError::IntTooLong`].
    pub fn from_parts(parts: &[KeyPart<'_>]) -> Result<Self, KeyError> {
        let mut key = Self::new();
        parts.iter().try_for_each(|part| key.push(part))?;
        Ok(key)
    }

    /// Creates a key from its encoded form, as returned by a database. It is validated only when it is decoded by [`Key::parts`].
    pub fn from_encoded(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the encoded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Converts the key into its encoded form.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns an iterator that decodes the parts.
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

    /// Appends a bytes part.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        codec::push_bytes(&mut self.0, bytes);
    }

    /// Appends a string part.
    pub fn push_string(&mut self, string: &str) {
        codec::push_string(&mut self.0, string);
    }

    /// Appends an integer part, given by its sign and its magnitude in big-endian bytes. Leading zero bytes are ignored.
    ///
    /// # Errors
    /// [`KeyError::IntTooLong`].
    pub fn push_int(&mut self, negative: bool, magnitude: &[u8]) -> Result<(), KeyError> {
        codec::push_int(&mut self.0, negative, magnitude)
    }

    /// Appends a number part. All NaNs of the same sign are one key.
    pub fn push_number(&mut self, number: f64) {
        codec::push_number(&mut self.0, number);
    }

    /// Appends a boolean part.
    pub fn push_bool(&mut self, bool: bool) {
        codec::push_bool(&mut self.0, bool);
    }
}

/// Writes the parts in brackets, or a corrupt key as an SQL blob literal.
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
    fn macro_accepts_parts_as_a_script_does() {
        let (id, name, bytes) = (7_u32, String::from("n"), vec![1, 2]);
        let parts = [
            KeyPart::from("a"),
            KeyPart::from(7.0),
            KeyPart::from(-1.0),
            KeyPart::from(&name),
            KeyPart::from(&[1, 2]),
            KeyPart::from(true),
        ];
        assert_eq!(key!["a", id, -1, &name, &bytes, true], Key::from_parts(&parts).unwrap());
        assert_eq!(
            key![name.clone(), bytes, id as u16],
            Key::from_parts(&[(&name).into(), vec![1, 2].into(), 7.0.into()]).unwrap()
        );
    }

    #[test]
    fn display_is_javascript_syntax() {
        let parts = [
            KeyPart::from("a \"b\""),
            KeyPart::bigint(-7),
            KeyPart::from(1.5),
            KeyPart::from(f64::NEG_INFINITY),
            KeyPart::from(&[1, 255][..]),
            KeyPart::from(true),
        ];
        let shown = r#"["a \"b\"", -7n, 1.5, -Infinity, Uint8Array [1, 255], true]"#;
        assert_eq!(Key::from_parts(&parts).unwrap().to_string(), shown);
        assert_eq!(Key::from_encoded(vec![2, b'a']).to_string(), "x'0261'");
    }
}

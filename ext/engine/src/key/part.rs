use std::borrow::Cow;
use std::fmt;

pub use num_bigint::BigInt;

use super::Key;

/// A part of a key. Parts of different types have the order of the variants.
///
/// A number in a script is a [`KeyPart::Number`], with or without a fraction: `1` in a script is `1.0` here, and `1n` is
/// `KeyPart::bigint(1)`. They are parts of different keys, so there is no conversion from Rust integers. The macro
/// [`key!`](crate::key) accepts integers as a script would.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPart<'a> {
    /// Bytes (`Uint8Array`), in the order of their values.
    Bytes(Cow<'a, [u8]>),
    /// A string, in the order of its Unicode code points.
    String(Cow<'a, str>),
    /// An integer (`bigint`) of up to 255 bytes.
    Int(BigInt),
    /// A number. -NaN is less and NaN is greater than all others, and -0 is less than 0.
    Number(f64),
    /// False, then true.
    Bool(bool),
}

/// Writes the part similar to JavaScript syntax.
impl fmt::Display for KeyPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyPart::Bytes(bytes) => write!(f, "Uint8Array {bytes:?}"),
            KeyPart::String(string) => write!(f, "{string:?}"),
            KeyPart::Int(int) => write!(f, "{int}n"),
            KeyPart::Number(number) if number.is_infinite() => {
                f.write_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            KeyPart::Number(number) => write!(f, "{number}"),
            KeyPart::Bool(bool) => write!(f, "{bool}"),
        }
    }
}

impl<'a> From<&'a [u8]> for KeyPart<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        KeyPart::Bytes(Cow::Borrowed(bytes))
    }
}

impl<'a> From<&'a str> for KeyPart<'a> {
    fn from(string: &'a str) -> Self {
        KeyPart::String(Cow::Borrowed(string))
    }
}

impl KeyPart<'_> {
    /// Returns an integer part, which is a `bigint` in scripts.
    pub fn bigint(int: impl Into<BigInt>) -> Self {
        KeyPart::Int(int.into())
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for KeyPart<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        KeyPart::Bytes(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for KeyPart<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        KeyPart::Bytes(Cow::Owned(bytes))
    }
}

impl<'a> From<&'a String> for KeyPart<'a> {
    fn from(string: &'a String) -> Self {
        KeyPart::String(Cow::Borrowed(string))
    }
}

impl From<String> for KeyPart<'_> {
    fn from(string: String) -> Self {
        KeyPart::String(Cow::Owned(string))
    }
}

impl From<BigInt> for KeyPart<'_> {
    fn from(int: BigInt) -> Self {
        KeyPart::Int(int)
    }
}

impl From<f64> for KeyPart<'_> {
    fn from(number: f64) -> Self {
        KeyPart::Number(number)
    }
}

impl From<bool> for KeyPart<'_> {
    fn from(bool: bool) -> Self {
        KeyPart::Bool(bool)
    }
}

/// A type that [`key!`](crate::key) accepts as a key part, with the same meaning as the same literal in a script.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part in `key!`",
    note = "for an integer of more than 32 bits, write `n as f64` to get a number",
    note = "or push `KeyPart::bigint(n)` to the key to get a bigint"
)]
pub trait ScriptPart {
    /// Appends it to a key.
    fn push_to(self, key: &mut Key);
}

macro_rules! script_parts {
    ($($part:ty: $push:expr),* $(,)?) => {
        $(impl ScriptPart for $part {
            fn push_to(self, key: &mut Key) {
                let push: fn(&mut Key, Self) = $push;
                push(key, self);
            }
        })*
    };
}

script_parts! {
    &str: |key, string| key.push_string(string),
    &String: |key, string| key.push_string(string),
    String: |key, string| key.push_string(&string),
    &[u8]: |key, bytes| key.push_bytes(bytes),
    &Vec<u8>: |key, bytes| key.push_bytes(bytes),
    Vec<u8>: |key, bytes| key.push_bytes(&bytes),
    bool: |key, bool| key.push_bool(bool),
    f64: |key, number| key.push_number(number),
    f32: |key, number| key.push_number(number.into()),
    i8: |key, number| key.push_number(number.into()),
    i16: |key, number| key.push_number(number.into()),
    i32: |key, number| key.push_number(number.into()),
    u8: |key, number| key.push_number(number.into()),
    u16: |key, number| key.push_number(number.into()),
    u32: |key, number| key.push_number(number.into()),
}

impl<const N: usize> ScriptPart for &[u8; N] {
    fn push_to(self, key: &mut Key) {
        key.push_bytes(self);
    }
}

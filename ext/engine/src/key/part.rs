use std::borrow::Cow;
use std::fmt;

use num_bigint::BigInt;

/// A part of a key. Parts of different kinds are ordered as the variants are.
///
/// A number of a script is a [`KeyPart::Number`], whether it has a fraction or not: `1` in a script is `1.0` here, and `1n`
/// is `1`.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPart<'a> {
    /// Bytes (`Uint8Array`), in the order of their values.
    Bytes(Cow<'a, [u8]>),
    /// A string, in the order of its Unicode code points.
    String(Cow<'a, str>),
    /// An integer (`bigint`) of up to 255 bytes.
    Int(BigInt),
    /// A number, with -NaN below and NaN above all others, and -0 below 0.
    Number(f64),
    /// False, then true.
    Bool(bool),
}

/// Nearly as a script would write it.
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

impl From<i64> for KeyPart<'_> {
    fn from(int: i64) -> Self {
        KeyPart::Int(int.into())
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

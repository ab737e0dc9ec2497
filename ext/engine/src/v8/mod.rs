//! Converts Rust types from and to V8's serialization format with serde, so that Rust and scripts can read each other's values.
//!
//! [`Value::encode`] encodes any [`Serialize`] type as a value, and [`Value::decode`] decodes a stored value as any [`Deserialize`]
//! type. [`to_vec`] and [`from_slice`] do the same with bytes, such as the messages of the queue.
//!
//! ```
//! use openkv_engine::{Value, v8::Date};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct User {
//!     name: String,
//!     visits: u32,
//!     born: Option<Date>,
//! }
//!
//! // In a script: { name: "Alice", visits: 3, born: new Date(0) }
//! let alice = User { name: "Alice".into(), visits: 3, born: Some(Date(0.0)) };
//! let value = Value::encode(&alice)?;
//! assert_eq!(value.decode::<User>()?, alice);
//! # Ok::<(), openkv_engine::v8::Error>(())
//! ```
//!
//! # Encoding
//!
//! | Rust | JavaScript |
//! |---|---|
//! | `bool` | boolean |
//! | `f32`, `f64`, integers of up to 53 bits | number |
//! | `i64`, `u64` of more than 53 bits; `i128`, `u128` of any size; any with [`bigint`] | bigint |
//! | `char`, strings | string |
//! | `()`, `None`, unit structs | `null` |
//! | sequences, tuples | array |
//! | structs, maps whose keys are strings or integers | plain object |
//! | bytes, such as those of the crate `serde_bytes` | `Uint8Array` |
//! | [`Date`]; a time with [`date`] | `Date` |
//! | an enum variant without data | its name as a string |
//! | an enum variant with data | `{ Name: data }` |
//!
//! # Decoding
//!
//! The inverse of the above, and:
//!
//! - `undefined`, and a hole in an array, is decoded like `null`: as `None` or `()`.
//! - A number without a fraction is decoded as an integer or a float, depending on the type. So is a bigint of up to 128 bits.
//!   Larger ones are rejected.
//! - A `Date` is decoded as [`Date`], or as a number.
//! - A `Map` is decoded as a map, with keys of any type; a `Set` as a sequence.
//! - An `ArrayBuffer`, a `DataView` and a typed array of bytes are decoded as bytes, or as a sequence of numbers. Other typed arrays
//!   are sequences of numbers.
//! - `Boolean`, `Number`, `BigInt` and `String` objects are decoded as the value they contain.
//! - A `RegExp` is decoded as a struct with `source` and `flags`; an error as one with `name`, `message` and `stack`, without its
//!   cause.
//! - An object that is referenced twice is decoded twice. One that contains itself is rejected.
//! - A lone surrogate in a string is decoded as U+FFFD, and so are invalid bytes.
//!
//! # Untrusted values
//!
//! A file may come from an untrusted source. Bytes that are not a valid value are an error, never a panic. To bound the use of
//! stack and memory, a value that is nested more than [`MAX_DEPTH`] levels deep is rejected, and so is one that would grow by
//! more than [`MAX_GROWTH`] bytes through repeated references.

mod de;
mod reader;
mod ser;
#[cfg(test)]
mod tests;
mod with;

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Delivery, Enqueue, Entry, Value, ValueRef};
use reader::{Reader, Token};

pub use with::{bigint, date};

/// The maximum nesting depth of a value. A number has a depth of 1.
pub const MAX_DEPTH: usize = 128;

/// The maximum number of bytes by which a value may grow when it is decoded, because it references objects repeatedly.
pub const MAX_GROWTH: usize = 1024 * 1024;

/// The name that distinguishes a [`Date`] from a number.
const DATE: &str = "$openkv::Date";

/// A `Date`: milliseconds since the Unix epoch, or NaN for an invalid one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename = "$openkv::Date")]
pub struct Date(pub f64);

/// An error of encoding or decoding a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a valid value.
    #[error("not a valid value in V8's format: see byte {at}")]
    Malformed {
        /// The offset of the error in bytes.
        at: usize,
    },
    /// The value is nested too deeply, or contains itself.
    #[error("the value is nested more than {max} levels deep")]
    TooDeep {
        /// [`MAX_DEPTH`].
        max: usize,
    },
    /// The value references large objects too often.
    #[error("the value would grow by more than {max} bytes through repeated references to objects")]
    TooLarge {
        /// [`MAX_GROWTH`].
        max: usize,
    },
    /// The value contains something that cannot be converted.
    #[error("{0} cannot be converted")]
    Unsupported(&'static str),
    /// The value does not match the type, or the type rejected it.
    #[error("{0}")]
    Mismatch(String),
}

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Error::Mismatch(message.to_string())
    }
}

impl serde::ser::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Error::Mismatch(message.to_string())
    }
}

/// Encodes a value.
///
/// # Errors
/// [`Error::TooDeep`], [`Error::Unsupported`], or [`Error::Mismatch`] with the message of the type.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    ser::to_vec(value)
}

/// Decodes a value.
///
/// # Errors
/// See [`Error`].
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut reader = Reader::new(bytes)?;
    reader.value(|reader, token| T::deserialize(de::Deserializer { reader, token }))
}

impl Value {
    /// Encodes a value as scripts store it: see the module [`v8`](self).
    ///
    /// # Errors
    /// See [`to_vec`].
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        to_vec(value).map(Value::V8)
    }

    /// Decodes the value: see [`ValueRef::decode`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.as_ref().decode()
    }
}

impl Entry {
    /// Decodes the value: see [`ValueRef::decode`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.value.decode()
    }
}

impl Enqueue {
    /// Encodes a message, which scripts can read: see the module [`v8`](self), and [`Enqueue::new`].
    ///
    /// # Errors
    /// See [`to_vec`].
    pub fn encode<T: Serialize + ?Sized>(message: &T) -> Result<Self, Error> {
        to_vec(message).map(Self::new)
    }
}

impl Delivery {
    /// Decodes the message: see the module [`v8`](self).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_slice(&self.message)
    }
}

impl ValueRef<'_> {
    /// Decodes a stored value: see the module [`v8`](self). [`ValueRef::U64`] is decoded as an integer, and [`ValueRef::Bytes`] as
    /// bytes or a sequence of numbers.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn decode<T: DeserializeOwned>(self) -> Result<T, Error> {
        let number;
        let token = match self {
            ValueRef::V8(bytes) => return from_slice(bytes),
            ValueRef::U64(u64) => {
                number = u64.to_le_bytes();
                Token::BigInt { negative: false, magnitude: &number }
            }
            ValueRef::Bytes(bytes) => Token::Bytes(bytes),
        };
        T::deserialize(de::Deserializer { reader: &mut Reader::empty(), token })
    }
}

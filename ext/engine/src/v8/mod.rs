//! Rust's own types in V8's serialization format, through serde: what a script stores, Rust reads, and the other way round.
//!
//! [`Value::encode`] makes a value to store of anything that is [`Serialize`], and [`Value::decode`] reads a stored value as
//! anything that is [`Deserialize`]. [`to_vec`] and [`from_slice`] do the same with the bytes alone, as
//! the messages of the queue are.
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
//! # What is written as what
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
//! | bytes, as of the crate `serde_bytes` | `Uint8Array` |
//! | [`Date`]; a time with [`date`] | `Date` |
//! | an enum's variant without data | its name as a string |
//! | an enum's variant with data | `{ Name: data }` |
//!
//! # What is read as what
//!
//! All of the above the other way round, and:
//!
//! - `undefined`, and a hole of an array, is read as `null` is: as `None` or `()`.
//! - A number without a fraction is read as an integer or a float, whatever is asked for. So is a bigint of up to 128 bits.
//!   Larger ones are refused.
//! - A `Date` is read as [`Date`], or as a number.
//! - A `Map` is read as a map, with keys of any kind; a `Set` as a sequence.
//! - An `ArrayBuffer`, a `DataView` and the arrays of bytes are read as bytes, or as a sequence of numbers. The other typed
//!   arrays are sequences of numbers.
//! - `Boolean`, `Number`, `BigInt` and `String` objects are read as what they hold.
//! - A `RegExp` is read as a struct with `source` and `flags`; an error as one with `name`, `message` and `stack`, without its
//!   cause.
//! - An object that is there twice is read twice. One that holds itself is nested without end, and refused.
//! - Half of a surrogate pair in a string is read as U+FFFD, and so is any text that is no text.
//!
//! # Values that nobody should trust
//!
//! A file may come from anyone. Bytes that are no value are an error, never a panic. A value that is nested more than
//! [`MAX_DEPTH`] levels deep is refused, and so is one whose shared objects would make it more than [`MAX_GROWTH`] bytes longer:
//! neither the stack nor the memory is at its mercy.

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

/// How many levels deep a value may be nested. A number alone is one level.
pub const MAX_DEPTH: usize = 128;

/// By how many bytes a value may become longer while it is read, because it holds one object several times.
pub const MAX_GROWTH: usize = 1024 * 1024;

/// The name by which a [`Date`] is told from a number.
const DATE: &str = "$openkv::Date";

/// A `Date`: milliseconds since the Unix epoch, NaN for one that is invalid.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename = "$openkv::Date")]
pub struct Date(pub f64);

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no value.
    #[error("this is no value in V8's format, or a damaged one: see byte {at}")]
    Malformed {
        /// The position up to which they were read, in bytes.
        at: usize,
    },
    /// The value is nested too deep, or it holds itself.
    #[error("the value is nested more than {max} levels deep")]
    TooDeep {
        /// [`MAX_DEPTH`].
        max: usize,
    },
    /// The value holds large objects too often.
    #[error("the value holds objects so often that it would become {max} bytes longer")]
    TooLarge {
        /// [`MAX_GROWTH`].
        max: usize,
    },
    /// The value holds something that has no form on the other side.
    #[error("{0} can not be converted")]
    Unsupported(&'static str),
    /// The value is not what the type asks for, or the type refused it.
    #[error("{0}")]
    Mismatch(String),
}

impl serde::de::Error for Error {
    fn custom<T: Display>(text: T) -> Self {
        Error::Mismatch(text.to_string())
    }
}

impl serde::ser::Error for Error {
    fn custom<T: Display>(text: T) -> Self {
        Error::Mismatch(text.to_string())
    }
}

/// Encodes a value.
///
/// # Errors
/// [`Error::TooDeep`], [`Error::Unsupported`], or [`Error::Mismatch`] with what the type says.
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

    /// See [`ValueRef::decode`].
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
    /// A message that scripts read as they do a value: see the module [`v8`](self), and [`Enqueue::new`].
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
    /// Decodes a stored value: see the module [`v8`](self). [`ValueRef::U64`] is read as an integer, and [`ValueRef::Bytes`]
    /// as bytes or a sequence of numbers.
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

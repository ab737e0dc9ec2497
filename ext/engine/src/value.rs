use crate::{Error, Result};

/// The encoding of a stored value. The discriminants are those of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Encoding {
    /// V8's serialization format, with its header.
    V8 = 1,
    /// An unsigned integer of 64 bits, little-endian.
    U64 = 2,
    /// The bytes themselves.
    Bytes = 3,
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A JavaScript value in V8's serialization format.
    V8(Vec<u8>),
    /// An unsigned 64-bit integer, for sum, min and max (`Deno.KvU64`).
    U64(u64),
    /// Bytes (`Uint8Array`).
    Bytes(Vec<u8>),
}

impl Value {
    /// Borrows the value.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::V8(bytes) => ValueRef::V8(bytes),
            Value::U64(number) => ValueRef::U64(*number),
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
        }
    }

    /// Returns the size of the value in bytes. See [`ValueRef::len`].
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Returns whether [`Value::len`] is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A value that is borrowed from the database, valid only during the visit of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// See [`Value::V8`].
    V8(&'a [u8]),
    /// See [`Value::U64`].
    U64(u64),
    /// See [`Value::Bytes`].
    Bytes(&'a [u8]),
}

impl<'a> ValueRef<'a> {
    /// Returns the size of the value in bytes, as it counts towards the limits.
    pub fn len(self) -> usize {
        match self {
            ValueRef::V8(bytes) | ValueRef::Bytes(bytes) => bytes.len(),
            ValueRef::U64(_) => size_of::<u64>(),
        }
    }

    /// Returns whether [`ValueRef::len`] is zero.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Decodes the columns of a stored value.
    ///
    /// # Errors
    /// [`Error::CorruptValue`] if the encoding is unknown or does not match the bytes.
    pub(crate) fn from_encoded(bytes: &'a [u8], encoding: i64) -> Result<Self> {
        match encoding {
            e if e == Encoding::V8 as i64 => Ok(ValueRef::V8(bytes)),
            e if e == Encoding::Bytes as i64 => Ok(ValueRef::Bytes(bytes)),
            e if e == Encoding::U64 as i64 => bytes
                .try_into()
                .map(|bytes| ValueRef::U64(u64::from_le_bytes(bytes)))
                .map_err(|_| Error::CorruptValue { encoding, len: bytes.len() }),
            _ => Err(Error::CorruptValue { encoding, len: bytes.len() }),
        }
    }

    /// Copies the value.
    pub fn to_owned(self) -> Value {
        match self {
            ValueRef::V8(bytes) => Value::V8(bytes.to_vec()),
            ValueRef::U64(number) => Value::U64(number),
            ValueRef::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        }
    }

    /// Returns the encoding of the value.
    pub(crate) fn encoding(self) -> Encoding {
        match self {
            ValueRef::V8(_) => Encoding::V8,
            ValueRef::U64(_) => Encoding::U64,
            ValueRef::Bytes(_) => Encoding::Bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_decoded() {
        assert_eq!(ValueRef::from_encoded(b"\xff\x0fT", 1).unwrap(), ValueRef::V8(b"\xff\x0fT"));
        assert_eq!(ValueRef::from_encoded(&[1, 2, 0, 0, 0, 0, 0, 0], 2).unwrap(), ValueRef::U64(513));
        assert_eq!(ValueRef::from_encoded(b"raw", 3).unwrap(), ValueRef::Bytes(b"raw"));
    }

    #[test]
    fn corrupt_values_are_rejected() {
        assert!(matches!(ValueRef::from_encoded(b"1234567", 2), Err(Error::CorruptValue { encoding: 2, len: 7 })));
        assert!(matches!(ValueRef::from_encoded(b"", 4), Err(Error::CorruptValue { encoding: 4, len: 0 })));
    }
}

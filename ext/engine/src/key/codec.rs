//! The encoded form of key parts: a subset of FoundationDB's tuple layer, chosen so that the order of the bytes is the
//! order of the keys. See `docs/file-format.md`.

use std::borrow::Cow;

use num_bigint::{BigInt, Sign};

use super::KeyPart;

const BYTES: u8 = 0x01;
const STRING: u8 = 0x02;
/// The tag of zero. A positive integer of n bytes has the tag `INT_ZERO + n`, a negative one `INT_ZERO - n`, for n up to
/// `INT_TAGGED`.
const INT_ZERO: u8 = 0x14;
const INT_TAGGED: usize = 8;
/// The tags of longer integers, followed by their length in bytes.
const INT_LONG_NEGATIVE: u8 = 0x0b;
const INT_LONG_POSITIVE: u8 = 0x1d;
const INT_MAX_LEN: usize = u8::MAX as usize;
const NUMBER: u8 = 0x21;
const FALSE: u8 = 0x26;
const TRUE: u8 = 0x27;

/// Terminates bytes and strings. Within them, a zero byte is followed by `ESCAPE`, which is not a tag.
const END: u8 = 0x00;
const ESCAPE: u8 = 0xff;

const SIGN: u64 = 1 << 63;
/// The NaN to which all NaNs of the same sign are normalized, so that they are one key.
const CANONICAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// A key part that cannot be encoded, or a corrupt stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The magnitude of an integer takes more than 255 bytes.
    #[error("BigUint requires more than 255 bytes to be represented")]
    IntTooLong,
    /// A key part begins with an unknown byte.
    #[error("a stored key is corrupt: unknown type {tag:#04x} of a key part")]
    UnknownTag {
        /// The byte.
        tag: u8,
    },
    /// The key ends within a part.
    #[error("a stored key is corrupt: it ends within a part")]
    Truncated,
    /// A string part is not UTF-8.
    #[error("a stored key is corrupt: a string in it is not UTF-8")]
    NotUtf8,
}

impl KeyError {
    /// Returns whether a stored key is corrupt, as opposed to a part that cannot be encoded.
    pub fn is_corruption(&self) -> bool {
        !matches!(self, KeyError::IntTooLong)
    }
}

pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(BYTES);
    push_escaped(out, bytes);
}

pub(super) fn push_string(out: &mut Vec<u8>, string: &str) {
    out.push(STRING);
    push_escaped(out, string.as_bytes());
}

fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for (i, run) in bytes.split(|byte| *byte == END).enumerate() {
        if i > 0 {
            out.extend([END, ESCAPE]);
        }
        out.extend_from_slice(run);
    }
    out.push(END);
}

pub(super) fn push_int(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) -> Result<(), KeyError> {
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    let magnitude = &magnitude[zeros..];
    let flip = if negative { 0xff } else { 0 };
    match (magnitude.len(), negative) {
        (0..=INT_TAGGED, false) => out.push(INT_ZERO + magnitude.len() as u8),
        (0..=INT_TAGGED, true) => out.push(INT_ZERO - magnitude.len() as u8),
        (..=INT_MAX_LEN, false) => out.extend([INT_LONG_POSITIVE, magnitude.len() as u8]),
        (..=INT_MAX_LEN, true) => out.extend([INT_LONG_NEGATIVE, magnitude.len() as u8 ^ flip]),
        _ => return Err(KeyError::IntTooLong),
    }
    out.extend(magnitude.iter().map(|byte| byte ^ flip));
    Ok(())
}

pub(super) fn push_number(out: &mut Vec<u8>, number: f64) {
    let number = if number.is_nan() { CANONICAL_NAN.copysign(number) } else { number };
    let bits = number.to_bits();
    out.push(NUMBER);
    out.extend((if number.is_sign_negative() { !bits } else { bits ^ SIGN }).to_be_bytes());
}

pub(super) fn push_bool(out: &mut Vec<u8>, bool: bool) {
    out.push(if bool { TRUE } else { FALSE });
}

/// An iterator over the parts of an encoded key. Ends after the first error.
#[derive(Clone, Debug)]
pub struct KeyParts<'a> {
    rest: &'a [u8],
}

impl<'a> KeyParts<'a> {
    /// Returns an iterator that decodes the parts of a key.
    pub fn new(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], KeyError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(KeyError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_byte(&mut self) -> Result<u8, KeyError> {
        Ok(self.take(1)?[0])
    }

    fn take_escaped(&mut self) -> Result<Cow<'a, [u8]>, KeyError> {
        let mut unescaped = Cow::Borrowed(&[][..]);
        loop {
            let end = self.rest.iter().position(|byte| *byte == END).ok_or(KeyError::Truncated)?;
            let run = self.take(end)?;
            self.rest = &self.rest[1..];
            if unescaped.is_empty() {
                unescaped = Cow::Borrowed(run);
            } else {
                unescaped.to_mut().extend_from_slice(run);
            }
            match self.rest {
                [ESCAPE, rest @ ..] => {
                    unescaped.to_mut().push(END);
                    self.rest = rest;
                }
                _ => return Ok(unescaped),
            }
        }
    }

    fn take_int(&mut self, negative: bool, len: usize) -> Result<BigInt, KeyError> {
        let magnitude = self.take(len)?;
        if !negative {
            return Ok(BigInt::from_bytes_be(Sign::Plus, magnitude));
        }
        let magnitude: Vec<u8> = magnitude.iter().map(|byte| !byte).collect();
        Ok(BigInt::from_bytes_be(Sign::Minus, &magnitude))
    }

    fn take_part(&mut self) -> Result<KeyPart<'a>, KeyError> {
        const SHORTEST: u8 = INT_ZERO - INT_TAGGED as u8;
        const LONGEST: u8 = INT_ZERO + INT_TAGGED as u8;
        Ok(match self.take_byte()? {
            BYTES => KeyPart::Bytes(self.take_escaped()?),
            STRING => KeyPart::String(match self.take_escaped()? {
                Cow::Borrowed(bytes) => str::from_utf8(bytes).map_err(|_| KeyError::NotUtf8)?.into(),
                Cow::Owned(bytes) => String::from_utf8(bytes).map_err(|_| KeyError::NotUtf8)?.into(),
            }),
            INT_LONG_NEGATIVE => {
                let len = usize::from(!self.take_byte()?);
                KeyPart::Int(self.take_int(true, len)?)
            }
            tag @ SHORTEST..INT_ZERO => KeyPart::Int(self.take_int(true, usize::from(INT_ZERO - tag))?),
            tag @ INT_ZERO..=LONGEST => KeyPart::Int(self.take_int(false, usize::from(tag - INT_ZERO))?),
            INT_LONG_POSITIVE => {
                let len = usize::from(self.take_byte()?);
                KeyPart::Int(self.take_int(false, len)?)
            }
            NUMBER => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(self.take(8)?);
                let bits = u64::from_be_bytes(bytes);
                KeyPart::Number(f64::from_bits(if bits & SIGN == 0 { !bits } else { bits ^ SIGN }))
            }
            FALSE => KeyPart::Bool(false),
            TRUE => KeyPart::Bool(true),
            tag => return Err(KeyError::UnknownTag { tag }),
        })
    }
}

impl<'a> Iterator for KeyParts<'a> {
    type Item = Result<KeyPart<'a>, KeyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let part = self.take_part();
        if part.is_err() {
            self.rest = &[];
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn int(digits: &str) -> KeyPart<'static> {
        KeyPart::Int(digits.parse().unwrap())
    }

    fn long_int(negative: bool) -> KeyPart<'static> {
        KeyPart::Int(BigInt::from_bytes_be(if negative { Sign::Minus } else { Sign::Plus }, &[0x80; 255]))
    }

    fn encode(part: KeyPart<'_>) -> Vec<u8> {
        Key::from_parts(&[part]).unwrap().into_bytes()
    }

    /// Returns the key parts of the table in `docs/file-format.md`, with their encoded form.
    fn rows() -> Vec<(KeyPart<'static>, Vec<u8>)> {
        let long = |tag: u8, len: u8, byte: u8| [vec![tag, len], vec![byte; 255]].concat();
        vec![
            (KeyPart::from(&b""[..]), b"\x01\x00".to_vec()),
            (KeyPart::from(&b"\x00"[..]), b"\x01\x00\xff\x00".to_vec()),
            (KeyPart::from(&b"\x00\x01"[..]), b"\x01\x00\xff\x01\x00".to_vec()),
            (KeyPart::from(&b"a\x00\x00b"[..]), b"\x01a\x00\xff\x00\xffb\x00".to_vec()),
            (KeyPart::from(&b"\xff"[..]), b"\x01\xff\x00".to_vec()),
            (KeyPart::from(""), b"\x02\x00".to_vec()),
            (KeyPart::from("\0"), b"\x02\x00\xff\x00".to_vec()),
            (KeyPart::from("a"), b"\x02a\x00".to_vec()),
            (KeyPart::from("a\0b"), b"\x02a\x00\xffb\x00".to_vec()),
            (KeyPart::from("\u{e9}\u{1f600}"), b"\x02\xc3\xa9\xf0\x9f\x98\x80\x00".to_vec()),
            (long_int(true), long(0x0b, 0x00, 0x7f)),
            (int("-18446744073709551616"), b"\x0b\xf6\xfe\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
            (int("-18446744073709551615"), b"\x0c\x00\x00\x00\x00\x00\x00\x00\x00".to_vec()),
            (int("-256"), b"\x12\xfe\xff".to_vec()),
            (int("-255"), b"\x13\x00".to_vec()),
            (int("-1"), b"\x13\xfe".to_vec()),
            (int("0"), b"\x14".to_vec()),
            (int("1"), b"\x15\x01".to_vec()),
            (int("255"), b"\x15\xff".to_vec()),
            (int("256"), b"\x16\x01\x00".to_vec()),
            (int("18446744073709551615"), b"\x1c\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
            (int("18446744073709551616"), b"\x1d\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00".to_vec()),
            (long_int(false), long(0x1d, 0xff, 0x80)),
            (KeyPart::from(-f64::NAN), b"\x21\x00\x07\xff\xff\xff\xff\xff\xff".to_vec()),
            (KeyPart::from(f64::NEG_INFINITY), b"\x21\x00\x0f\xff\xff\xff\xff\xff\xff".to_vec()),
            (KeyPart::from(-1.5), b"\x21\x40\x07\xff\xff\xff\xff\xff\xff".to_vec()),
            (KeyPart::from(-0.0), b"\x21\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec()),
            (KeyPart::from(0.0), b"\x21\x80\x00\x00\x00\x00\x00\x00\x00".to_vec()),
            (KeyPart::from(1.5), b"\x21\xbf\xf8\x00\x00\x00\x00\x00\x00".to_vec()),
            (KeyPart::from(f64::INFINITY), b"\x21\xff\xf0\x00\x00\x00\x00\x00\x00".to_vec()),
            (KeyPart::from(f64::NAN), b"\x21\xff\xf8\x00\x00\x00\x00\x00\x00".to_vec()),
            (KeyPart::from(false), b"\x26".to_vec()),
            (KeyPart::from(true), b"\x27".to_vec()),
        ]
    }

    #[test]
    fn parts_are_encoded_as_documented() {
        for (part, bytes) in rows() {
            assert_eq!(encode(part.clone()), bytes, "{part:?}");
        }
    }

    #[test]
    fn encoded_parts_are_decoded() {
        for (part, bytes) in rows() {
            let decoded: Vec<_> = KeyParts::new(&bytes).collect::<Result<_, _>>().unwrap();
            // NaN is not equal to itself, but its debug output is.
            assert_eq!(format!("{decoded:?}"), format!("{:?}", [part]));
        }
        let all: Vec<_> = rows().into_iter().map(|(part, _)| part).collect();
        let key = Key::from_parts(&all).unwrap();
        let decoded: Vec<_> = key.parts().collect::<Result<_, _>>().unwrap();
        assert_eq!(format!("{decoded:?}"), format!("{all:?}"));
    }

    #[test]
    fn encoded_keys_have_the_order_of_keys() {
        let rows = rows();
        for pair in rows.windows(2) {
            assert!(pair[0].1 < pair[1].1, "{:?} is less than {:?}", pair[0].0, pair[1].0);
            let shorter = Key::from_parts(&[pair[0].0.clone()]).unwrap();
            let longer = Key::from_parts(&[pair[0].0.clone(), KeyPart::from(true)]).unwrap();
            let next = Key::from_parts(&[pair[1].0.clone()]).unwrap();
            assert!(shorter < longer && longer < next, "{longer:?}");
        }
    }

    #[test]
    fn nans_of_the_same_sign_are_one_key() {
        assert_eq!(encode(f64::from_bits(0x7ff8_0000_0000_0001).into()), encode(f64::NAN.into()));
        assert_ne!(encode((-f64::NAN).into()), encode(f64::NAN.into()));
    }

    #[test]
    fn leading_zeros_of_integers_are_ignored() {
        let mut key = Key::new();
        key.push_int(false, &[0, 0, 1]).unwrap();
        key.push_int(true, &[0]).unwrap();
        assert_eq!(key.as_bytes(), b"\x15\x01\x14");
    }

    #[test]
    fn integers_beyond_255_bytes_are_rejected() {
        let too_long = BigInt::from_bytes_be(Sign::Minus, &[1; 256]);
        assert_eq!(Key::from_parts(&[KeyPart::Int(too_long)]), Err(KeyError::IntTooLong));
    }

    #[test]
    fn corrupt_keys_are_rejected() {
        fn decode(bytes: &[u8]) -> KeyError {
            KeyParts::new(bytes).last().unwrap().unwrap_err()
        }
        for truncated in
            [&b"\x01"[..], b"\x02a", b"\x02\x00\xff", b"\x15", b"\x0c\x00", b"\x1d", b"\x0b\xf6", b"\x21\x80"]
        {
            assert_eq!(decode(truncated), KeyError::Truncated, "{truncated:?}");
        }
        for tag in [0x00, 0x03, 0x05, 0x20, 0x25, 0x28, 0xff] {
            assert_eq!(decode(&[tag]), KeyError::UnknownTag { tag });
        }
        assert_eq!(decode(b"\x02\xff\x00"), KeyError::NotUtf8);
    }
}

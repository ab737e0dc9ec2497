//! Recognizes values in V8's serialization format that can be decoded as elements of an array, many at once.
//!
//! Such a value ends where its bytes end, so that the next element begins there. It does not refer to objects by number, because they
//! are counted from the beginning of the array. And it has no objects of the host, which scripts restore. Values that are not recognized,
//! among them most corrupt ones, are decoded alone.

use std::ops::RangeInclusive;

/// The first bytes of a value: a tag, and the version of the format that V8 writes.
pub(crate) const HEADER: [u8; 2] = [VERSION, *VERSIONS.end()];

const VERSION: u8 = 0xff;

/// The versions of the format that differ only in what is not recognized: strings are the same since version 12, arrays since 11.
const VERSIONS: RangeInclusive<u8> = 13..=16;

/// The tag of a dense array, which its length and its elements follow.
pub(crate) const ARRAY: u8 = b'A';

/// The tag after the elements, which the number of other properties and the length follow.
pub(crate) const ARRAY_END: u8 = b'$';

/// The tag of `null`.
pub(crate) const NULL: u8 = b'0';

/// The tag of bytes that are skipped. V8 aligns strings with it.
pub(crate) const PADDING: u8 = 0;

/// The maximum depth of objects.
const DEPTH: u32 = 32;

/// Returns a value without its header, if it is recognized.
pub(crate) fn element(value: &[u8]) -> Option<&[u8]> {
    let (&[VERSION, version], element) = value.split_first_chunk()? else { return None };
    VERSIONS.contains(&version).then_some(())?;
    let mut rest = Rest(element);
    rest.value(DEPTH)?;
    rest.0.is_empty().then_some(element)
}

/// Appends a number in the format's variable length: seven bits in a byte, the lowest first.
pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The bytes that have not been read. The methods return `None` for what is not recognized.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn value(&mut self, depth: u32) -> Option<()> {
        match self.tag()? {
            // undefined, null, true, false
            b'_' | NULL | b'T' | b'F' => Some(()),
            // Integers, signed and unsigned.
            b'I' | b'U' => self.varint().map(|_| ()),
            // Numbers and dates.
            b'N' | b'D' => self.skip(8),
            // Bigints: the sign is the lowest bit.
            b'Z' => {
                let length = self.varint()? >> 1;
                self.skip(length)
            }
            tag @ (b'"' | b'c' | b'S') => self.string(tag),
            b'o' => self.object(depth.checked_sub(1)?),
            ARRAY => self.array(depth.checked_sub(1)?),
            // Maps and sets.
            b';' => self.collection(b':', depth.checked_sub(1)?),
            b'\'' => self.collection(b',', depth.checked_sub(1)?),
            _ => None,
        }
    }

    /// Reads the rest of a string: in Latin-1, UTF-16 or UTF-8.
    fn string(&mut self, tag: u8) -> Option<()> {
        let length = self.varint()?;
        (tag != b'c' || length % 2 == 0).then_some(())?;
        self.skip(length)
    }

    fn object(&mut self, depth: u32) -> Option<()> {
        let mut properties = 0;
        loop {
            match self.tag()? {
                b'{' => break,
                tag @ (b'"' | b'c' | b'S') => self.string(tag)?,
                b'I' | b'U' => drop(self.varint()?),
                b'N' => self.skip(8)?,
                _ => return None,
            }
            self.value(depth)?;
            properties += 1;
        }
        (self.varint()? == properties).then_some(())
    }

    /// Reads the rest of an array without holes or other properties.
    fn array(&mut self, depth: u32) -> Option<()> {
        let length = self.varint()?;
        for _ in 0..length {
            self.value(depth)?;
        }
        (self.tag()? == ARRAY_END && self.varint()? == 0 && self.varint()? == length).then_some(())
    }

    fn collection(&mut self, end: u8, depth: u32) -> Option<()> {
        let mut elements = 0;
        while self.peek()? != end {
            self.value(depth)?;
            elements += 1;
        }
        self.tag()?;
        (self.varint()? == elements).then_some(())
    }

    fn tag(&mut self) -> Option<u8> {
        let tag = self.peek()?;
        self.0 = &self.0[1..];
        Some(tag)
    }

    /// Returns the next tag, after the padding.
    fn peek(&mut self) -> Option<u8> {
        while self.0.first() == Some(&PADDING) {
            self.0 = &self.0[1..];
        }
        self.0.first().copied()
    }

    fn varint(&mut self) -> Option<usize> {
        let mut number = 0;
        for (i, byte) in self.0.iter().enumerate().take(5) {
            number |= usize::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use deno_core::v8;

    use super::*;

    fn is_recognized(body: &[u8]) -> bool {
        element(&[&HEADER, body].concat()).is_some()
    }

    #[test]
    fn complete_values_are_recognized() {
        // { a: 1, b: [null, "x", 2.0], c: new Map([[1n, new Date(0)]]), d: "ü" in UTF-16 }
        let number = [b"N".as_slice(), &2f64.to_le_bytes()].concat();
        let date = [b"D".as_slice(), &0f64.to_le_bytes()].concat();
        let body: &[&[u8]] = &[
            b"o\"\x01aI\x02\"\x01bA\x030\"\x01x",
            &number,
            b"$\x00\x03\"\x01c;Z\x10\x01\0\0\0\0\0\0\0",
            &date,
            b":\x02\"\x01d\0c\x02\xfc\0{\x04",
        ];
        let body = body.concat();
        assert!(is_recognized(&body));
        for length in 0..body.len() {
            assert!(!is_recognized(&body[..length]), "{length}");
        }
        assert!(!is_recognized(&[&body, b"I\x02".as_slice()].concat()), "bytes follow");
    }

    #[test]
    fn other_values_are_decoded_alone() {
        assert!(!is_recognized(b"A\x02o{\x00^\x01$\x00\x02"), "an object is referred to");
        assert!(!is_recognized(b"A\x01-$\x00\x01"), "a hole");
        assert!(!is_recognized(b"\\\xff\xff\xff\xff\x0fo{\x00"), "an object of the host");
        assert!(!is_recognized(b"o\"\x01aI\x02{\x02"), "the number of properties is wrong");
        assert!(!is_recognized(b"oT0{\x01"), "a property without a name");
        assert!(!is_recognized(b"c\x01a"), "half a character");
        assert!(!is_recognized(b"I\xff\xff\xff\xff\xff\x0f"), "a number of more than 32 bits");
        let nested = |depth| [b"A\x01".repeat(depth), b"0".to_vec(), b"$\x00\x01".repeat(depth)].concat();
        assert!(is_recognized(&nested(32)) && !is_recognized(&nested(33)));
        for (version, is_known) in [(12, false), (13, true), (16, true), (17, false)] {
            assert_eq!(element(&[VERSION, version, NULL]).is_some(), is_known, "{version}");
        }
    }

    /// Fails after an update of V8 to a newer version of the format, whose differences [`VERSIONS`] must take into account.
    #[test]
    fn values_are_recognized_as_v8_writes_them() {
        let mut runtime = deno_core::JsRuntime::new(deno_core::RuntimeOptions::default());
        let script = r#"
            Deno.core.serialize({
                id: -1, large: 2 ** 31, half: 0.5, int: -(2n ** 64n), yes: true, no: false, none: null, missing: undefined, 1: 2,
                "\u0100": "\u0100", text: "\u00ff", at: new Date(0), map: new Map([["a", {}]]), set: new Set([[], [1, [2]]]),
            })
        "#;
        let bytes = runtime.execute_script("test.js", script).unwrap();
        deno_core::scope!(scope, runtime);
        let bytes = v8::Local::<v8::Uint8Array>::try_from(v8::Local::new(scope, bytes)).unwrap();
        let mut copy = vec![0; bytes.byte_length()];
        bytes.copy_contents(&mut copy);
        assert!(element(&copy).is_some(), "{copy:?}");
    }

    #[test]
    fn numbers_have_a_variable_length() {
        for number in [0, 1, 127, 128, 300, 1 << 20] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, number);
            let mut rest = Rest(&bytes);
            assert_eq!((rest.varint(), rest.0.len()), (Some(number), 0));
        }
    }
}

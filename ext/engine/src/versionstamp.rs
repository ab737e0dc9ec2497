use std::fmt;
use std::str::FromStr;

/// The version of an entry: ten bytes, printed as twenty lowercase hexadecimal digits.
///
/// The first eight bytes count commits, big-endian, and the last two are zero. Every commit gives all it writes
/// one versionstamp, greater than any before it in the same database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versionstamp([u8; 10]);

impl Versionstamp {
    /// The versionstamp of the commit with this number.
    pub fn from_version(version: u64) -> Self {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&version.to_be_bytes());
        Self(bytes)
    }

    /// The versionstamp of these bytes. One that no commit gave equals that of no entry.
    pub fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// The ten bytes.
    pub fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// The twenty hexadecimal digits, as ASCII.
    pub fn to_hex(self) -> [u8; 20] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 20];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }
}

impl fmt::Display for Versionstamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is not a versionstamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a versionstamp is 20 hexadecimal digits")]
pub struct ParseVersionstampError;

impl FromStr for Versionstamp {
    type Err = ParseVersionstampError;

    /// Reads twenty hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 10];
        if text.len() != 20 {
            return Err(ParseVersionstampError);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |ascii: u8| char::from(ascii).to_digit(16).ok_or(ParseVersionstampError);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses() {
        let versionstamp = Versionstamp::from_version(0x1f2);
        assert_eq!(versionstamp.to_string(), "00000000000001f20000");
        assert_eq!(&versionstamp.to_hex(), b"00000000000001f20000");
        assert_eq!("00000000000001F20000".parse(), Ok(versionstamp));
    }

    #[test]
    fn rejects_other_texts() {
        for text in
            ["", "00000000000001f2", "00000000000001f2000g", "00000000000001f2000000", "\u{e9}0000000000001f200"]
        {
            assert_eq!(text.parse::<Versionstamp>(), Err(ParseVersionstampError), "{text}");
        }
    }

    #[test]
    fn orders_by_commit() {
        assert!(Versionstamp::from_version(255) < Versionstamp::from_version(256));
    }
}

use std::fmt;
use std::str::FromStr;

/// The version of an entry: ten bytes, printed as twenty lowercase hexadecimal digits.
///
/// The first eight bytes count commits, in big-endian order, and the last two are zero. All entries of a commit have the same
/// versionstamp, which is greater than all previous ones in the same database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versionstamp([u8; 10]);

impl Versionstamp {
    /// Returns the versionstamp of the commit with a version.
    pub fn from_version(version: u64) -> Self {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&version.to_be_bytes());
        Self(bytes)
    }

    /// Returns the version of its commit, rounded up if the last two bytes are not zero.
    pub fn to_version(self) -> u64 {
        let [version @ .., high, low] = self.0;
        u64::from_be_bytes(version).saturating_add(u64::from((high, low) != (0, 0)))
    }

    /// Returns a versionstamp with arbitrary bytes. Unless a commit has it, no entry does.
    pub fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// Returns the ten bytes.
    pub fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// Returns the twenty hexadecimal digits, as ASCII.
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

/// The error of a string that is not a versionstamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a versionstamp is 20 hexadecimal digits")]
pub struct ParseVersionstampError;

impl FromStr for Versionstamp {
    type Err = ParseVersionstampError;

    /// Parses twenty hexadecimal digits of either case.
    fn from_str(string: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 10];
        if string.len() != 20 {
            return Err(ParseVersionstampError);
        }
        for (byte, pair) in bytes.iter_mut().zip(string.as_bytes().chunks_exact(2)) {
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
    fn versionstamp_is_printed_and_parsed() {
        let versionstamp = Versionstamp::from_version(0x1f2);
        assert_eq!(versionstamp.to_string(), "00000000000001f20000");
        assert_eq!(&versionstamp.to_hex(), b"00000000000001f20000");
        assert_eq!("00000000000001F20000".parse(), Ok(versionstamp));
    }

    #[test]
    fn other_strings_are_rejected() {
        for string in
            ["", "00000000000001f2", "00000000000001f2000g", "00000000000001f2000000", "\u{e9}0000000000001f200"]
        {
            assert_eq!(string.parse::<Versionstamp>(), Err(ParseVersionstampError), "{string}");
        }
    }

    #[test]
    fn versionstamps_have_the_order_of_commits() {
        assert!(Versionstamp::from_version(255) < Versionstamp::from_version(256));
    }
}

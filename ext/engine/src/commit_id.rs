use std::fmt;
use std::str::FromStr;

use crate::Random;

/// The id of an [`AtomicWrite`](crate::AtomicWrite), with which it can be retried safely when its outcome is unknown: 16 random
/// bytes, displayed as 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub [u8; 16]);

impl CommitId {
    /// The minimum time for which a backend remembers an id, in milliseconds by its clock: ten minutes.
    pub const REMEMBERED: u64 = 10 * 60 * 1000;

    /// Draws a new id.
    pub fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The error of a string that is not a commit id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a commit id is 32 hexadecimal digits")]
pub struct ParseCommitIdError;

impl FromStr for CommitId {
    type Err = ParseCommitIdError;

    /// Parses 32 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten().ok_or(ParseCommitIdError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_displayed_and_parsed() {
        let id = CommitId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!("000102030405060708090A0b0c0d0eff".parse(), Ok(id));
    }

    #[test]
    fn other_strings_are_rejected() {
        for text in
            ["", "0001", "+00102030405060708090a0b0c0d0eff", "000102030405060708090a0b0c0d0efg", &"0".repeat(33)]
        {
            assert_eq!(text.parse::<CommitId>(), Err(ParseCommitIdError), "{text}");
        }
    }
}

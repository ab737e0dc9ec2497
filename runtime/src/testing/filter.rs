use std::str::FromStr;

use regex::Regex;

/// Selects tests by their names: those that contain a text, or match a regular expression between slashes.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Names that contain this text.
    Text(String),
    /// Names with a match of this expression.
    Pattern(Regex),
}

impl Filter {
    /// Returns whether a test of this name runs.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Text(text) => name.contains(text.as_str()),
            Self::Pattern(pattern) => pattern.is_match(name),
        }
    }
}

impl FromStr for Filter {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('/').and_then(|text| text.strip_suffix('/')) {
            Some(pattern) => Regex::new(pattern).map(Self::Pattern),
            None => Ok(Self::Text(text.into())),
        }
    }
}

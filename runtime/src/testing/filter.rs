use std::str::FromStr;

use regex::Regex;

/// Which tests run, by their names: those that contain a text, or, between slashes, match a regular expression.
#[derive(Clone, Debug)]
pub enum Filter {
    /// The name contains this.
    Text(String),
    /// The name matches this somewhere.
    Pattern(Regex),
}

impl Filter {
    /// Whether a test of this name runs.
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

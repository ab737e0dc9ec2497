//! The configuration file of `openkv db serve`: JSON, which editors and all languages support.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use deno_core::serde_json;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The contents of the file. Paths are relative to its directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Config {
    /// The address to listen on.
    pub addr: Option<String>,
    /// The locations of the databases by name.
    #[serde(deserialize_with = "unique_names")]
    pub databases: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "unique_names")]
    pub tokens: BTreeMap<String, Token>,
    pub tls: Option<Tls>,
    /// The address to serve metrics and health checks on.
    pub metrics: Option<String>,
    pub log_format: Option<LogFormat>,
}

/// The source of a token. The file itself does not contain tokens, as it may be under version control.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Token {
    /// The file that contains the token.
    pub file: Option<PathBuf>,
    /// The environment variable that contains the token.
    pub env: Option<String>,
    /// The databases that the token is for. By default, all.
    pub databases: Option<Vec<String>>,
    /// Whether the token grants only read access.
    #[serde(default)]
    pub read_only: bool,
}

/// The files of the certificate and its key, in PEM format.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").help("human-readable text"),
            Self::Json => PossibleValue::new("json").help("one JSON object per line"),
        })
    }
}

impl Config {
    /// Reads and validates a configuration.
    ///
    /// # Errors
    /// A message with the path and, for invalid JSON, the line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("invalid configuration {}: {error}", path.display());
        let text = std::fs::read(path).map_err(|error| failed(&error))?;
        let mut config: Self = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        if config.databases.is_empty() {
            return Err(failed(&"no databases are configured"));
        }
        for name in config.databases.keys() {
            check_name(name).map_err(|error| failed(&error))?;
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        config.databases.values_mut().filter(|location| crate::cli::db::locations::is_path(location)).for_each(
            |location| {
                *location = directory.join(&*location).to_string_lossy().into_owned();
            },
        );
        for (name, token) in &mut config.tokens {
            let unknown = token.databases.iter().flatten().find(|name| !config.databases.contains_key(*name));
            if let Some(unknown) = unknown {
                return Err(failed(&format!("token {name:?} is for database {unknown:?}, which is not configured")));
            }
            token.file = token.file.take().map(|file| directory.join(file));
        }
        if let Some(Tls { cert, key }) = &mut config.tls {
            (*cert, *key) = (directory.join(&*cert), directory.join(&*key));
        }
        Ok(config)
    }
}

/// Deserializes an object whose names must be unique: all but the last entry of a name would be ignored.
fn unique_names<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    struct Names<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Names<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut names = BTreeMap::new();
            while let Some(name) = entries.next_key::<String>()? {
                if names.contains_key(&name) {
                    return Err(A::Error::custom(format_args!("duplicate name {name:?}")));
                }
                names.insert(name, entries.next_value()?);
            }
            Ok(names)
        }
    }

    deserializer.deserialize_map(Names(PhantomData))
}

/// Checks the name of a database, which is part of its URL.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "invalid database name {name:?}: use letters, digits, '-', '_' and '.', starting with a letter or digit"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("serve.json");
        std::fs::write(&path, text).unwrap();
        let start = format!("invalid configuration {}: ", path.display());
        let prefix = format!("{}/", directory.path().display());
        let config = Config::read(&path).map_err(|error| error.replace(&start, ""))?;
        let databases = config.databases.into_iter().map(|(name, location)| (name, location.replace(&prefix, "DIR/")));
        Ok(Config { databases: databases.collect(), ..config })
    }

    #[test]
    fn paths_are_relative_to_the_directory_of_the_file() {
        let config = read(
            r#"{
                "databases": { "main": "main.sqlite3", "cache": ":memory:", "other": "/srv/kv.sqlite3" },
                "tokens": { "web": { "file": "web.token", "databases": ["main"], "readOnly": true } }
            }"#,
        )
        .unwrap();
        let locations: Vec<_> = config.databases.values().map(String::as_str).collect();
        assert_eq!(locations, [":memory:", "DIR/main.sqlite3", "/srv/kv.sqlite3"]);
        let web = &config.tokens["web"];
        assert!(web.read_only && web.file.as_ref().is_some_and(|file| file.is_absolute()));
    }

    #[test]
    fn errors_include_the_line() {
        let errors = [
            ("{\n  \"databases\": {},\n  \"addres\": \"\"\n}", "unknown field `addres`, expected one of"),
            ("{\n  \"databases\": 1\n}", "at line 2 column"),
            ("{\n  \"databases\": {}\n}", "no databases are configured"),
            ("{ \"databases\": {\n\"a\": \"1.sqlite3\",\n\"a\": \"2.sqlite3\" } }", "duplicate name \"a\" at line 3"),
            (r#"{ "databases": { "a": ":memory:" }, "tokens": { "web": {}, "web": {} } }"#, "duplicate name \"web\""),
            ("{ \"databases\": { \"a/b\": \":memory:\" } }", "invalid database name \"a/b\": use letters"),
            (
                r#"{ "databases": { "a": ":memory:" }, "tokens": { "web": { "databases": ["b"] } } }"#,
                "token \"web\" is for database \"b\", which is not configured",
            ),
        ];
        for (text, error) in errors {
            let found = read(text).unwrap_err();
            assert!(found.contains(error), "{text}\n{found}");
        }
        assert!(read("{\n  \"addres\": 1\n}").unwrap_err().contains("line 2"));
    }
}

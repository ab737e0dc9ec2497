//! The configuration file of `openkv db serve`: JSON, so that an editor and every language can write it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use deno_core::serde_json;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What the file says. Paths in it start from its directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Config {
    /// The address to listen on.
    pub addr: Option<String>,
    /// Where the databases are, by the names that their URLs end with.
    #[serde(deserialize_with = "unique_names")]
    pub databases: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "unique_names")]
    pub tokens: BTreeMap<String, Token>,
    pub tls: Option<Tls>,
    /// The address to serve metrics and the health of the server on.
    pub metrics: Option<String>,
    pub log_format: Option<LogFormat>,
}

/// A token, by its name. It is no part of the file, which may be under version control.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Token {
    /// The file that holds it.
    pub file: Option<PathBuf>,
    /// The variable of the environment that holds it.
    pub env: Option<String>,
    /// Which databases it is for. All, unless they are named.
    pub databases: Option<Vec<String>>,
    /// Whether it may only read.
    #[serde(default)]
    pub read_only: bool,
}

/// The certificate of the server, and its key: files in the PEM format.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What the lines of the log look like.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").help("for people"),
            Self::Json => PossibleValue::new("json").help("an object a line"),
        })
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the configuration {}: {error}", path.display());
        let text = std::fs::read(path).map_err(|error| failed(&error))?;
        let mut config: Self = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        if config.databases.is_empty() {
            return Err(failed(&"it names no databases"));
        }
        for name in config.databases.keys() {
            check_name(name).map_err(|error| failed(&error))?;
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        config.databases.values_mut().filter(|place| super::places::is_path(place)).for_each(|place| {
            *place = directory.join(&*place).to_string_lossy().into_owned();
        });
        for (name, token) in &mut config.tokens {
            let unknown = token.databases.iter().flatten().find(|name| !config.databases.contains_key(*name));
            if let Some(unknown) = unknown {
                return Err(failed(&format!(
                    "the token {name:?} is for {unknown:?}, which is not among the databases"
                )));
            }
            token.file = token.file.take().map(|file| directory.join(file));
        }
        if let Some(Tls { cert, key }) = &mut config.tls {
            (*cert, *key) = (directory.join(&*cert), directory.join(&*key));
        }
        Ok(config)
    }
}

/// Reads an object, in which a name must not stand twice: all but the last would be ignored.
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
                    return Err(A::Error::custom(format_args!("the name {name:?} stands there twice")));
                }
                names.insert(name, entries.next_value()?);
            }
            Ok(names)
        }
    }

    deserializer.deserialize_map(Names(PhantomData))
}

/// Checks the name of a database, which is a part of its URL.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "the name {name:?} of a database has other characters than letters, digits, '-', '_' and '.', or does not begin with a \
         letter or a digit"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("serve.json");
        std::fs::write(&path, text).unwrap();
        let place = format!("the configuration {}: ", path.display());
        let prefix = format!("{}/", directory.path().display());
        let config = Config::read(&path).map_err(|error| error.replace(&place, ""))?;
        let databases = config.databases.into_iter().map(|(name, place)| (name, place.replace(&prefix, "DIR/")));
        Ok(Config { databases: databases.collect(), ..config })
    }

    #[test]
    fn paths_start_from_the_directory_of_the_file() {
        let config = read(
            r#"{
                "databases": { "main": "main.sqlite3", "cache": ":memory:", "other": "/srv/kv.sqlite3" },
                "tokens": { "web": { "file": "web.token", "databases": ["main"], "readOnly": true } }
            }"#,
        )
        .unwrap();
        let places: Vec<_> = config.databases.values().map(String::as_str).collect();
        assert_eq!(places, [":memory:", "DIR/main.sqlite3", "/srv/kv.sqlite3"]);
        let web = &config.tokens["web"];
        assert!(web.read_only && web.file.as_ref().is_some_and(|file| file.is_absolute()));
    }

    #[test]
    fn mistakes_are_named_with_their_lines() {
        let errors = [
            ("{\n  \"databases\": {},\n  \"addres\": \"\"\n}", "unknown field `addres`, expected one of"),
            ("{\n  \"databases\": 1\n}", "at line 2 column"),
            ("{\n  \"databases\": {}\n}", "it names no databases"),
            (
                "{ \"databases\": {\n\"a\": \"1.sqlite3\",\n\"a\": \"2.sqlite3\" } }",
                "the name \"a\" stands there twice at line 3",
            ),
            (
                r#"{ "databases": { "a": ":memory:" }, "tokens": { "web": {}, "web": {} } }"#,
                "the name \"web\" stands there twice",
            ),
            ("{ \"databases\": { \"a/b\": \":memory:\" } }", "the name \"a/b\" of a database has other characters"),
            (
                r#"{ "databases": { "a": ":memory:" }, "tokens": { "web": { "databases": ["b"] } } }"#,
                "the token \"web\" is for \"b\", which is not among the databases",
            ),
        ];
        for (text, error) in errors {
            let found = read(text).unwrap_err();
            assert!(found.contains(error), "{text}\n{found}");
        }
        assert!(read("{\n  \"addres\": 1\n}").unwrap_err().contains("line 2"));
    }
}

//! URIs of databases, which Deno supports like SQLite: `file:PATH?PARAMETERS`.

use openkv_engine::sqlite::Location;
use percent_encoding::percent_decode_str;

use crate::error::KvError;

/// The database that a URI names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A file, by its path. Permissions must be checked.
    File(String),
    /// A database in memory.
    Memory(Location),
}

/// Parses a path that is a URI. Returns `None` for any other path.
pub(crate) fn parse(path: &str) -> Option<Result<Named, KvError>> {
    let rest = path.strip_prefix("file:")?;
    Some(named(rest).map_err(|problem| KvError::Uri { uri: path.to_owned(), problem }))
}

fn named(rest: &str) -> Result<Named, &'static str> {
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix("//") {
        None => path,
        Some(path) => {
            let (host, _) = path.split_at(path.find('/').unwrap_or(path.len()));
            match host {
                "" | "localhost" => &path[host.len()..],
                _ => return Err("it names another host"),
            }
        }
    };
    let decode = |encoded: &str| match percent_decode_str(encoded).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err("it is not UTF-8"),
    };
    let path = decode(path)?;
    let (mut in_memory, mut is_shared) = (path == ":memory:", false);
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        match &*decode(parameter)? {
            "mode=memory" => in_memory = true,
            "mode=rwc" => {}
            "cache=shared" => is_shared = true,
            "cache=private" => is_shared = false,
            _ => return Err("only the parameters mode=memory, mode=rwc, cache=shared and cache=private are supported"),
        }
    }
    match (in_memory, is_shared) {
        (true, true) => Ok(Named::Memory(Location::SharedMemory(path))),
        (true, false) => Ok(Named::Memory(Location::Memory)),
        (false, _) if path.is_empty() => Err("it does not name a file"),
        // `cache` has no effect: all databases on one file share its writer anyway.
        (false, _) => Ok(Named::File(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_has_the_meaning_of_sqlite() {
        let shared = |name: &str| Named::Memory(Location::SharedMemory(name.into()));
        let file = |path: &str| Named::File(path.into());
        for (uri, expected) in [
            ("file:a/b.db", file("a/b.db")),
            ("file:/a/b.db", file("/a/b.db")),
            ("file:///a/b.db", file("/a/b.db")),
            ("file://localhost/a/b.db", file("/a/b.db")),
            ("file:a%20b%3f.db", file("a b?.db")),
            ("file:a.db?cache=shared&mode=rwc#fragment", file("a.db")),
            ("file::memory:", Named::Memory(Location::Memory)),
            ("file::memory:?cache=shared", shared(":memory:")),
            ("file:name?mode=memory&cache=shared", shared("name")),
            ("file:name?mode=memory", Named::Memory(Location::Memory)),
        ] {
            assert_eq!(parse(uri).unwrap().unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn unsupported_uri_is_rejected() {
        for uri in ["file:", "file://", "file://host/a.db", "file:a.db?mode=ro", "file:a.db?immutable=1", "file:%ff"] {
            let error = parse(uri).unwrap().unwrap_err().to_string();
            assert!(error.starts_with(&format!("unable to open database file: {uri}: ")), "{error}");
        }
        for path in ["a.db", "./file:a.db", "FILE:a.db", "/file:a.db"] {
            assert!(parse(path).is_none(), "{path}");
        }
    }
}

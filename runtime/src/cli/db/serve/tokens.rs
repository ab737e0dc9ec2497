//! The tokens of `openkv db serve`: from flags, files and the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::config;

/// The environment variable with a token for all databases, as for the `denokv` server.
pub(super) const VARIABLE: &str = "DENO_KV_ACCESS_TOKEN";

/// The minimum length of a token in bytes, as for the `denokv` server.
const MIN_LEN: usize = 12;

/// A token and its access. The secret is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub name: String,
    pub secret: String,
    /// `None` for all databases.
    pub databases: Option<Vec<String>>,
    pub read_only: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, databases, read_only, secret: _ } = self;
        f.debug_struct("Token")
            .field("name", name)
            .field("databases", databases)
            .field("read_only", read_only)
            .finish_non_exhaustive()
    }
}

/// The flags for tokens.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// `NAME=TOKEN`.
    pub tokens: Vec<String>,
    /// `NAME=FILE`.
    pub files: Vec<String>,
    /// The names of tokens that grant only read access.
    pub read_only: Vec<String>,
}

/// Collects the tokens of the configuration, the flags and the environment.
///
/// # Errors
/// A token cannot be read, is too short, or has the name or the secret of another one.
pub(super) fn collect(
    configured: BTreeMap<String, config::Token>,
    flags: &Flags,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    for (name, config::Token { file, env, databases, read_only }) in configured {
        let secret = match (file, env) {
            (Some(file), None) => read(&name, &file)?,
            (None, Some(variable)) => environment(&variable)
                .ok_or_else(|| format!("token {name:?}: the environment variable {variable} is not set"))?,
            _ => return Err(format!("token {name:?} needs either \"file\" or \"env\" as its source")),
        };
        tokens.push(Token { name, secret, databases, read_only });
    }
    let for_all = |name: &str, secret| Token { name: name.to_owned(), secret, databases: None, read_only: false };
    for flag in &flags.tokens {
        let (name, secret) = pair("--token", flag)?;
        tokens.push(for_all(name, secret.to_owned()));
    }
    for flag in &flags.files {
        let (name, file) = pair("--token-file", flag)?;
        tokens.push(for_all(name, read(name, &PathBuf::from(file))?));
    }
    if let Some(secret) = environment(VARIABLE).filter(|secret| !secret.is_empty()) {
        tokens.push(for_all(VARIABLE, secret));
    }
    for name in &flags.read_only {
        let token = tokens.iter_mut().find(|token| token.name == *name);
        token.ok_or_else(|| format!("--read-only: no such token: {name:?}"))?.read_only = true;
    }
    for (i, Token { name, secret, .. }) in tokens.iter().enumerate() {
        if secret.len() < MIN_LEN {
            return Err(format!(
                "token {name:?} is shorter than {MIN_LEN} bytes: create one with `openssl rand -hex 16`"
            ));
        }
        if tokens[..i].iter().any(|token| token.name == *name) {
            return Err(format!("two tokens have the name {name:?}"));
        }
        if tokens[..i].iter().any(|token| token.secret == *secret) {
            return Err(format!(
                "token {name:?} has the same secret as another one, so its access would be ambiguous: use different secrets"
            ));
        }
    }
    Ok(tokens)
}

/// Splits `NAME=VALUE`.
fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), String> {
    // The message omits the argument, which may be a secret without a name.
    text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| format!("{flag} takes NAME=VALUE"))
}

/// Reads a file with a token, without surrounding white space such as the end of the line.
fn read(name: &str, file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| format!("token {name:?}: failed to read {}: {error}", file.display()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn flags(tokens: &[&str], read_only: &[&str]) -> Flags {
        let owned = |strings: &[&str]| strings.iter().map(|string| (*string).to_owned()).collect();
        Flags { tokens: owned(tokens), files: Vec::new(), read_only: owned(read_only) }
    }

    #[test]
    fn tokens_are_collected_from_all_sources() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "from-the-file\n").unwrap();
        let configured = config::Token {
            file: None,
            env: Some("WEB".into()),
            databases: Some(vec!["main".into()]),
            read_only: true,
        };
        let mut flags = flags(&["a=from-the-flag"], &["a"]);
        flags.files.push(format!("b={}", file.display()));
        let environment = |name: &str| match name {
            "WEB" => Some("from-the-config".to_owned()),
            VARIABLE => Some("from-the-variable".to_owned()),
            _ => None,
        };
        let tokens = collect([("web".into(), configured)].into(), &flags, environment).unwrap();
        let seen: Vec<_> = tokens
            .iter()
            .map(|token| (&*token.name, &*token.secret, token.databases.is_some(), token.read_only))
            .collect();
        let expected = [
            ("web", "from-the-config", true, true),
            ("a", "from-the-flag", false, true),
            ("b", "from-the-file", false, false),
            (VARIABLE, "from-the-variable", false, false),
        ];
        assert_eq!(seen, expected);
        assert!(!format!("{tokens:?}").contains("from-the"));
    }

    #[test]
    fn errors_do_not_contain_secrets() {
        let error = |tokens: &[&str], read_only: &[&str]| {
            collect(BTreeMap::new(), &flags(tokens, read_only), |_| None).unwrap_err()
        };
        assert_eq!(error(&[SECRET], &[]), "--token takes NAME=VALUE");
        assert!(error(&["a=short"], &[]).starts_with("token \"a\" is shorter than 12 bytes"));
        let same = format!("a={SECRET}");
        assert_eq!(error(&[&same, "a=another-secret"], &[]), "two tokens have the name \"a\"");
        assert!(
            error(&[&same, &format!("b={SECRET}")], &[]).starts_with("token \"b\" has the same secret as another one")
        );
        assert_eq!(error(&[&same], &["b"]), "--read-only: no such token: \"b\"");
    }
}

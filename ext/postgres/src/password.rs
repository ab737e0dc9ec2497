//! Passwords that are not in the URL: from the environment, or from a password file in the format of libpq.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use crate::address::{Address, Host};

/// What completes an [`Address`]: by default, the same variables of the environment and the same file as in libpq.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// The user, if the URL has none: `PGUSER`, or the name of the user who runs the program.
    pub user: Option<String>,
    /// The password, if the URL has none: `PGPASSWORD`.
    pub password: Option<String>,
    /// The file with passwords, used if there is no other: `PGPASSFILE`, or `.pgpass` in the home directory.
    pub password_file: Option<PathBuf>,
}

impl Environment {
    /// The variables that [`Environment::of_process`] reads.
    pub const VARIABLES: [&str; 6] = ["PGUSER", "USER", "LOGNAME", "PGPASSWORD", "PGPASSFILE", "HOME"];

    /// Reads the environment of the process.
    pub fn of_process() -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
        Self {
            user: variable("PGUSER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME")),
            password: variable("PGPASSWORD"),
            password_file: env::var_os("PGPASSFILE").map(PathBuf::from).or_else(home),
        }
    }

    /// Returns the user of an address.
    pub(crate) fn user<'a>(&'a self, address: &'a Address) -> &'a str {
        address.user.as_deref().or(self.user.as_deref()).unwrap_or("postgres")
    }

    /// Returns the password for a host. Reads the file with each call, so that a new password needs no restart.
    pub(crate) fn password(&self, address: &Address, host: &Host) -> Option<String> {
        if let Some(password) = address.password.as_ref().or(self.password.as_ref()) {
            return Some(password.clone());
        }
        let path = self.password_file.as_deref()?;
        match read_private(path) {
            Ok(text) => {
                let user = self.user(address);
                let name = if host.is_socket() { "localhost" } else { &host.name };
                find(&text, [name, &host.port.to_string(), address.database.as_deref().unwrap_or(user), user])
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the password file is ignored");
                None
            }
        }
    }
}

/// Reads a file that only its owner may access.
fn read_private(path: &Path) -> io::Result<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::other("others may access it: its permissions must be 0600"));
        }
    }
    fs::read_to_string(path)
}

/// Returns the password of the first line whose fields match host, port, database and user.
fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let matches = |(field, wanted): (&String, &str)| field == "*" || field == wanted;
        (fields.len() == 5 && fields.iter().zip(wanted).all(matches)).then(|| fields[4].clone())
    })
}

/// Splits a line at its colons. A backslash makes the next character part of the field. The password is the rest of the line.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let next = if character == '\\' { characters.next() } else { Some(character) };
        if character == ':' && fields.len() < 5 {
            fields.push(String::new());
        } else if let (Some(field), Some(next)) = (fields.last_mut(), next) {
            field.push(next);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# comment\nhost1:5432:db:user:one\nhost\\:2:*:*:user:t\\:w:o\\\\\n*:*:db3:*:three\nincomplete\n";

    #[test]
    fn first_matching_line_has_the_password() {
        for (wanted, password) in [
            (["host1", "5432", "db", "user"], Some("one")),
            (["host:2", "1", "any", "user"], Some("t:w:o\\")),
            (["host1", "5433", "db3", "other"], Some("three")),
            (["host1", "5432", "db", "other"], None),
        ] {
            assert_eq!(find(FILE, wanted).as_deref(), password, "{wanted:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn file_that_others_may_read_is_ignored() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        fs::write(&path, "*:*:*:*:secret").unwrap();
        let environment = Environment { password_file: Some(path.clone()), ..Environment::default() };
        let address = Address::parse("postgres://user@host/db").unwrap();
        let password = || environment.password(&address, &address.hosts()[0]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(password(), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password().as_deref(), Some("secret"));
        let given = Environment { password: Some("given".into()), ..environment.clone() };
        assert_eq!(given.password(&address, &address.hosts()[0]).as_deref(), Some("given"));
    }
}

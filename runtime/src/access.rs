use std::borrow::Cow;
use std::path::{Path, PathBuf};

use deno_core::OpState;
use deno_permissions::{OpenAccessKind, PermissionCheckError, PermissionsContainer};

/// The API name in permission prompts.
const API: &str = "Deno.openKv";

/// Checks what a script may use to open the URL of a database.
pub struct Access<'a>(&'a mut PermissionsContainer);

impl<'a> Access<'a> {
    /// Returns the access of the script that calls an op.
    pub fn of(state: &'a mut OpState) -> Self {
        Self(state.borrow_mut())
    }

    /// Checks the connection to a port of a host.
    pub fn host(&mut self, name: &str, port: u16) -> Result<(), PermissionCheckError> {
        self.0.check_net(&(name, Some(port)), API)
    }

    /// Checks the connection to a Unix domain socket.
    #[cfg(feature = "postgres")]
    pub fn socket(&mut self, path: &Path) -> Result<(), PermissionCheckError> {
        self.0.check_net_unix_socket(path, Some(API)).map(drop)
    }

    /// Checks each of the environment variables.
    pub fn variables(&mut self, names: &[&str]) -> Result<(), PermissionCheckError> {
        names.iter().try_for_each(|name| self.0.check_env(name).map(drop))
    }

    /// Checks that a file may be read. Returns the path to read.
    pub fn file(&mut self, path: &Path) -> Result<PathBuf, PermissionCheckError> {
        let permitted = self.0.check_open(Cow::Borrowed(path), OpenAccessKind::Read, Some(API))?;
        Ok(permitted.to_path_buf())
    }
}

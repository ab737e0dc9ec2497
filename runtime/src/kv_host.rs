use std::borrow::Cow;
use std::env;
use std::path::{Path, PathBuf};

use crate::modules::Project;
use deno_core::OpState;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_permissions::{OpenAccessKind, PermissionsContainer};
use openkv_engine::sqlite::Location;
use openkv_ext::{Host, Place, is_remote};
use sha2::{Digest, Sha256};

/// Whose database `Deno.openKv()` opens: the script's, or that of all scripts with one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageKey(String);

impl StorageKey {
    /// The key of a script without a location: the URL of its main module.
    pub fn of_main_module(url: &Url) -> Self {
        Self(url.to_string())
    }

    /// The key of all scripts of a project: the URL of its configuration file.
    pub fn of_project(project: &Project) -> Self {
        Self(project.url.to_string())
    }

    /// The key of all scripts that run with a location of the same origin.
    pub fn of_location(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }
}

/// Tells the KV extension where databases live, and who may open them: by the same rules as the reference, so that both
/// open the same files.
pub struct KvHost {
    storage_key: StorageKey,
}

impl KvHost {
    /// A host for scripts with a storage key.
    pub fn new(storage_key: StorageKey) -> Self {
        Self { storage_key }
    }

    /// The file of the database that is opened without a path. Its folder is created.
    fn default_file(&self) -> Result<PathBuf, JsErrorBox> {
        let folder = cache_folder()?.join("location_data").join(hex(&Sha256::digest(&self.storage_key.0)));
        std::fs::create_dir_all(&folder).map_err(|error| {
            JsErrorBox::generic(format!("unable to create the folder of the default database, {folder:?}: {error}"))
        })?;
        Ok(folder.join("kv.sqlite3"))
    }
}

impl Host for KvHost {
    fn locate(&self, _state: &mut OpState, path: Option<String>) -> Result<Place, JsErrorBox> {
        let path = path.or_else(|| env::var("DENO_KV_DEFAULT_PATH").ok().filter(|path| !path.is_empty()));
        let path = match (path, env::var("DENO_KV_PATH_PREFIX")) {
            (Some(path), Ok(prefix)) => Some(prefix + path.as_str()),
            (path, _) => path,
        };
        match (path, env::var("DENO_KV_DB_MODE").as_deref()) {
            (path, Ok("memory")) if path.as_deref().is_none_or(|path| !is_remote(path)) => {
                Ok(Place::Trusted(Location::Memory))
            }
            (Some(path), _) => Ok(Place::Path(path)),
            (None, _) => Ok(Place::Trusted(Location::File { path: self.default_file()?, follow_links: true })),
        }
    }

    fn check_path(&self, state: &mut OpState, path: &Path) -> Result<PathBuf, JsErrorBox> {
        let permissions = state.borrow::<PermissionsContainer>();
        let checked = permissions
            .check_open(Cow::Borrowed(path), OpenAccessKind::ReadWriteNoFollow, Some("Deno.openKv"))
            .map_err(JsErrorBox::from_err)?;
        Ok(checked.to_path_buf())
    }
}

/// `DENO_DIR`, or the folder that it defaults to.
pub(crate) fn cache_folder() -> Result<PathBuf, JsErrorBox> {
    let folder = match env::var_os("DENO_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(PathBuf::from(folder)),
        None => dirs::cache_dir().map(|folder| folder.join("deno")),
    };
    let folder = folder.ok_or_else(|| {
        JsErrorBox::generic("there is no cache folder for the default database: set HOME or DENO_DIR, or open a path")
    })?;
    std::path::absolute(&folder).map_err(|error| JsErrorBox::generic(format!("{folder:?} is no folder: {error}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

use std::env;
use std::path::PathBuf;

use crate::modules::Project;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use openkv_engine::sqlite::Location;
use openkv_ext::{Place, default_file, file_of_key, is_remote};

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

/// Where databases live, and who may open them: by the same rules as the reference, so that both open the same files.
pub fn kv_options(storage_key: StorageKey) -> openkv_ext::Options {
    openkv_ext::Options::locate(move |_, path| locate(&storage_key, path)).permissions(openkv_ext::permissions::deno)
}

fn locate(storage_key: &StorageKey, path: Option<String>) -> Result<Place, JsErrorBox> {
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
        (None, _) => {
            let file = file_of_key(&cache_folder()?.join("location_data"), &storage_key.0);
            default_file(file).map(Place::Trusted)
        }
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

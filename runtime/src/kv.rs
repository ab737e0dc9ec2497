use std::env;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
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
///
/// The directory of default databases is that of the first call in a process, whatever scripts change in their environment.
/// `DENO_KV_DEFAULT_PATH`, `DENO_KV_PATH_PREFIX` and `DENO_KV_DB_MODE` are read at each call of `Deno.openKv`, as on Deno: the
/// permissions apply to what they name.
pub fn kv_options(storage_key: StorageKey) -> openkv_ext::Options {
    Environment::at_start();
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
            let file = file_of_key(&cache_directory()?.join("location_data"), &storage_key.0);
            default_file(file).map(Place::Trusted)
        }
    }
}

/// Returns the directory that holds the default databases.
fn cache_directory() -> Result<&'static Path, JsErrorBox> {
    let directory = Environment::at_start().cache_directory.as_ref();
    directory.map(PathBuf::as_path).map_err(|message| JsErrorBox::generic(message.clone()))
}

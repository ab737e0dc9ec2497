use std::env;
use std::path::{Path, PathBuf};

use crate::certificates::Certificates;
use crate::environment::Environment;
use crate::extensions::worker::WorkerScope;
use crate::modules::Project;
use deno_core::OpState;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use openkv_engine::sqlite::Location;
use openkv_ext::{Target, default_file, file_of_key, is_remote};

/// Identifies the default database of `Deno.openKv()`, which may be shared by several scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageKey(String);

impl StorageKey {
    /// Returns the key of a script without a location: the URL of its main module.
    pub fn of_main_module(url: &Url) -> Self {
        Self(url.to_string())
    }

    /// Returns the key of all scripts of a project: the URL of its configuration file, if it has one.
    pub fn of_project(project: &Project) -> Option<Self> {
        project.url.as_ref().map(|url| Self(url.to_string()))
    }

    /// Returns the key of all scripts whose location has the same origin.
    pub fn of_location(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }
}

/// Returns options that locate databases, and check permissions, by the same rules as Deno, so that both open the same files.
///
/// The directory of default databases is determined by the first call in a process, so that scripts cannot change it.
/// `DENO_KV_DEFAULT_PATH`, `DENO_KV_PATH_PREFIX` and `DENO_KV_DB_MODE` are read by each `Deno.openKv`, as on Deno: permissions are
/// checked for the resulting path.
///
/// With the features `connect`, `etcd` and `postgres`, URLs of servers are opened; connections over TLS trust the certificates.
pub fn kv_options(storage_key: StorageKey, certificates: &Certificates) -> openkv_ext::Options {
    Environment::at_start();
    #[cfg(feature = "fake")]
    if let Some(options) = crate::fake::options() {
        return options;
    }
    // Read once, so that scripts cannot change the requirement.
    let requirement = env::var("DENO_KV_REQUIRES_DISTRIBUTED_DATABASE").unwrap_or_default();
    let target = move |state: &mut OpState, path| {
        let path = with_defaults(path);
        require_distributed(&requirement, path.as_deref())?;
        resolve(state, &storage_key, path)
    };
    let options = openkv_ext::Options::resolve(target).permissions(openkv_ext::permissions::deno);
    with_servers(options, certificates)
}

#[cfg_attr(
    not(any(feature = "connect", feature = "etcd", feature = "postgres")),
    expect(unused_variables, reason = "nothing connects")
)]
fn with_servers(options: openkv_ext::Options, certificates: &Certificates) -> openkv_ext::Options {
    #[cfg(feature = "connect")]
    let options = options.connector(crate::remote::connector(certificates.clone()));
    #[cfg(feature = "etcd")]
    let options = options.connector(crate::etcd::connector(certificates.clone()));
    #[cfg(feature = "postgres")]
    let options = options.connector(crate::postgres::connector(certificates.clone()));
    options
}

/// Returns the directory of the default database and of `localStorage`, or `None` if the system has no directory for caches.
pub fn storage_directory(storage_key: &StorageKey) -> Option<PathBuf> {
    let file = file_of_key(&cache_directory().ok()?.join("location_data"), &storage_key.0);
    file.parent().map(Into::into)
}

/// Rejects a local database, or warns of it, as `DENO_KV_REQUIRES_DISTRIBUTED_DATABASE` requires.
fn require_distributed(requirement: &str, path: Option<&str>) -> Result<(), JsErrorBox> {
    let is_local = path.is_none_or(|path| !is_remote(path));
    match requirement {
        "error" if is_local => Err(JsErrorBox::type_error(
            "Deno.openKv() failed: DENO_KV_REQUIRES_DISTRIBUTED_DATABASE=error requires a remote database: give the URL of \
             one, or unset it to open a local one",
        )),
        "warn" if is_local => {
            let warning = deno_terminal::colors::yellow("Warning");
            eprintln!(
                "{warning} Deno.openKv() opens a local database: DENO_KV_REQUIRES_DISTRIBUTED_DATABASE is \"warn\""
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Applies the environment variables for paths. Returns the path to open, or `None` for the default database.
fn with_defaults(path: Option<String>) -> Option<String> {
    let path = path.or_else(|| env::var("DENO_KV_DEFAULT_PATH").ok().filter(|path| !path.is_empty()));
    match (path, env::var("DENO_KV_PATH_PREFIX")) {
        (Some(path), Ok(prefix)) => Some(prefix + path.as_str()),
        (path, _) => path,
    }
}

fn resolve(state: &OpState, storage_key: &StorageKey, path: Option<String>) -> Result<Target, JsErrorBox> {
    match (path, env::var("DENO_KV_DB_MODE").as_deref()) {
        (path, Ok("memory")) if path.as_deref().is_none_or(|path| !is_remote(path)) => {
            Ok(Target::Trusted(Location::Memory))
        }
        (Some(path), _) => Ok(Target::Path(path)),
        // As in Deno: a worker's own, which no other isolate sees.
        (None, _) if state.has::<WorkerScope>() => Ok(Target::Trusted(Location::Memory)),
        (None, _) => {
            let file = file_of_key(&cache_directory()?.join("location_data"), &storage_key.0);
            default_file(file).map(Target::Trusted)
        }
    }
}

/// Returns the directory that holds the default databases.
fn cache_directory() -> Result<&'static Path, JsErrorBox> {
    let directory = Environment::at_start().cache_directory.as_ref();
    directory.map(PathBuf::as_path).map_err(|message| JsErrorBox::generic(message.clone()))
}

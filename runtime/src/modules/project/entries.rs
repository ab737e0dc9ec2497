//! The entries of a configuration file that Deno's crates do not read.

use deno_config::deno_json::ConfigFile;
use deno_core::serde_json::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use crate::unstable::{Support, support};

/// The entry `test`: the configuration of `openkv test`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TestEntry {
    /// The files and directories to search for tests, if the command line gives none.
    pub include: Option<Vec<String>>,
    /// The files and directories to leave out.
    pub exclude: Vec<String>,
    /// The permissions of the tests, which [`Project::test_permissions`](super::Project::test_permissions) reads.
    pub permissions: Option<Value>,
    /// Whether a test fails if it leaves asynchronous operations or timers pending.
    pub sanitize_ops: bool,
    /// Whether a test fails if it leaves files, sockets or databases open.
    pub sanitize_resources: bool,
}

/// Rejects unstable features that change the behaviour of scripts and are not supported.
pub(super) fn check_supported(config: &ConfigFile) -> Result<(), Error> {
    let unsupported = config.json.unstable.iter().find_map(|name| match support(name) {
        Some(Support::Unsupported(reason)) => Some((format!("unstable: {name}"), reason)),
        _ => None,
    });
    match unsupported {
        Some((entry, reason)) => Err(Error::Unsupported { file: config.specifier.clone().into(), entry, reason }),
        None => Ok(()),
    }
}

/// Reads an entry. Returns the default if it is missing.
pub(super) fn read<T: Default + DeserializeOwned>(
    config: &ConfigFile,
    entry: &'static str,
    value: &Option<Value>,
) -> Result<T, Error> {
    match value {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => T::deserialize(value).map_err(|error| Error::Entry {
            file: config.specifier.clone().into(),
            entry,
            message: error.to_string(),
        }),
    }
}

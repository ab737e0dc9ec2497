//! The entries of a configuration file that Deno's library does not read for us.

use deno_config::deno_json::ConfigFile;
use deno_core::serde_json::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use crate::unstable::{Support, support};

/// How the tests of a project are found and run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TestEntry {
    /// Where modules are looked for, if the command line does not say.
    pub include: Option<Vec<String>>,
    /// What is left out.
    pub exclude: Vec<String>,
    /// What the tests may do. Only `--permission-set` applies it.
    pub permissions: Option<Value>,
    /// Whether a test fails that leaves asynchronous operations or timers.
    pub sanitize_ops: bool,
    /// Whether a test fails that leaves files, sockets or databases open.
    pub sanitize_resources: bool,
}

/// Refuses features that would change what a script does, and cannot be honoured.
pub(super) fn check_supported(config: &ConfigFile) -> Result<(), Error> {
    let refused = config.json.unstable.iter().find_map(|name| match support(name) {
        Some(Support::Refused(reason)) => Some((format!("unstable: {name}"), reason)),
        _ => None,
    });
    match refused {
        Some((entry, reason)) => Err(Error::Unsupported { file: config.specifier.clone().into(), entry, reason }),
        None => Ok(()),
    }
}

/// Reads an entry, which may be absent.
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

//! The entries of a configuration file that Deno's library does not read for us.

use deno_config::deno_json::ConfigFile;
use deno_core::serde_json::{Map, Value};
use openkv_js::transpile::{CompilerOptions, Decorators, Jsx};
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

/// The compiler options that change what runs.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CompilerOptionsEntry {
    emit_decorator_metadata: bool,
    experimental_decorators: bool,
    jsx: Option<String>,
    jsx_factory: Option<String>,
    jsx_fragment_factory: Option<String>,
    jsx_import_source: Option<String>,
    jsx_precompile_skip_elements: Option<Vec<String>>,
    verbatim_module_syntax: bool,
}

/// Refuses entries that would change what a script does, and cannot be honoured.
pub(super) fn check_supported(config: &ConfigFile) -> Result<(), Error> {
    let json = &config.json;
    let is_set = |value: &Option<Value>| match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    };
    let features = json.unstable.iter().filter_map(|name| match support(name) {
        Some(Support::Refused(reason)) => Some((format!("unstable: {name}"), reason)),
        _ => None,
    });
    let entries = [
        ("links", is_set(&json.links), "packages are not replaced by local ones: map them with \"imports\""),
        (
            "minimumDependencyAge",
            is_set(&json.minimum_dependency_age),
            "versions of packages are not chosen by their age: pin them with \"lock\"",
        ),
        ("vendor", json.vendor == Some(true), "remote modules are kept in the cache only"),
    ];
    let entries = entries.into_iter().filter(|(_, is_set, _)| *is_set);
    let mut refused = entries.map(|(entry, _, reason)| (entry.to_owned(), reason)).chain(features);
    match refused.next() {
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
        Some(value) => T::deserialize(value).map_err(|error| invalid(config, entry, error.to_string())),
    }
}

/// Reads the compiler options of configuration files, of which the later ones win.
pub(super) fn compiler_options(configs: &[&ConfigFile]) -> Result<CompilerOptions, Error> {
    const ENTRY: &str = "compilerOptions";
    let mut merged = Map::new();
    let mut options = CompilerOptions::default();
    for config in configs {
        merged.extend(read::<Map<_, _>>(config, ENTRY, &config.json.compiler_options)?);
        let entry: CompilerOptionsEntry = read(config, ENTRY, &Some(Value::Object(merged.clone())))?;
        let emit_metadata = entry.emit_decorator_metadata;
        options = CompilerOptions {
            decorators: if entry.experimental_decorators {
                Decorators::Experimental { emit_metadata }
            } else {
                Decorators::Ecma
            },
            verbatim_module_syntax: entry.verbatim_module_syntax,
            jsx: jsx(entry).map_err(|message| invalid(config, ENTRY, message))?,
        };
    }
    Ok(options)
}

fn invalid(config: &ConfigFile, entry: &'static str, message: String) -> Error {
    Error::Entry { file: config.specifier.clone().into(), entry, message }
}

fn jsx(options: CompilerOptionsEntry) -> Result<Jsx, String> {
    let import_source = options.jsx_import_source;
    match options.jsx.as_deref() {
        None | Some("react") => {
            Ok(Jsx::Classic { factory: options.jsx_factory, fragment_factory: options.jsx_fragment_factory })
        }
        Some("react-jsx") => Ok(Jsx::Automatic { import_source, development: false }),
        Some("react-jsxdev") => Ok(Jsx::Automatic { import_source, development: true }),
        Some("precompile") => {
            Ok(Jsx::Precompile { import_source, skip_elements: options.jsx_precompile_skip_elements })
        }
        Some(other) => {
            Err(format!("\"jsx\" is {other:?}: use \"react\", \"react-jsx\", \"react-jsxdev\" or \"precompile\""))
        }
    }
}

//! The configuration file: `deno.json` or `deno.jsonc`.

use std::path::{Path, PathBuf};

use deno_config::deno_json::{ConfigFile, ConfigFileError, ConfigFileReadError, ToLockConfigError};
use deno_core::url::Url;
use import_map::{ImportMap, ImportMapWithDiagnostics};
use openkv_transpile::Jsx;
use serde::Deserialize;
use sys_traits::impls::RealSys;

use super::Config;

const NAMES: [&str; 2] = ["deno.json", "deno.jsonc"];

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no JSON, or cannot be read.
    #[error(transparent)]
    Read(#[from] ConfigFileReadError),
    /// There is no current folder.
    #[error("there is no current folder: {0}")]
    Folder(#[from] std::io::Error),
    /// Its import map is wrong.
    #[error("the import map of {file} is not valid: {source}")]
    ImportMap {
        /// The configuration file.
        file: Url,
        /// What is wrong.
        source: Box<ConfigFileError>,
    },
    /// Its entry "lock" is wrong.
    #[error("the entry \"lock\" of {file} is not valid: {source}")]
    Lock {
        /// The configuration file.
        file: Url,
        /// What is wrong.
        source: Box<ToLockConfigError>,
    },
    /// Its compiler options are wrong.
    #[error("the entry \"compilerOptions\" of {file} is not valid: {message}")]
    CompilerOptions {
        /// The configuration file.
        file: Url,
        /// What is wrong.
        message: String,
    },
}

/// A configuration file, read and checked.
#[derive(Debug)]
pub struct Project {
    /// Where it lies. Its scripts share the default database.
    pub url: Url,
    /// Where imports lead to.
    pub(super) import_map: Option<ImportMap>,
    /// What JSX becomes.
    pub(super) jsx: Jsx,
    /// Where the checksums of remote modules are kept.
    pub(super) lockfile: Option<PathBuf>,
}

/// The compiler options that change what runs.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CompilerOptions {
    jsx: Option<String>,
    jsx_factory: Option<String>,
    jsx_fragment_factory: Option<String>,
    jsx_import_source: Option<String>,
    jsx_precompile_skip_elements: Option<Vec<String>>,
}

impl Project {
    /// The configuration file of a main module: of its folder, or of the current one if it is no file.
    ///
    /// # Errors
    /// The file is wrong, or one that was named is not there.
    pub fn of(main_module: &Url, config: &Config) -> Result<Option<Self>, Error> {
        match config {
            Config::None => Ok(None),
            Config::Path(path) => Self::read(&std::path::absolute(path)?).map(Some),
            Config::Discovered => match main_module.to_file_path() {
                Ok(file) => Self::find(file.parent().unwrap_or(&file)),
                Err(()) => Self::find(&std::env::current_dir()?),
            },
        }
    }

    /// The configuration file of a folder: its own, or that of the nearest folder above.
    ///
    /// # Errors
    /// The file is wrong.
    pub fn find(folder: &Path) -> Result<Option<Self>, Error> {
        let files = folder.ancestors().flat_map(|folder| NAMES.map(|name| folder.join(name)));
        match files.into_iter().find(|file| file.is_file()) {
            Some(file) => Self::read(&file).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a configuration file at an absolute path.
    ///
    /// # Errors
    /// There is no such file, or it is wrong.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let config = ConfigFile::read(&RealSys, file)?;
        let url = config.specifier.clone();
        let import_map = config
            .to_import_map(&RealSys)
            .map_err(|source| Error::ImportMap { file: url.clone(), source: Box::new(source) })?
            .map(|ImportMapWithDiagnostics { import_map, .. }| import_map);
        let lockfile = config
            .resolve_lockfile_path()
            .map_err(|source| Error::Lock { file: url.clone(), source: Box::new(source) })?;
        let options = match &config.json.compiler_options {
            Some(options) => CompilerOptions::deserialize(options)
                .map_err(|error| Error::CompilerOptions { file: url.clone(), message: error.to_string() })?,
            None => CompilerOptions::default(),
        };
        let jsx = jsx(options).map_err(|message| Error::CompilerOptions { file: url.clone(), message })?;
        Ok(Self { url, import_map, jsx, lockfile })
    }
}

fn jsx(options: CompilerOptions) -> Result<Jsx, String> {
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

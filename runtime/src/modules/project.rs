//! The configuration file: `deno.json` or `deno.jsonc`.

mod entries;

use std::path::{Path, PathBuf};

use deno_config::deno_json::{ConfigFile, ConfigFileError, ConfigFileReadError, LockConfig, ToLockConfigError};
use deno_core::url::Url;
use import_map::{ImportMap, ImportMapWithDiagnostics};
use openkv_transpile::{CompilerOptions, Decorators};
use sys_traits::impls::RealSys;

use super::Config;
pub use entries::TestEntry;

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
    /// An entry is wrong.
    #[error("the entry \"{entry}\" of {file} is not valid: {message}")]
    Entry {
        /// The configuration file.
        file: Box<Url>,
        /// The name of the entry.
        entry: &'static str,
        /// What is wrong.
        message: String,
    },
    /// An entry asks for what the runtime lacks.
    #[error("the entry \"{entry}\" of {file} is not supported: {reason}. Remove it, or run with --no-config")]
    Unsupported {
        /// The configuration file.
        file: Box<Url>,
        /// The name of the entry.
        entry: String,
        /// Why it is not supported, or what to do instead.
        reason: &'static str,
    },
}

/// A configuration file, read and checked.
#[derive(Debug)]
pub struct Project {
    /// Where it lies. Its scripts share the default database.
    pub url: Url,
    /// How its tests are found and run.
    pub test: TestEntry,
    /// Files that no tests are looked for in.
    pub exclude: Vec<String>,
    /// Features that are enabled, by the names that Deno has for them.
    pub unstable: Vec<String>,
    pub(super) settings: Settings,
}

/// What a configuration file says about modules.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// What modules are transpiled with.
    pub compiler_options: CompilerOptions,
    /// Where imports lead to.
    pub import_map: Option<ImportMap>,
    /// Where the checksums of remote modules are kept.
    pub lockfile: Option<PathBuf>,
    /// Whether that file must stay as it is.
    pub frozen: bool,
}

impl Project {
    /// The configuration file of a main module: of its folder, or of the current one if it is no file.
    ///
    /// # Errors
    /// The file is wrong, or one that was named is not there.
    pub fn of(main_module: &Url, config: &Config) -> Result<Option<Self>, Error> {
        match main_module.to_file_path() {
            Ok(file) => Self::of_directory(file.parent().unwrap_or(&file), config),
            Err(()) => Self::of_directory(&std::env::current_dir()?, config),
        }
    }

    /// Returns the configuration file that applies in a directory.
    ///
    /// # Errors
    /// The file is wrong, or one that was named is not there.
    pub fn of_directory(directory: &Path, config: &Config) -> Result<Option<Self>, Error> {
        match config {
            Config::None => Ok(None),
            Config::Path(path) => Self::read(&std::path::absolute(path)?).map(Some),
            Config::Discovered => Self::find(directory),
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
        entries::check_supported(&config)?;
        let import_map = config
            .to_import_map(&RealSys)
            .map_err(|source| Error::ImportMap { file: url.clone(), source: Box::new(source) })?
            .map(|ImportMapWithDiagnostics { import_map, .. }| import_map);
        let wrong_lock = |source| Error::Lock { file: url.clone(), source: Box::new(source) };
        let lockfile = config.resolve_lockfile_path().map_err(wrong_lock)?;
        let frozen = config.to_lock_config().map_err(wrong_lock)?.as_ref().is_some_and(LockConfig::frozen);
        Ok(Self {
            settings: Settings { compiler_options: entries::compiler_options(&config)?, import_map, lockfile, frozen },
            test: entries::read(&config, "test", &config.json.test)?,
            exclude: entries::read(&config, "exclude", &config.json.exclude)?,
            unstable: config.json.unstable,
            url,
        })
    }

    /// Returns the directory that the file lies in, which the paths in it start from.
    pub fn directory(&self) -> PathBuf {
        let file = self.url.to_file_path().expect("configuration files are read from paths");
        file.parent().expect("a file lies in a directory").into()
    }

    /// What decorators become in its modules.
    pub(crate) fn decorators(&self) -> Decorators {
        self.settings.compiler_options.decorators
    }
}

//! The configuration file: `deno.json` or `deno.jsonc`.

mod entries;
mod error;
mod workspace;

use std::path::{Path, PathBuf};

use deno_config::deno_json::LockConfig;
use deno_config::workspace::{WorkspaceDirectory, WorkspaceDiscoverOptions, WorkspaceDiscoverStart};
use deno_core::url::Url;
use deno_lockfile::WorkspaceConfig;
use import_map::ImportMap;
use openkv_js::transpile::{CompilerOptions, Decorators};
use sys_traits::impls::RealSys;

use super::Config;
pub use entries::TestEntry;
pub use error::Error;

/// A configuration file, read and checked.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// What modules are transpiled with.
    pub compiler_options: CompilerOptions,
    /// Where imports lead to.
    pub import_map: Option<ImportMap>,
    /// Where the checksums of remote modules are kept.
    pub lockfile: Option<PathBuf>,
    /// Whether that file must stay as it is.
    pub frozen: bool,
    /// What it says of the workspace.
    pub dependencies: WorkspaceConfig,
}

impl Project {
    /// The configuration file of a main module: of its directory, or of the current one if it is no file.
    ///
    /// # Errors
    /// The file is wrong, or one that was named is not there.
    pub fn of(main_module: &Url, config: &Config) -> Result<Option<Self>, Error> {
        match main_module.to_file_path() {
            Ok(file) => Self::of_directory(file.parent().unwrap_or(&file), config),
            Err(()) => Self::of_directory(&std::env::current_dir()?, config),
        }
    }

    /// Returns the configuration file that applies in a directory: its own, or that of the nearest directory above.
    ///
    /// # Errors
    /// The file is wrong, or one that was named is not there.
    pub fn of_directory(directory: &Path, config: &Config) -> Result<Option<Self>, Error> {
        match config {
            Config::None => Ok(None),
            Config::Path(path) => Self::discover(WorkspaceDiscoverStart::ConfigFile(&std::path::absolute(path)?)),
            Config::Discovered => Self::discover(WorkspaceDiscoverStart::Paths(&[directory.to_owned()])),
        }
    }

    /// Reads the configuration file that is found from a place, and the workspace that it is a member of.
    fn discover(start: WorkspaceDiscoverStart) -> Result<Option<Self>, Error> {
        let options = WorkspaceDiscoverOptions { discover_pkg_json: true, ..Default::default() };
        let directory = WorkspaceDirectory::discover(&RealSys, start, &options).map_err(Error::Read)?;
        let workspace = &directory.workspace;
        let Some(config) = directory.member_or_root_deno_json() else { return Ok(None) };
        // What the root says first: the member may say otherwise.
        let root = workspace.root_deno_json().filter(|root| root.specifier != config.specifier);
        let configs: Vec<_> = root.into_iter().chain([config]).map(|config| &**config).collect();
        for config in &configs {
            entries::check_supported(config)?;
        }
        let file = workspace.root_deno_json().unwrap_or(config).specifier.clone();
        let wrong_lock = |source| Error::Lock { file: file.clone(), source: Box::new(source) };
        let lock =
            workspace.root_deno_json().map(|root| root.to_lock_config()).transpose().map_err(wrong_lock)?.flatten();
        let settings = Settings {
            compiler_options: entries::compiler_options(&configs)?,
            import_map: workspace::import_map(workspace)?,
            lockfile: workspace.resolve_lockfile_path().map_err(wrong_lock)?,
            frozen: lock.as_ref().is_some_and(LockConfig::frozen),
            dependencies: workspace::dependencies(workspace),
        };
        Ok(Some(Self {
            url: config.specifier.clone(),
            test: entries::read(config, "test", &config.json.test)?,
            exclude: entries::read(config, "exclude", &config.json.exclude)?,
            unstable: workspace.unstable_features().to_vec(),
            settings,
        }))
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

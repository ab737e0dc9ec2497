//! The workspace that a main module belongs to: its `deno.json` or `deno.jsonc`, its `package.json`, its `.npmrc`.

mod entries;
mod error;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_config::workspace::WorkspaceDirectory;
use deno_core::url::Url;
use deno_resolver::factory::{ConfigDiscoveryOption, WorkspaceFactory, WorkspaceFactoryOptions};
use sys_traits::impls::RealSys;
use tempfile::TempDir;

use super::{Config, Lock, ModuleOptions};
use crate::environment::Environment;
pub use entries::TestEntry;
pub use error::Error;

/// A workspace, with its configuration files read and checked. A directory without any is one, too.
///
/// What depends on the environment is read here, before a script may change it.
#[derive(Clone)]
pub struct Project {
    /// Where the configuration file lies, if there is one. Its scripts share the default database.
    pub url: Option<Url>,
    /// How its tests are found and run.
    pub test: TestEntry,
    /// Files that no tests are looked for in.
    pub exclude: Vec<String>,
    /// Features that are enabled, by the names that Deno has for them.
    pub unstable: Vec<String>,
    pub(super) workspace: Arc<WorkspaceFactory<RealSys>>,
    /// Where there is no directory for downloads, they are kept for this run.
    _downloads: Option<Arc<TempDir>>,
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Project {
    /// Finds the workspace of a main module: of its directory, or of the current one if it is no file.
    ///
    /// # Errors
    /// A file of it is wrong, or one that was named is not there.
    pub fn of(main_module: &Url, options: &ModuleOptions) -> Result<Self, Error> {
        match main_module.to_file_path() {
            Ok(file) => Self::of_directory(file.parent().unwrap_or(&file), options),
            Err(()) => Self::of_directory(&std::env::current_dir()?, options),
        }
    }

    /// Finds the workspace that a directory belongs to, by its own configuration file or that of the nearest directory above.
    ///
    /// # Errors
    /// A file of it is wrong, or one that was named is not there.
    pub fn of_directory(directory: &Path, options: &ModuleOptions) -> Result<Self, Error> {
        let discovery = match &options.config {
            Config::None => ConfigDiscoveryOption::Disabled,
            Config::Path(path) => ConfigDiscoveryOption::Path(std::path::absolute(path)?),
            Config::Discovered => ConfigDiscoveryOption::Discover { start_paths: vec![directory.to_owned()] },
        };
        let environment = Environment::at_start();
        let (downloads, temporary) = match &environment.cache_directory {
            Ok(directory) => (directory.clone(), None),
            Err(_) => {
                let temporary = TempDir::new().map_err(Error::Cache)?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let factory_options = WorkspaceFactoryOptions {
            config_discovery: discovery,
            frozen_lockfile: options.frozen,
            lock_arg: match &options.lock {
                Lock::Path(path) => Some(environment.absolute(path)),
                Lock::Discovered | Lock::None => None,
            },
            // It is written by `lockfile.rs`, which keeps its mode.
            lockfile_skip_write: true,
            maybe_custom_deno_dir_root: Some(downloads),
            node_modules_dir: options.node_modules_dir,
            node_modules_linker: options.node_modules_linker,
            no_lock: matches!(options.lock, Lock::None),
            no_npm: options.no_npm,
            vendor: options.vendor,
            ..WorkspaceFactoryOptions::default()
        };
        let workspace = WorkspaceFactory::new(RealSys, std::env::current_dir()?, factory_options);
        // Both are read from the environment once.
        workspace.npmrc()?;
        workspace.jsr_url();
        let directory = workspace.workspace_directory().map_err(Error::Read)?.clone();
        Self::read(&directory, Arc::new(workspace), temporary)
    }

    fn read(
        directory: &WorkspaceDirectory,
        factory: Arc<WorkspaceFactory<RealSys>>,
        downloads: Option<TempDir>,
    ) -> Result<Self, Error> {
        let workspace = &directory.workspace;
        let config = directory.member_or_root_deno_json();
        let root = workspace.root_deno_json();
        for config in root.into_iter().chain(config) {
            entries::check_supported(config)?;
        }
        if let Some(root) = root {
            let wrong_lock = |source| Error::Lock { file: root.specifier.clone(), source: Box::new(source) };
            root.to_lock_config().map_err(wrong_lock)?;
            workspace.resolve_lockfile_path().map_err(wrong_lock)?;
        }
        Ok(Self {
            url: config.map(|config| config.specifier.clone()),
            test: match config {
                Some(config) => entries::read(config, "test", &config.json.test)?,
                None => TestEntry::default(),
            },
            exclude: match config {
                Some(config) => entries::read(config, "exclude", &config.json.exclude)?,
                None => Vec::new(),
            },
            unstable: workspace.unstable_features().to_vec(),
            workspace: factory,
            _downloads: downloads.map(Arc::new),
        })
    }

    /// Returns the directory that the configuration file lies in, which the paths in it start from.
    pub fn directory(&self) -> Option<PathBuf> {
        let file = self.url.as_ref()?.to_file_path().ok()?;
        file.parent().map(Into::into)
    }

    /// Returns the directory that remote modules are kept in, if the project has one.
    pub fn vendor_directory(&self) -> Option<PathBuf> {
        let directory = self.workspace.workspace_directory().ok()?;
        directory.workspace.vendor_dir_path().cloned()
    }
}

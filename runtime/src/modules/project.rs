//! The workspace of a main module: its `deno.json` or `deno.jsonc`, `package.json` and `.npmrc`.

mod entries;
mod error;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_config::deno_json::{NodeModulesDirMode, PermissionsObjectWithBase};
use deno_config::workspace::WorkspaceDirectory;
use deno_core::url::Url;
use deno_package_json::PackageJsonDepValue;
use deno_resolver::factory::{ConfigDiscoveryOption, WorkspaceFactory, WorkspaceFactoryOptions};
use deno_semver::npm::NpmPackageReqReference;
use deno_semver::package::PackageReq;
use sys_traits::impls::RealSys;
use tempfile::TempDir;

use super::{Config, Lock, ModuleOptions};
use crate::environment::Environment;
pub use entries::TestEntry;
pub use error::Error;

/// A workspace, with its configuration files read and validated. A directory without configuration files is a workspace,
/// too.
///
/// Settings from the environment are read when it is created, before a script can change them.
#[derive(Clone)]
pub struct Project {
    /// The URL of the configuration file, if there is one. All scripts of the project share the default database.
    pub url: Option<Url>,
    /// The configuration of `openkv test`.
    pub test: TestEntry,
    /// The files and directories that are not searched for tests.
    pub exclude: Vec<String>,
    /// The enabled unstable features, by their names in Deno.
    pub unstable: Vec<String>,
    pub(super) workspace: Arc<WorkspaceFactory<RealSys>>,
    /// A temporary directory for downloads, if there is no permanent one.
    _downloads: Option<Arc<TempDir>>,
}

/// The files in which dependencies are declared.
#[derive(Clone, Debug)]
pub struct Manifests {
    /// The `deno.json` or `deno.jsonc`.
    pub deno_json: Option<PathBuf>,
    /// The `package.json`.
    pub package_json: Option<PathBuf>,
    /// Whether `package.json` has all dependencies.
    pub prefers_package_json: bool,
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Project {
    /// Finds the workspace of a main module, starting from its directory, or from the current directory if it is not a
    /// file.
    ///
    /// # Errors
    /// A configuration file is invalid, or one that was given explicitly does not exist.
    pub fn of(main_module: &Url, options: &ModuleOptions) -> Result<Self, Error> {
        match main_module.to_file_path() {
            Ok(file) => Self::of_directory(file.parent().unwrap_or(&file), options),
            Err(()) => Self::of_package(main_module, options),
        }
    }

    /// Finds the workspace of a main module that is not a file.
    fn of_package(main_module: &Url, options: &ModuleOptions) -> Result<Self, Error> {
        let directory = std::env::current_dir()?;
        let project = Self::of_directory(&directory, options)?;
        match NpmPackageReqReference::from_specifier(main_module) {
            Ok(package) if project.lacks(package.req())? => {
                // As in Deno, the program of a package that is no dependency runs without `node_modules`.
                let (node_modules_dir, lock) = (Some(NodeModulesDirMode::None), Lock::None);
                Self::of_directory(&directory, &ModuleOptions { node_modules_dir, lock, ..options.clone() })
            }
            _ => Ok(project),
        }
    }

    /// Returns whether packages are found in `node_modules` alone, and no `package.json` of the workspace requires this one.
    fn lacks(&self, package: &PackageReq) -> Result<bool, Error> {
        let is_required = |dependency: &PackageJsonDepValue| match dependency {
            PackageJsonDepValue::Req(required) => {
                required.name == package.name && required.version_req.intersects(&package.version_req)
            }
            PackageJsonDepValue::Workspace { .. } | PackageJsonDepValue::File(_) | PackageJsonDepValue::Catalog(_) => {
                false
            }
        };
        let workspace = &self.workspace.workspace_directory().map_err(Error::Read)?.workspace;
        let mut dependencies = workspace.package_jsons().flat_map(|package_json| {
            let all = package_json.resolve_local_package_json_deps();
            all.dependencies.values().chain(all.dev_dependencies.values())
        });
        let is_manual = matches!(self.workspace.node_modules_dir_mode(), Ok(NodeModulesDirMode::Manual));
        Ok(is_manual && !dependencies.any(|dependency| dependency.as_ref().is_ok_and(is_required)))
    }

    /// Finds the workspace of a directory: that of its configuration file, or of the nearest one in a parent directory.
    ///
    /// # Errors
    /// A configuration file is invalid, or one that was given explicitly does not exist.
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
            is_package_manager_subcommand: options.install.manages,
            frozen_lockfile: options.frozen,
            lock_arg: match &options.lock {
                Lock::Path(path) => Some(environment.absolute(path)),
                Lock::Discovered | Lock::None => None,
            },
            // `lockfile.rs` writes the lock file, and keeps its mode.
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
        // Reads both from the environment before a script can change it.
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

    /// Returns a set of permissions of the configuration file, or the default one, which may be missing, for an empty name.
    ///
    /// # Errors
    /// The set does not exist, or the sets are invalid.
    pub fn permission_set(&self, name: &str) -> Result<Option<&PermissionsObjectWithBase>, Error> {
        let sets = self.workspace.workspace_directory().map_err(Error::Read)?.to_permissions_config()?;
        if name.is_empty() { Ok(sets.sets.get("default")) } else { Ok(Some(sets.get(name)?)) }
    }

    /// Returns the permissions for tests of the configuration file.
    ///
    /// # Errors
    /// They are invalid, or name a set that does not exist.
    pub fn test_permissions(&self) -> Result<Option<&PermissionsObjectWithBase>, Error> {
        let directory = self.workspace.workspace_directory().map_err(Error::Read)?;
        Ok(directory.to_test_permissions_config()?)
    }

    /// Returns the files in which the dependencies of the project, or of the member of the workspace, are declared.
    ///
    /// # Errors
    /// The workspace cannot be read.
    pub fn manifests(&self) -> Result<Manifests, Error> {
        let directory = self.workspace.workspace_directory().map_err(Error::Read)?;
        Ok(Manifests {
            deno_json: directory.member_deno_json().and_then(|file| file.specifier.to_file_path().ok()),
            package_json: directory.member_pkg_json().map(|file| file.path.clone()),
            prefers_package_json: directory.workspace.prefer_package_json(),
        })
    }

    /// Returns the directory of the configuration file. Paths in the file are relative to it.
    pub fn directory(&self) -> Option<PathBuf> {
        let file = self.url.as_ref()?.to_file_path().ok()?;
        file.parent().map(Into::into)
    }

    /// Returns the URL of the JSR registry.
    pub fn jsr_url(&self) -> &Url {
        self.workspace.jsr_url()
    }

    /// Returns the directory of vendored remote modules, if the project has one.
    pub fn vendor_directory(&self) -> Option<PathBuf> {
        let directory = self.workspace.workspace_directory().ok()?;
        directory.workspace.vendor_dir_path().cloned()
    }
}

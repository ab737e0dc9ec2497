use deno_config::deno_json::{NewestDependencyDate, NodeModulesDirMode, NodeModulesLinkerMode};
use deno_npm_installer::PackagesAllowedScripts;

/// How packages of npm are installed.
#[derive(Clone, Copy, Debug, Default)]
pub struct InstallOptions {
    /// Whether the command manages dependencies: they are installed into `node_modules` if there is a `package.json`.
    pub manages: bool,
    /// Whether packages that are not needed any more are removed from `node_modules`.
    pub cleans: bool,
    /// Whether the development dependencies of `package.json` are left out.
    pub production: bool,
    /// Whether packages of type declarations are left out.
    pub skip_types: bool,
}

/// The options for resolving and fetching modules.
#[derive(Clone, Debug, Default)]
pub struct ModuleOptions {
    /// How packages of npm are installed.
    pub install: InstallOptions,
    /// The path or URL of an import map.
    pub import_map: Option<String>,
    /// The choice of the configuration file.
    pub config: Config,
    /// The remote modules to download again, by URL prefix, or as `npm:` with the name of a package. An empty list selects
    /// all.
    pub reload: Option<Vec<String>>,
    /// Whether remote modules and packages are only loaded from the cache.
    pub cached_only: bool,
    /// Whether remote modules are disabled.
    pub no_remote: bool,
    /// Whether npm packages are disabled.
    pub no_npm: bool,
    /// Whether compiled code is neither kept for the next run, nor used from an earlier one.
    pub no_code_cache: bool,
    /// The choice of the lock file.
    pub lock: Lock,
    /// Whether the lock file must not change. Overrides the configuration file.
    pub frozen: Option<bool>,
    /// The mode of the `node_modules` directory. Overrides the configuration file.
    pub node_modules_dir: Option<NodeModulesDirMode>,
    /// The layout of packages in `node_modules`. Overrides the configuration file.
    pub node_modules_linker: Option<NodeModulesLinkerMode>,
    /// Whether remote modules are kept in the `vendor` directory. Overrides the configuration file.
    pub vendor: Option<bool>,
    /// The npm packages that may run lifecycle scripts, in addition to those of the configuration file.
    pub allow_scripts: PackagesAllowedScripts,
    /// Additional conditions for the `exports` of npm packages.
    pub conditions: Vec<String>,
    /// The date before which a version of a package must have been published to be chosen. Overrides the configuration
    /// file.
    pub newest_dependency_date: Option<NewestDependencyDate>,
}

/// The choice of the configuration file.
#[derive(Clone, Debug, Default)]
pub enum Config {
    /// The nearest `deno.json` or `deno.jsonc`, in the directory of the script or a parent directory.
    #[default]
    Discovered,
    /// The file with this path.
    Path(String),
    /// No configuration file.
    None,
}

/// The choice of the lock file.
#[derive(Clone, Debug, Default)]
pub enum Lock {
    /// `deno.lock` in the directory of the configuration file.
    #[default]
    Discovered,
    /// The file with this path.
    Path(String),
    /// No lock file.
    None,
}

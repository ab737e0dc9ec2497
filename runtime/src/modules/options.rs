use deno_config::deno_json::{NewestDependencyDate, NodeModulesDirMode, NodeModulesLinkerMode};
use deno_npm_installer::PackagesAllowedScripts;

/// How modules are found.
#[derive(Clone, Debug, Default)]
pub struct ModuleOptions {
    /// The path or URL of an import map.
    pub import_map: Option<String>,
    /// The configuration file.
    pub config: Config,
    /// Remote modules to fetch again, by the beginning of their URL, or `npm:` with the name of a package; an empty list
    /// stands for all.
    pub reload: Option<Vec<String>>,
    /// Whether remote modules and packages may only come from the cache.
    pub cached_only: bool,
    /// Whether there are no remote modules.
    pub no_remote: bool,
    /// Whether there are no packages of npm.
    pub no_npm: bool,
    /// The lock file.
    pub lock: Lock,
    /// Whether the lock file must stay as it is, where this is not for the configuration file to say.
    pub frozen: Option<bool>,
    /// Where packages of npm are, where this is not for the configuration file to say.
    pub node_modules_dir: Option<NodeModulesDirMode>,
    /// How packages lie in `node_modules`, where this is not for the configuration file to say.
    pub node_modules_linker: Option<NodeModulesLinkerMode>,
    /// Whether remote modules are kept in the directory `vendor`, where this is not for the configuration file to say.
    pub vendor: Option<bool>,
    /// Which packages of npm may run scripts when they are installed, besides those that the configuration file names.
    pub allow_scripts: PackagesAllowedScripts,
    /// Conditions for the `exports` of packages of npm, besides the usual ones.
    pub conditions: Vec<String>,
    /// Before when versions of packages must have been published to be chosen, where this is not for the configuration file
    /// to say.
    pub newest_dependency_date: Option<NewestDependencyDate>,
}

/// Which configuration file applies.
#[derive(Clone, Debug, Default)]
pub enum Config {
    /// `deno.json` or `deno.jsonc` in the directory of the script, or one above.
    #[default]
    Discovered,
    /// This one.
    Path(String),
    /// None at all.
    None,
}

/// Which lock file applies.
#[derive(Clone, Debug, Default)]
pub enum Lock {
    /// `deno.lock` beside the configuration file.
    #[default]
    Discovered,
    /// This one.
    Path(String),
    /// None at all.
    None,
}

/// How modules are found.
#[derive(Clone, Debug, Default)]
pub struct ModuleOptions {
    /// The path or URL of an import map.
    pub import_map: Option<String>,
    /// The configuration file.
    pub config: Config,
    /// Remote modules to fetch again, by the beginning of their URL; an empty list stands for all.
    pub reload: Option<Vec<String>>,
    /// Whether remote modules may only come from the cache.
    pub cached_only: bool,
    /// Whether there are no remote modules.
    pub no_remote: bool,
    /// The lock file.
    pub lock: Lock,
    /// Whether the lock file must stay as it is, where this is not for the configuration file to say.
    pub frozen: Option<bool>,
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

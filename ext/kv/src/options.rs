use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_core::OpState;
use deno_error::JsErrorBox;
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{BoxFuture, Clock, Database, Limits};
use sha2::{Digest, Sha256};

use crate::permissions;

/// The options of the extension: where databases are stored, which ones scripts may open, and the options of the engine.
///
/// Each constructor sets the default database, which `Deno.openKv()` opens without a path: [`Options::memory`],
/// [`Options::file`], [`Options::directory`] or, with a custom rule, [`Options::resolve`]. Unless [`Options::permissions`]
/// allow more, scripts can open only this one, and databases in memory.
///
/// ```
/// use openkv_ext::engine::Limits;
/// use openkv_ext::{Options, permissions};
///
/// let mut limits = Limits::default();
/// (limits.value_size, limits.write_size) = (1024 * 1024, 8 * 1024 * 1024);
/// let options = Options::file("data/app.sqlite3").permissions(permissions::within("data/scripts")).limits(limits);
/// let extension = openkv_ext::init(options);
/// ```
#[derive(Clone)]
pub struct Options {
    resolve: Arc<Resolve>,
    permit: Arc<Permit>,
    connectors: Vec<Arc<Connect>>,
    pub(crate) engine: sqlite::Options,
}

// Rules can be sent to other threads, so that a host can give the same options to its workers.
type Resolve = dyn Fn(&mut OpState, Option<String>) -> Result<Target, JsErrorBox> + Send + Sync;
type Permit = dyn Fn(&mut OpState, &Path) -> Result<PathBuf, JsErrorBox> + Send + Sync;
type Connect = dyn Fn(&mut OpState, &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>> + Send + Sync;

/// The database to open, as resolved by the host.
pub enum Target {
    /// A path from a script or a user, to be interpreted by the rules of `Deno.openKv`. Permissions are checked.
    Path(String),
    /// A location that the host trusts. Permissions are not checked.
    Trusted(Location),
}

impl Options {
    /// Uses a default database in memory: each call of `Deno.openKv()` opens a new one, which is deleted when closed.
    pub fn memory() -> Self {
        Self::with_default(|| Ok(Location::Memory))
    }

    /// Uses a file as the default database. Its directory is created when it is first opened.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::with_default(move || default_file(path.clone()))
    }

    /// Uses a file in a directory as the default database: one per key, such as the URL of the main module. Deno stores its default
    /// databases in the same way, in the directory `location_data`.
    pub fn directory(directory: impl AsRef<Path>, key: &str) -> Self {
        Self::file(file_of_key(directory.as_ref(), key))
    }

    /// Resolves the path of each call of `Deno.openKv`, if any, with a rule of the host. Scripts see the error that the rule
    /// returns.
    pub fn resolve(
        rule: impl Fn(&mut OpState, Option<String>) -> Result<Target, JsErrorBox> + Send + Sync + 'static,
    ) -> Self {
        Self {
            resolve: Arc::new(rule),
            permit: Arc::new(permissions::none),
            connectors: Vec::new(),
            engine: sqlite::Options::default(),
        }
    }

    fn with_default(default: impl Fn() -> Result<Location, JsErrorBox> + Send + Sync + 'static) -> Self {
        Self::resolve(move |_, path| match path {
            Some(path) => Ok(Target::Path(path)),
            None => default().map(Target::Trusted),
        })
    }

    /// Sets the rule that checks which files scripts may open: one of [`permissions`], or a custom one. It receives the path of the
    /// script, and returns the path to open, or the error that the script sees, such as [`permissions::denied`]. The returned path
    /// must not contain symbolic links, because the rule has not checked where they lead.
    ///
    /// Invalid paths, such as `""` and URLs, are rejected before.
    pub fn permissions(
        mut self,
        rule: impl Fn(&mut OpState, &Path) -> Result<PathBuf, JsErrorBox> + Send + Sync + 'static,
    ) -> Self {
        self.permit = Arc::new(rule);
        self
    }

    /// Adds a connector, which opens databases that are not files, such as the URL of a server. The rule receives the path of
    /// the script, and returns `None` if it does not support it. It must check permissions, such as those for the network,
    /// before it connects, and return the error that the script sees if they are denied. Connectors are called in the order in
    /// which they were added.
    pub fn connector(
        mut self,
        rule: impl Fn(&mut OpState, &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>> + Send + Sync + 'static,
    ) -> Self {
        self.connectors.push(Arc::new(rule));
        self
    }

    /// Sets the limits of each call. By default, those of Deno.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.engine.limits = limits;
        self
    }

    /// Sets the clock, for expiry and delays. By default, that of the system.
    ///
    /// Databases on the same file in one process share the clock of the first.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.engine.clock = Arc::new(clock);
        self
    }

    /// Sets all options of the engine, including limits and clock.
    pub fn engine(mut self, options: sqlite::Options) -> Self {
        self.engine = options;
        self
    }

    pub(crate) fn target(&self, state: &mut OpState, path: Option<String>) -> Result<Target, JsErrorBox> {
        (self.resolve)(state, path)
    }

    pub(crate) fn connect(&self, state: &mut OpState, path: &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>> {
        self.connectors.iter().find_map(|connect| connect(state, path))
    }

    pub(crate) fn permit(&self, state: &mut OpState, path: &Path) -> Result<PathBuf, JsErrorBox> {
        (self.permit)(state, path)
    }
}

/// Returns the file of the default database of a key in a directory: `HASH/kv.sqlite3`, with the SHA-256 of the key, as in Deno.
pub fn file_of_key(directory: &Path, key: &str) -> PathBuf {
    let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    directory.join(hash).join("kv.sqlite3")
}

/// Returns the location of a default database in a file, after creating its directory.
///
/// # Errors
/// The directory cannot be created.
pub fn default_file(path: PathBuf) -> Result<Location, JsErrorBox> {
    let directory = path.parent().unwrap_or(Path::new(""));
    create_directories(directory).map_err(|error| {
        JsErrorBox::generic(format!("unable to create the directory of the default database: {directory:?}: {error}"))
    })?;
    Ok(Location::File { path, follow_links: true })
}

/// Creates a directory and its parents, and syncs each: otherwise a power failure could remove the directory of a database that was
/// synced.
fn create_directories(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_directories(parent)?;
    match fs::create_dir(path) {
        // Another process has created it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        result => result?,
    }
    #[cfg(unix)]
    {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // Like SQLite, ignores a file system that cannot sync directories.
        let _ = fs::File::open(parent).and_then(|parent| parent.sync_all());
    }
    Ok(())
}

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use deno_core::OpState;
use deno_error::JsErrorBox;
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{BoxFuture, Clock, Database, Limits};
use sha2::{Digest, Sha256};

use crate::permissions;

/// What a host tells the extension: where databases live, who may open them, and what the engine goes by.
///
/// It begins with the database that `Deno.openKv()` opens without a path: [`Options::memory`], [`Options::file`],
/// [`Options::directory`] or, for a rule of the host's own, [`Options::resolve`]. Unless [`Options::permissions`] allow more,
/// scripts can open this one, and databases in memory, and no other.
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
    resolve: Rc<Resolve>,
    permit: Rc<Permit>,
    connectors: Vec<Rc<Connect>>,
    pub(crate) engine: sqlite::Options,
}

type Resolve = dyn Fn(&mut OpState, Option<String>) -> Result<Target, JsErrorBox>;
type Permit = dyn Fn(&mut OpState, &Path) -> Result<PathBuf, JsErrorBox>;

type Connect = dyn Fn(&mut OpState, &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>>;

/// Where a host says that a database lives.
pub enum Target {
    /// The path that a script or a user gave, by the rules of `Deno.openKv`: the permissions are asked.
    Path(String),
    /// A place that the host answers for: no permission is asked.
    Trusted(Location),
}

impl Options {
    /// The default database is in memory: each call of `Deno.openKv()` opens one of its own, which is gone once closed.
    pub fn memory() -> Self {
        Self::with_default(|| Ok(Location::Memory))
    }

    /// The default database is this file. Its directory is created when it is first opened.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::with_default(move || default_file(path.clone()))
    }

    /// The default database is a file in this directory: one for each key, such as the URL of the main module. Deno keeps its
    /// default databases like this, in the directory `location_data`.
    pub fn directory(directory: impl AsRef<Path>, key: &str) -> Self {
        Self::file(file_of_key(directory.as_ref(), key))
    }

    /// The host says at each call of `Deno.openKv` where the database lives, by what the script gave: a path, or none.
    ///
    /// An error that the rule answers is what the script sees.
    pub fn resolve(rule: impl Fn(&mut OpState, Option<String>) -> Result<Target, JsErrorBox> + 'static) -> Self {
        Self {
            resolve: Rc::new(rule),
            permit: Rc::new(permissions::none),
            connectors: Vec::new(),
            engine: sqlite::Options::default(),
        }
    }

    fn with_default(default: impl Fn() -> Result<Location, JsErrorBox> + 'static) -> Self {
        Self::resolve(move |_, path| match path {
            Some(path) => Ok(Target::Path(path)),
            None => default().map(Target::Trusted),
        })
    }

    /// Who may open which files: one of [`permissions`], or a rule of the host's own. It gets the path that the script
    /// gave, and answers the path to open, or the error that the script sees, as by [`permissions::denied`]. No part of
    /// the answered path may be a symbolic link: the rule did not see where it leads.
    ///
    /// Paths with which nothing can be opened, such as `""` and URLs, are refused before.
    pub fn permissions(mut self, rule: impl Fn(&mut OpState, &Path) -> Result<PathBuf, JsErrorBox> + 'static) -> Self {
        self.permit = Rc::new(rule);
        self
    }

    /// Opens what scripts name by another form than the path of a file, such as the URL of a server. The rule gets what the script
    /// gave, and returns `None` for what is not of its form. It asks the permissions, as of the network, before it connects, and
    /// returns the error that the script sees where they are denied. Rules are asked in the order in which they were added.
    pub fn connector(
        mut self,
        rule: impl Fn(&mut OpState, &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>> + 'static,
    ) -> Self {
        self.connectors.push(Rc::new(rule));
        self
    }

    /// How much one call may ask for. By default, what Deno allows.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.engine.limits = limits;
        self
    }

    /// The time, for expiry and delays. By default, that of the system.
    ///
    /// Databases that a process has open on one file share the clock of the first.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.engine.clock = Arc::new(clock);
        self
    }

    /// All that the engine goes by, in place of what was said before.
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

/// The file of the default database of a key, in a directory: `HASH/kv.sqlite3` with the SHA-256 of the key, as on Deno.
pub fn file_of_key(directory: &Path, key: &str) -> PathBuf {
    let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    directory.join(hash).join("kv.sqlite3")
}

/// A default database in a file, whose directory is created.
///
/// # Errors
/// The directory cannot be created.
pub fn default_file(path: PathBuf) -> Result<Location, JsErrorBox> {
    let directory = path.parent().unwrap_or(Path::new(""));
    create_directories(directory).map_err(|error| {
        JsErrorBox::generic(format!("unable to create the directory of the default database, {directory:?}: {error}"))
    })?;
    Ok(Location::File { path, follow_links: true })
}

/// Creates a directory and those that it is in, each on the disk: a database in it that survives a power failure must be found
/// afterwards.
fn create_directories(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_directories(parent)?;
    match fs::create_dir(path) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        result => result?,
    }
    #[cfg(unix)]
    {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // As with SQLite, a file system that syncs no directories is no failure.
        let _ = fs::File::open(parent).and_then(|parent| parent.sync_all());
    }
    Ok(())
}

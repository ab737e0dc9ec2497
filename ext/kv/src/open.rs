use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use deno_core::{OpState, Resource, ResourceId, op2};
use deno_error::JsErrorBox;
use openkv_engine::Database;
use openkv_engine::sqlite::{Location, Options, Sqlite};

use crate::error::KvError;

/// What the extension asks its host.
pub trait Host {
    /// Where the database lives that a script opens with this path, or without one. The path is what the script gave:
    /// the host may replace it, as by its environment.
    ///
    /// # Errors
    /// Whatever the script shall see.
    fn locate(&self, state: &mut OpState, path: Option<String>) -> Result<Place, JsErrorBox>;

    /// Checks that a script may read and write the file, and answers the path to open.
    ///
    /// # Errors
    /// Whatever the script shall see, for instance that the permission is missing.
    fn check_path(&self, state: &mut OpState, path: &Path) -> Result<PathBuf, JsErrorBox>;
}

/// Where a [`Host`] says that a database lives.
pub enum Place {
    /// The path that a script or a user gave, by the rules of `Deno.openKv`.
    Path(String),
    /// A place that the host answers for: no permission is asked.
    Trusted(Location),
}

/// Whether a path is the URL of a remote database.
pub fn is_remote(path: &str) -> bool {
    path.starts_with("https://") || path.starts_with("http://")
}

pub(crate) struct DatabaseResource {
    pub database: Arc<dyn Database>,
}

impl Resource for DatabaseResource {
    fn name(&self) -> Cow<'_, str> {
        "database".into()
    }

    fn close(self: Rc<Self>) {
        self.database.close();
    }
}

/// The open database of a resource.
pub(crate) fn database(state: &OpState, rid: ResourceId) -> Result<Rc<DatabaseResource>, KvError> {
    Ok(state.resource_table.get(rid)?)
}

/// Opens a database. Answers its resource.
#[op2(stack_trace)]
#[smi]
pub(crate) async fn op_kv_open(
    state: Rc<RefCell<OpState>>,
    #[string] path: Option<String>,
) -> Result<ResourceId, KvError> {
    let (location, options) = {
        let state = &mut state.borrow_mut();
        let location = locate(state, path)?;
        (location, state.borrow::<Options>().clone())
    };
    let database = match Sqlite::open_at_once(&location, &options) {
        Some(database) => database,
        // Opening waits for the disk, and for other processes.
        None => {
            let opened = deno_core::unsync::spawn_blocking(move || Sqlite::open(location, options)).await;
            opened.map_err(JsErrorBox::from_err)??
        }
    };
    let database = Arc::new(database);
    Ok(state.borrow_mut().resource_table.add(DatabaseResource { database }))
}

fn locate(state: &mut OpState, path: Option<String>) -> Result<Location, KvError> {
    let host = state.borrow::<Rc<dyn Host>>().clone();
    let path = match host.locate(state, path)? {
        Place::Trusted(location) => return Ok(location),
        Place::Path(path) => path,
    };
    if path == ":memory:" {
        return Ok(Location::Memory);
    }
    if path.is_empty() {
        return Err(KvError::EmptyPath);
    }
    if path.starts_with(':') {
        return Err(KvError::ColonPath);
    }
    if is_remote(&path) {
        return Err(KvError::Remote(path));
    }
    let path = host.check_path(state, Path::new(&path))?;
    // The check was for this path: a link in it could lead elsewhere.
    Ok(Location::File { path, follow_links: false })
}

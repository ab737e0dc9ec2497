use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use deno_core::{OpState, ResourceId, op2};
use deno_error::JsErrorBox;
use openkv_engine::sqlite::{self, Location};
use openkv_engine::{BoxFuture, Database};

use crate::database::{DatabaseResource, NAME};
use crate::error::KvError;
use crate::options::{Options, Target};
use crate::queue::Deliveries;
use crate::uri::{self, Named};

/// The beginnings of the URLs of remote databases.
const REMOTE: [&str; 6] = ["http://", "https://", "etcd://", "etcds://", "postgres://", "postgresql://"];

/// Returns whether a path is the URL of a remote database.
pub fn is_remote(path: &str) -> bool {
    REMOTE.iter().any(|start| path.starts_with(start))
}

/// Closes a database.
#[op2(fast)]
pub(crate) fn op_openkv_close(state: &mut OpState, #[smi] rid: ResourceId) -> Result<(), KvError> {
    let database = state.resource_table.take::<DatabaseResource>(rid)?;
    state.borrow_mut::<Deliveries>().release(rid);
    database.database.close();
    Ok(())
}

/// Closes all databases of a runtime before it ends: messages whose handlers are running are requeued.
pub fn close_databases(state: &mut OpState) {
    state.put(Deliveries::default());
    let databases = state.resource_table.names().filter(|(_, name)| *name == NAME).map(|(rid, _)| rid);
    for rid in databases.collect::<Vec<_>>() {
        if let Ok(database) = state.resource_table.take::<DatabaseResource>(rid) {
            database.database.close();
        }
    }
}

/// Opens a database. Returns its resource.
#[op2(stack_trace)]
#[smi]
pub(crate) async fn op_openkv_open(
    state: Rc<RefCell<OpState>>,
    #[string] path: Option<String>,
) -> Result<ResourceId, KvError> {
    let target = {
        let state = &mut state.borrow_mut();
        let options = state.borrow::<Options>().clone();
        resolve(state, options, path)?
    };
    let database = match target {
        Opening::Backend(database) => database.await?,
        Opening::Sqlite(location, options) => match sqlite::try_open(&location, &options) {
            Some(database) => database,
            // Opening may block on the disk, and on other processes.
            None => {
                let opened = deno_core::unsync::spawn_blocking(move || sqlite::open(location, options)).await;
                opened.map_err(JsErrorBox::from_err)??
            }
        },
    };
    Ok(state.borrow_mut().resource_table.add(DatabaseResource { database }))
}

/// How to open the database of a path.
enum Opening {
    Sqlite(Location, sqlite::Options),
    /// With a connector of the host.
    Backend(BoxFuture<Database>),
}

fn resolve(state: &mut OpState, options: Options, path: Option<String>) -> Result<Opening, KvError> {
    let path = match options.target(state, path)? {
        Target::Trusted(location) => return Ok(Opening::Sqlite(location, options.engine)),
        Target::Path(path) => path,
    };
    if let Some(database) = options.connect(state, &path) {
        return Ok(Opening::Backend(database?));
    }
    if path == ":memory:" {
        return Ok(Opening::Sqlite(Location::Memory, options.engine));
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
    let path = match uri::parse(&path).transpose()? {
        None => path,
        Some(Named::File(path)) => path,
        Some(Named::Memory(location)) => return Ok(Opening::Sqlite(location, options.engine)),
    };
    let permitted = options.permit(state, Path::new(&path))?;
    // The permission is for this path. A link in it could lead to another file.
    let location = Location::File { path: permitted, follow_links: false };
    // Errors must not reveal where the host stores its files.
    Ok(Opening::Sqlite(location, options.engine.name(path)))
}

//! The open databases of scripts, as resources of the runtime.

use std::borrow::Cow;
use std::rc::Rc;

use deno_core::{OpState, Resource, ResourceId};
use openkv_engine::Database;

use crate::error::KvError;

/// The name of a database in the resource table.
pub(crate) const NAME: &str = "openkvDatabase";

pub(crate) struct DatabaseResource {
    pub database: Database,
}

impl Resource for DatabaseResource {
    fn name(&self) -> Cow<'_, str> {
        NAME.into()
    }

    fn close(self: Rc<Self>) {
        self.database.close();
    }
}

/// Returns the open database of a resource.
pub(crate) fn database(state: &OpState, rid: ResourceId) -> Result<Rc<DatabaseResource>, KvError> {
    Ok(state.resource_table.get(rid)?)
}

//! The databases that scripts have open, as resources of the runtime.

use std::borrow::Cow;
use std::rc::Rc;

use deno_core::{OpState, Resource, ResourceId};
use openkv_engine::Database;

use crate::error::KvError;

/// What scripts find a database as among their resources.
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

/// The open database of a resource.
pub(crate) fn database(state: &OpState, rid: ResourceId) -> Result<Rc<DatabaseResource>, KvError> {
    Ok(state.resource_table.get(rid)?)
}

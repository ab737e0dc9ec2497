use openkv_engine::Database;
use uuid::Uuid;

/// A database, and what clients know it by.
pub(crate) struct Hosted {
    pub name: String,
    pub database: Database,
    pub id: Uuid,
}
